"""Speed and memory of a render, against plain decoding and encoding of the same frames in the same run.

    python benchmarks/bench_render.py FOOTAGE AUDIO [--rounds 2] [--memory LONG_AUDIO]

*warm*: the analysis is there and the process has rendered before. *cold*: a fresh process, nothing analysed, everything
included from the interpreter's start. Ratios are frames per second relative to plain. Prints JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
MEASURED = (
    "import pathlib, runpy, sys; sys.argv[0] = 'heygem'\n"
    "try: runpy.run_module('rendering.engine', run_name='__main__')\n"
    "except SystemExit: pass\n"
    # Not ru_maxrss: a child inherits its parent's.
    "status = pathlib.Path('/proc/self/status').read_text()\n"
    "print('PEAK', status.split('VmHWM:')[1].split()[0], file=sys.stderr)"
)


def plain(footage: Path, audio: Path, out: Path, frames: int) -> float:
    """Seconds to decode and encode the same frames with the same settings and nothing in between."""
    from rendering.engine.contract import Limits, RenderOptions
    from rendering.engine.media.encode import VideoWriter
    from rendering.engine.media.frames import FrameWalk, ahead
    from rendering.engine.media.probe import probe_footage

    info, video = probe_footage(footage, Limits())
    turn = [*range(video.frames), *range(video.frames - 2, 0, -1)]
    order = [turn[number % len(turn)] for number in range(frames)]
    began = time.monotonic()
    with VideoWriter(out, video, audio, RenderOptions(), frames / float(video.fps)) as writer:
        for frame in ahead(FrameWalk(footage, info, order)):
            writer.write(frame)
    return time.monotonic() - began


def cold(footage: Path, audio: Path, out: Path) -> tuple[float, int]:
    """Seconds and peak memory (KiB) of the command line with an empty cache."""
    with tempfile.TemporaryDirectory() as cache:
        return command(["render", str(footage), str(audio), "-o", str(out)], cache)


def command(arguments: list[str], cache: str) -> tuple[float, int]:
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, *arguments],
        cwd=ROOT,
        env={**os.environ, "XDG_CACHE_HOME": cache},
        capture_output=True,
        text=True,
        check=True,
    )
    seconds = time.monotonic() - began
    peak = next(line for line in reversed(done.stderr.splitlines()) if line.startswith("PEAK"))
    return seconds, int(peak.split()[1])


def first_seconds(audio: Path, out: Path, seconds: float) -> Path:
    import soundfile

    samples, rate = soundfile.read(audio)
    soundfile.write(out, samples[: round(seconds * rate)], rate)
    return out


def speed(footage: Path, audio: Path, rounds: int, folder: Path) -> dict[str, Any]:
    from rendering.engine.contract import RenderRequest
    from rendering.engine.prepare import prepare
    from rendering.engine.render import render

    prepare(footage, folder / "analysis")
    request = RenderRequest(footage=footage, analysis=folder / "analysis", audio=audio, out=folder / "out.mp4")
    result = render(request)
    times: dict[str, list[float]] = {"plain": [], "warm": [], "cold": []}
    stages: dict[str, float] = {}
    for _ in range(rounds):
        times["plain"].append(plain(footage, audio, folder / "plain.mp4", result.frames))
        began = time.monotonic()
        stages = render(request).seconds
        times["warm"].append(time.monotonic() - began)
        times["cold"].append(cold(footage, audio, folder / "cold.mp4")[0])
    best = {name: min(values) for name, values in times.items()}
    return {
        "frames": result.frames,
        "plain_fps": round(result.frames / best["plain"], 1),
        "warm_fps": round(result.frames / best["warm"], 1),
        "cold_fps": round(result.frames / best["cold"], 1),
        "warm_ratio": round(best["plain"] / best["warm"], 3),
        "cold_ratio": round(best["plain"] / best["cold"], 3),
        "warm_stages_s": stages,
        "all_s": {name: [round(value, 2) for value in values] for name, values in times.items()},
    }


def memory(footage: Path, audio: Path, folder: Path) -> dict[str, Any]:
    """Peak of a render of the whole of ``audio`` and of its first ten seconds, the analysis done before."""
    cache = str(folder / "cache")
    short = first_seconds(audio, folder / "ten.wav", 10)
    out = ["-o", str(folder / "memory.mp4")]
    command(["render", str(footage), str(short), *out], cache)
    ten = command(["render", str(footage), str(short), *out], cache)[1]
    whole = command(["render", str(footage), str(audio), *out], cache)[1]
    return {"peak_10s_mb": ten // 1024, "peak_whole_mb": whole // 1024, "growth": round(whole / ten - 1, 3)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("footage", type=Path)
    parser.add_argument("audio", type=Path)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--memory", type=Path, metavar="LONG_AUDIO")
    options = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        figures = {"footage": options.footage.name, "audio": options.audio.name}
        figures |= speed(options.footage.resolve(), options.audio.resolve(), options.rounds, folder)
        if options.memory:
            figures |= memory(options.footage.resolve(), options.memory.resolve(), folder)
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
