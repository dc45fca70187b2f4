"""Speed and memory of the engine, against plain decoding and encoding of the same frames in the same run.

    python benchmarks/bench_render.py [FOOTAGE AUDIO] [--rounds 3] [--takes 10 60 600] [--keep DIR] [--json FILE]

Without footage it films the demo presenter at 1080p25 for 20 seconds (a minute and a half of work; ``--keep`` keeps
it). Each round measures in turn:

*plain*: the frames decoded and encoded with the same settings, nothing in between. *warm*: the process has rendered
over this footage before; the take is new to it. *cold*: the command line with an empty cache, everything included from
the interpreter's start. Ratios are plain's time divided by theirs, in wall time and in CPU time of the same round, the
median over the rounds; on a busy machine the CPU ratio is the one to trust.

*tracking*: seconds of footage per second. *learning*: seconds per minute of footage, after tracking; both in a warm
process. *peak*: resident memory of a render for takes of ``--takes`` seconds, the analysis done before.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import av
import numpy as np
import soundfile

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from rendering.engine import memory  # noqa: E402  (run as a script, the repository is not on the path before)
from rendering.engine.contract import ENGINE_VERSION, Limits, RenderOptions, RenderRequest  # noqa: E402
from rendering.engine.demo import make_demo_footage, make_demo_takes  # noqa: E402
from rendering.engine.face.track import track_footage  # noqa: E402
from rendering.engine.media.audio import read_audio  # noqa: E402
from rendering.engine.media.encode import VideoWriter  # noqa: E402
from rendering.engine.media.frames import FrameWalk, ahead  # noqa: E402
from rendering.engine.media.probe import probe_footage  # noqa: E402
from rendering.engine.prepare import learn_presenter, prepare  # noqa: E402
from rendering.engine.render import render  # noqa: E402

SIZE, SECONDS, TAKE_S = (1920, 1080), 20, 24
PEAK = (
    "import pathlib, runpy, sys; sys.argv[0] = 'heygem'\n"
    "try: runpy.run_module('rendering.engine', run_name='__main__')\n"
    "except SystemExit: pass\n"
    # Not ru_maxrss: a child inherits its parent's.
    "status = pathlib.Path('/proc/self/status').read_text()\n"
    "print('PEAK', status.split('VmHWM:')[1].split()[0], file=sys.stderr)"
)


@dataclass(frozen=True)
class Spent:
    wall_s: float
    cpu_s: float


def spent(work: Callable[[], Any]) -> tuple[Spent, Any]:
    """What ``work`` took, children that it waited for included, and what it returned."""
    wall, cpu = time.monotonic(), _cpu()
    result = work()
    return Spent(time.monotonic() - wall, _cpu() - cpu), result


def _cpu() -> float:
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(each.ru_utime + each.ru_stime for each in used)


def plain(footage: Path, audio: Path, out: Path, frames: int) -> None:
    """Decode and encode as many frames, back and forth, with the same settings and nothing in between."""
    info, video = probe_footage(footage, Limits())
    turn = [*range(video.frames), *range(video.frames - 2, 0, -1)]
    order = [turn[number % len(turn)] for number in range(frames)]
    with VideoWriter(out, video, audio, RenderOptions(), frames / float(video.fps)) as writer:
        for frame in ahead(FrameWalk(footage, info, order)):
            writer.write(frame)


def command(arguments: Iterable[str | Path], cache: Path) -> int:
    """Run the engine's command line; its peak memory in KiB."""
    done = subprocess.run(
        [sys.executable, "-c", PEAK, *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "XDG_CACHE_HOME": str(cache)},
        capture_output=True,
        text=True,
        check=True,
    )
    return int(next(line for line in reversed(done.stderr.splitlines()) if line.startswith("PEAK")).split()[1])


def of_length(audio: Path, out: Path, seconds: float, level: float = 1.0) -> Path:
    """``audio`` repeated and cut to ``seconds``. Another ``level`` makes it another take to the engine."""
    samples, rate = soundfile.read(audio)
    soundfile.write(out, level * np.resize(samples, (round(seconds * rate), *samples.shape[1:])), rate)
    return out


def speed(footage: Path, audio: Path, rounds: int, folder: Path) -> dict[str, Any]:
    """Plain, warm and cold in turn."""
    _, video = probe_footage(footage, Limits())
    analysis = prepare(footage, folder / "analysis").folder
    request = RenderRequest(footage=footage, analysis=analysis, audio=audio, out=folder / "out.mp4")
    frames = render(request).frames
    all_spent: dict[str, list[Spent]] = {"plain": [], "warm": [], "cold": []}
    stages: list[dict[str, float]] = []
    for number in range(rounds):
        take = of_length(audio, folder / "take.wav", frames / float(video.fps), 0.99 - 0.01 * number)
        all_spent["plain"].append(spent(partial(plain, footage, take, folder / "plain.mp4", frames))[0])
        again = RenderRequest(footage=footage, analysis=analysis, audio=take, out=folder / "out.mp4")
        warm, result = spent(partial(render, again))
        assert result.analysis_kept
        all_spent["warm"].append(warm)
        stages.append({**result.seconds, **{f"compose: {name}": value for name, value in result.busy.items()}})
        with tempfile.TemporaryDirectory(dir=folder) as cache:
            arguments = ["render", str(footage), str(take), "-o", str(folder / "cold.mp4")]
            all_spent["cold"].append(spent(partial(command, arguments, Path(cache)))[0])
    return {
        "frames": frames,
        "fps": {name: round(frames / median(each.wall_s for each in times), 1) for name, times in all_spent.items()},
        "ratio": {name: _ratios(all_spent["plain"], all_spent[name]) for name in ("warm", "cold")},
        "warm_stages_s": {name: round(median(each[name] for each in stages), 3) for name in stages[0]},
        "analysis": analysing(footage),
        "all": {name: [asdict(each) for each in times] for name, times in all_spent.items()},
    }


