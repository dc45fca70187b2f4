"""The three-hosts run by hand: how long a batch takes while its machines fail, and what became of every attempt.

python benchmarks/three_hosts.py [--renders 60] [--engine fake|real] [--lease 15]     (as root)

``real`` films the demo presenter and speaks one short take for each render. Prints Markdown, then JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.rendering import three_hosts  # noqa: E402


def fake_material(folder: Path, renders: int) -> tuple[Path, list[Path]]:
    footage = folder / "footage.mp4"
    footage.write_bytes(b"fake footage")
    takes = [folder / f"take{number}.wav" for number in range(renders)]
    for number, take in enumerate(takes):
        take.write_bytes(f"fake:ok:2:{number}\n".encode())
    return footage, takes


def real_material(folder: Path, renders: int) -> tuple[Path, list[Path]]:
    from rendering.engine.demo import make_demo_footage, write_wav
    from rendering.engine.voice.speak import Sentence, speak_many

    footage = folder / "footage.mp4"
    make_demo_footage(footage)
    said = speak_many(
        [Sentence(text=f"Good morning, this is number {number}.") for number in range(renders)], rate=48_000
    )
    takes = [folder / f"take{number}.wav" for number in range(renders)]
    for take, speech in zip(takes, said, strict=True):
        write_wav(take, speech.audio, speech.rate)
    return footage, takes


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--renders", type=int, default=60)
    parser.add_argument("--engine", choices=("fake", "real"), default="fake")
    parser.add_argument("--lease", type=int, default=15)
    parser.add_argument("--within", type=float, default=1800, help="seconds after which it is given up")
    options = parser.parse_args()
    if reason := three_hosts.missing():
        print(reason, file=sys.stderr)
        return 2
    env: dict[str, object] = {"LEASE_SECONDS": options.lease, "BACKOFF_SECONDS": 2}
    if options.engine == "real":
        env["ENGINE_COMMAND"] = f"{sys.executable} -m rendering.engine serve"
    with tempfile.TemporaryDirectory() as name, three_hosts.running(**env) as farm:
        make = real_material if options.engine == "real" else fake_material
        footage, takes = make(Path(name), options.renders)
        plan = three_hosts.Plan(database_s=10, s3_s=20)
        found = three_hosts.render_all(farm, footage, takes, plan, within_s=options.within)
        stored = farm.call("stored")
        wrong = three_hosts.unexplained(found, farm.faults, slack_s=options.lease)
    print(three_hosts.table(found))
    print(f"\n{found['versions']} versions of {options.renders} renders in {found['seconds']} s; stored: {stored}")
    doubled = [job["job"] for job in found["jobs"] if len(job["versions"]) != 1]
    print(f"without exactly one version: {doubled}; not explained: {wrong}")
    print(json.dumps({**found, "faults": [vars(fault) for fault in farm.faults]}, default=str))
    return 1 if doubled or wrong or stored["damaged"] else 0


if __name__ == "__main__":
    sys.exit(main())