def analysing(footage: Path) -> dict[str, float]:
    """Tracking and learning by themselves, in a process that has done both before."""
    info, video = probe_footage(footage, Limits())
    audio = read_audio(footage, info=info) if info.audio is not None else None
    tracking, track = spent(partial(track_footage, footage, info))
    learning, _ = spent(partial(learn_presenter, track, video, audio))
    return {
        "seconds_of_footage": round(video.duration_s, 2),
        "tracking_x_real_time": round(video.duration_s / tracking.wall_s, 2),
        "tracking_fps": round(video.frames / tracking.wall_s, 1),
        "tracking_cpu_ms_per_frame": round(1000 * tracking.cpu_s / video.frames, 2),
        "learning_s_per_minute": round(60 * learning.wall_s / video.duration_s, 2),
        "learning_cpu_s_per_minute": round(60 * learning.cpu_s / video.duration_s, 2),
    }


def _ratios(base: list[Spent], other: list[Spent]) -> dict[str, float]:
    pairs = list(zip(base, other, strict=True))
    return {
        "wall": round(median(a.wall_s / b.wall_s for a, b in pairs), 3),
        "cpu": round(median(a.cpu_s / b.cpu_s for a, b in pairs), 3),
    }


def peaks(footage: Path, audio: Path, lengths: list[float], folder: Path) -> dict[str, Any]:
    """Peak memory of a render by the take's length, in MB, and how much the longest needs beyond the shortest."""
    cache, out = folder / "cache", ["-o", str(folder / "memory.mp4")]
    short = of_length(audio, folder / "first.wav", 3)
    command(["render", str(footage), str(short), *out], cache)  # the analysis, whose memory is another question
    found = {}
    for seconds in sorted(lengths):
        take = of_length(audio, folder / "memory.wav", seconds)
        found[f"{seconds:g} s"] = command(["render", str(footage), str(take), *out], cache) // 1024
    first, *_, last = [*found.values(), *found.values()]
    return {"peak_mb": found, "growth": round(last / first - 1, 3)}


def machine() -> dict[str, Any]:
    """What it was measured on."""
    import cv2

    described = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    names = [line.split(":")[1].strip() for line in described.splitlines() if line.startswith("model name")]
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "cpu": names[0] if names else platform.processor(),
        "cores": os.cpu_count(),
        "memory_gb": round(pages / 2**30, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
        "engine": ENGINE_VERSION,
        "av": av.__version__,
        "opencv": cv2.__version__,
        "numpy": np.__version__,
    }


def table(report: dict[str, Any]) -> str:
    """The report for reading."""
    analysis, ratio = report["analysis"], report["ratio"]
    rows = [
        ("plain decode + encode", f"{report['fps']['plain']} frames/s"),
        *(
            (name, f"{report['fps'][name]} frames/s: {ratio[name]['wall']} of plain (CPU {ratio[name]['cpu']})")
            for name in ("warm", "cold")
        ),
        (
            "tracking",
            f"{analysis['tracking_x_real_time']} x real time, {analysis['tracking_fps']} frames/s"
            f" (CPU {analysis['tracking_cpu_ms_per_frame']} ms a frame)",
        ),
        (
            "learning",
            f"{analysis['learning_s_per_minute']} s per minute of footage"
            f" (CPU {analysis['learning_cpu_s_per_minute']})",
        ),
        *((f"stage {name}", f"{value} s") for name, value in report["warm_stages_s"].items()),
        *((f"peak, take of {length}", f"{value} MB") for length, value in report.get("peak_mb", {}).items()),
        ("load before, after", " ".join(map(str, report["load"]))),
    ]
    wide = max(len(name) for name, _ in rows)
    head = f"{report['footage']}, {report['machine']['cores']} x {report['machine']['cpu']}"
    return "\n".join([head, *(f"  {name:<{wide}}  {value}" for name, value in rows)])


def material(options: argparse.Namespace, folder: Path) -> tuple[Path, Path]:
    """The footage and the take to measure with; filmed here when none were named."""
    if options.footage is not None:
        return options.footage.resolve(), options.audio.resolve()
    footage = folder / f"presenter_{SIZE[0]}x{SIZE[1]}_{SECONDS}s.mp4"
    if not footage.exists():
        making = footage.with_name("being_made.mp4")
        make_demo_footage(making, seconds=SECONDS, size=SIZE, seed=1)
        making.replace(footage)
    return footage, of_length(make_demo_takes(folder)[0][1], folder / "take_of_the_demo.wav", TAKE_S)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("footage", type=Path, nargs="?")
    parser.add_argument("audio", type=Path, nargs="?")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--takes", type=float, nargs="*", default=[], metavar="SECONDS")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="where what is filmed stays")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the figures go as JSON")
    options = parser.parse_args()
    if options.footage is not None and options.audio is None:
        parser.error("AUDIO is missing")
    memory.share_one_arena()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        kept = options.keep.resolve() if options.keep else folder
        kept.mkdir(parents=True, exist_ok=True)
        footage, audio = material(options, kept)
        before = os.getloadavg()[0]
        report: dict[str, Any] = {"footage": footage.name, "audio": audio.name, "machine": machine()}
        report |= speed(footage, audio, options.rounds, folder)
        if options.takes:
            report |= peaks(footage, audio, options.takes, folder)
        report["load"] = [round(before, 2), round(os.getloadavg()[0], 2)]
    if options.json:
        options.json.write_text(json.dumps(report, indent=1) + "\n")
    print(table(report))


if __name__ == "__main__":
    main()
