"""The engine from file to file and by stage, beside plain decoding and encoding of the same frames in the same run.

    python -m benchmarks.engine [--backends NAME ...] [--sizes 720p 1080p] [--takes 10 60] [--rounds N]
        [--cold] [--published [FRAMES]] [--train [STEPS]] [--footage FILE --audio FILE] [--keep DIR] [--json FILE]

Films its own presenters at 25 frames a second unless footage is named (``--keep`` keeps them), analyses them, and makes
a video of each take by each back end, on the device that ENGINE_DEVICE names. Each round measures in turn:

*plain*: the frames decoded and encoded with the same settings, nothing in between. *exemplar*, *neural*, *wav2lip*: a
process that has rendered over this footage before, a take that is new to it. *cold* (``--cold``): the command line of
``exemplar`` with an empty cache, all included from the interpreter's start. Ratios are plain's time divided by theirs
in the same round, the median over the rounds, in wall time and in CPU time; beside other work the CPU ratio is the one
to trust, with a card the wall ratio.

*published* (``--published``): the published pipeline's design (:mod:`benchmarks.published`) over the shortest take,
once; with FRAMES its detector looks at so many, and its seconds are scaled. *training* (``--train``): a mouth model at
256 pixels; with STEPS so many of them, and what all would take. *peak*: resident memory of this process, with all that
was loaded before; its growth from take to take is what to look at.

Speed does not depend on what weights know: ``neural`` draws with an untrained network whose report says that it may,
``wav2lip`` with random weights unless WAV2LIP_CHECKPOINT names others.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

# Before numpy, as in use: linear algebra of several threads would be measured that no render has.
import rendering.engine  # noqa: E402, F401  (run as a script, the repository is not on the path before)

# isort: split
import numpy as np  # noqa: E402
import soundfile  # noqa: E402

from benchmarks import untrained  # noqa: E402
from benchmarks.measuring import Spent, machine, ratio, spent  # noqa: E402
from benchmarks.tables import table  # noqa: E402
from rendering.engine import device, memory  # noqa: E402
from rendering.engine.contract import (  # noqa: E402
    Limits,
    MouthsRequest,
    PreparedFootage,
    RenderOptions,
    RenderRequest,
    RenderResult,
)
from rendering.engine.demo import make_demo_footage, make_demo_takes  # noqa: E402
from rendering.engine.face.track import track_footage  # noqa: E402
from rendering.engine.media.audio import read_audio  # noqa: E402
from rendering.engine.media.encode import VideoWriter  # noqa: E402
from rendering.engine.media.frames import FrameWalk, ahead  # noqa: E402
from rendering.engine.media.probe import probe_footage  # noqa: E402
from rendering.engine.prepare import learn_presenter, prepare  # noqa: E402
from rendering.engine.render import render  # noqa: E402
from rendering.engine.wav2lip import checkpoint  # noqa: E402

SIZES = {"720p": (1280, 720), "1080p": (1920, 1080)}
BACKENDS = ("exemplar", "neural", "wav2lip")
FILMED_S, WARM_UP_S = 20.0, 1.0
TRAINED_SIZE = 256
PEAK = (
    "import pathlib, runpy, sys; sys.argv[0] = 'heygem'\n"
    "try: runpy.run_module('rendering.engine', run_name='__main__')\n"
    "except SystemExit: pass\n"
    # Not ru_maxrss: a child inherits its parent's.
    "status = pathlib.Path('/proc/self/status').read_text()\n"
    "print('PEAK', status.split('VmHWM:')[1].split()[0], file=sys.stderr)"
)
Work = Callable[[], Any]


@dataclass(frozen=True)
class Subject:
    """Footage, analysed, with a mouth model that nothing was taught."""

    footage: Path
    prepared: PreparedFootage
    mouths: Path

    def request(self, audio: Path, out: Path, backend: str) -> RenderRequest:
        return RenderRequest(
            footage=self.footage,
            analysis=self.prepared.folder,
            audio=audio,
            out=out,
            options=RenderOptions(backend=backend),
            mouths=self.mouths,
        )


@dataclass
class Timed:
    """All rounds of one way to make a video."""

    spent: list[Spent] = field(default_factory=list)
    results: list[RenderResult] = field(default_factory=list)
    peaks_mb: list[int] = field(default_factory=list)
    """Of children, where one did the work."""


def plain(footage: Path, audio: Path, out: Path, frames: int) -> None:
    """Decode and encode as many frames, back and forth, with the same settings and nothing in between."""
    info, video = probe_footage(footage, Limits())
    turn = [*range(video.frames), *range(video.frames - 2, 0, -1)]
    order = [turn[number % len(turn)] for number in range(frames)]
    with VideoWriter(out, video, audio, RenderOptions(), frames / float(video.fps)) as writer:
        for frame in ahead(FrameWalk(footage, info, order)):
            writer.write(frame)


def command(arguments: Sequence[str | Path]) -> int:
    """Run the engine's command line with an empty cache; its peak memory in MB."""
    with tempfile.TemporaryDirectory() as cache:
        done = subprocess.run(
            [sys.executable, "-c", PEAK, *map(str, arguments)],
            cwd=ROOT,
            env={**os.environ, "XDG_CACHE_HOME": cache},
            capture_output=True,
            text=True,
            check=True,
        )
    return int(next(line for line in reversed(done.stderr.splitlines()) if line.startswith("PEAK")).split()[1]) // 1024


def of_length(audio: Path, out: Path, seconds: float, level: float = 1.0) -> Path:
    """``audio`` repeated and cut to ``seconds``. Another ``level`` makes it another take to the engine."""
    samples, rate = soundfile.read(audio)
    soundfile.write(out, level * np.resize(samples, (round(seconds * rate), *samples.shape[1:])), rate)
    return out


def scene(
    subject: Subject, audio: Path, seconds: float, options: argparse.Namespace, folder: Path, *, first: bool
) -> dict[str, Any]:
    """A take of ``seconds`` over one footage, all ways in turn. ``first``: of this footage, so that nothing is warm."""
    _, video = probe_footage(subject.footage, Limits())
    frames = round(seconds * float(video.fps))
    if first:
        short = of_length(audio, folder / "warm_up.wav", WARM_UP_S)
        for name in options.backends:
            render(subject.request(short, folder / "out.mp4", name))
    ways = {name: Timed() for name in ("plain", *options.backends, *(["cold"] if options.cold else []))}
    for number in range(options.rounds):
        take = of_length(audio, folder / "take.wav", seconds, 0.99 - 0.01 * number)
        once, _ = spent(partial(plain, subject.footage, take, folder / "plain.mp4", frames))
        ways["plain"].spent.append(once)
        for name in options.backends:
            once, result = spent(partial(render, subject.request(take, folder / "out.mp4", name)))
            assert result.frames == frames
            ways[name].spent.append(once)
            ways[name].results.append(result)
        if options.cold:
            words = ["render", subject.footage, take, "-o", folder / "cold.mp4"]
            once, peak = spent(partial(command, words))
            ways["cold"].spent.append(once)
            ways["cold"].peaks_mb.append(peak)
    told = {
        "footage": subject.footage.name,
        "size": [video.width, video.height],
        "fps": float(video.fps),
        "take_s": seconds,
        "frames": frames,
        "codecs": ways[options.backends[-1]].results[-1].codecs,
        "made": {name: figures(way, ways["plain"], frames) for name, way in ways.items()},
    }
    if options.published is not None and first:
        take = of_length(audio, folder / "take.wav", seconds)
        told["published"] = against(subject, take, folder, told, options.published)
    return told


def figures(way: Timed, base: Timed, frames: int) -> dict[str, Any]:
    """What is told of one way."""
    told: dict[str, Any] = {
        "fps": round(frames / median(each.wall_s for each in way.spent), 1),
        "peak_mb": max(way.peaks_mb or [each.peak_mb for each in way.spent if each.peak_mb is not None], default=None),
        "card_mb": max((each.card_mb for each in way.spent if each.card_mb is not None), default=None),
        "card": way.spent[-1].card,
        "rounds": [asdict(each) for each in way.spent],
    }
    if way is not base:
        told["ratio"] = ratio(base.spent, way.spent)
    if way.results:
        last = way.results[-1]
        told |= {"drawn_by": last.backend, "instead": last.instead, "sync": last.quality.sync}
        told["stages_s"] = _medians([result.seconds for result in way.results])
        told["busy_s"] = _medians([result.busy for result in way.results])
        shares = [{name: s / result.seconds["compose"] for name, s in result.busy.items()} for result in way.results]
        told["busy_share"] = _medians(shares)
    return told


def _medians(rounds: list[dict[str, float]]) -> dict[str, float]:
    return {name: round(median(each[name] for each in rounds), 3) for name in rounds[0]}


def against(subject: Subject, take: Path, folder: Path, told: dict[str, Any], looked_at: int) -> dict[str, Any]:
    """The published design over the same frames, and how many times as fast each back end was."""
    from benchmarks.published import published

    where, box = device.chosen(), subject.prepared.face_box
    assert box is not None
    made: Work = partial(
        published,
        subject.footage,
        take,
        folder / "published.mp4",
        frames=told["frames"],
        net=checkpoint.load(checkpoint.required(), where).net,
        where=where,
        box=box,
        looked_at=looked_at,
    )
    once, run = spent(made)
    seconds, cpu = sum(run.seconds.values()), sum(run.cpu_s.values())
    ours = {name: made for name, made in told["made"].items() if name in BACKENDS}
    mine = {name: [Spent(**each) for each in made["rounds"]] for name, made in ours.items()}
    return {
        **asdict(run),
        "pictures": min(run.frames, subject.prepared.frames),
        "fps": round(run.frames / seconds, 3),
        "peak_mb": once.peak_mb,
        "card_mb": once.card_mb,
        "card": once.card,
        "beaten_by": {
            name: {
                "wall": round(seconds / median(each.wall_s for each in rounds), 1),
                "cpu": round(cpu / median(each.cpu_s for each in rounds), 1),
            }
            for name, rounds in mine.items()
        },
    }


def analysing(footage: Path) -> dict[str, Any]:
    """Tracking and learning by themselves, in a process that has done both before."""
    info, video = probe_footage(footage, Limits())
    audio = read_audio(footage, info=info) if info.audio is not None else None
    tracking, track = spent(partial(track_footage, footage, info))
    learning, _ = spent(partial(learn_presenter, track, video, audio))
    return {
        "size": [video.width, video.height],
        "seconds_of_footage": round(video.duration_s, 2),
        "tracking_x_real_time": round(video.duration_s / tracking.wall_s, 2),
        "tracking_fps": round(video.frames / tracking.wall_s, 1),
        "tracking_cpu_ms_per_frame": round(1000 * tracking.cpu_s / video.frames, 2),
        "learning_s_per_minute": round(60 * learning.wall_s / video.duration_s, 2),
        "learning_cpu_s_per_minute": round(60 * learning.cpu_s / video.duration_s, 2),
    }


def training(subject: Subject, folder: Path, steps: int, size: int) -> dict[str, Any]:
    """A mouth model of this footage, of ``size`` pixels; ``steps``: of the schedule, 0: all."""
    from rendering.engine.neural.learn import learn_mouths
    from rendering.engine.neural.train import Schedule

    whole = Schedule()
    schedule = replace(whole, steps=steps) if steps else whole
    seen: dict[str, list[tuple[float, float]]] = {}

    def report(stage: str, done: int, total: int) -> None:
        seen.setdefault(stage, []).append((time.monotonic(), time.process_time()))

    request = MouthsRequest(footage=subject.footage, analysis=subject.prepared.folder, out=folder / "learnt", size=size)
    began = time.monotonic(), time.process_time()
    once, learnt = spent(partial(learn_mouths, request, schedule=schedule, report=report))
    ended = time.monotonic(), time.process_time()
    told = [
        Stretch.of(began[k], [each[k] for each in seen["train"]], ended[k], learnt.steps if not steps else whole.steps)
        for k in range(2)
    ]
    return {
        "size": learnt.size,
        "steps": learnt.steps,
        "all_steps": learnt.steps if not steps else whole.steps,
        "wall": asdict(told[0]),
        "cpu": asdict(told[1]),
        "passed": learnt.passed,
        "failed": list(learnt.failed),
        "psnr": round(learnt.psnr, 2),
        "peak_mb": once.peak_mb,
        "card_mb": once.card_mb,
        "card": once.card,
    }


@dataclass(frozen=True)
class Stretch:
    """How long a training is, by one clock."""

    collect_s: float
    step_ms: float
    """Median; a validation is not in it."""
    validation_s: float
    measure_s: float
    minutes: float
    """Of all steps and validations, with collecting and measuring."""

    @classmethod
    def of(cls, began: float, steps: list[float], ended: float, all_steps: int) -> Stretch:
        """``steps``: when each began, and when the last one ended, which a validation follows."""
        from rendering.engine.neural.train import Schedule

        lengths = np.diff(steps)
        step = float(np.median(lengths))
        validation = max(0.0, float(lengths[-1]) - step)
        before, after = steps[0] - began, ended - steps[-1]
        all_s = before + all_steps * step + (all_steps / Schedule().validate_every) * validation + after
        rounded = (round(each, 1) for each in (before, 1000 * step, validation, after, all_s / 60))
        return cls(*rounded)


def footages(options: argparse.Namespace, folder: Path) -> list[Path]:
    """What to measure with: the footage that was named, or one film of each size."""
    if options.footage is not None:
        return [options.footage.resolve()]
    films = []
    for name in options.sizes:
        width, height = SIZES.get(name) or (int(part) for part in name.split("x"))
        film = folder / f"presenter_{width}x{height}_{options.filmed:g}s.mp4"
        if not film.exists():
            making = film.with_name("being_made.mp4")
            make_demo_footage(making, seconds=options.filmed, size=(width, height), seed=1)
            making.replace(film)
        films.append(film)
    return films


def measured(options: argparse.Namespace, folder: Path, kept: Path) -> dict[str, Any]:
    """The whole report."""
    report: dict[str, Any] = {"machine": machine(), "scenes": [], "analysis": []}
    before = os.getloadavg()[0]
    audio = options.audio.resolve() if options.audio else make_demo_takes(folder)[0][1]
    with weights_of_nobody(folder):
        for number, footage in enumerate(footages(options, kept)):
            prepared = prepare(footage, folder / f"analysis{number}")
            mouths = untrained.mouths(prepared.folder, folder / f"mouths{number}")
            subject = Subject(footage, prepared, mouths)
            for place, seconds in enumerate(sorted(options.takes)):
                report["scenes"].append(scene(subject, audio, seconds, options, folder, first=place == 0))
            report["analysis"].append(analysing(footage))
        if options.train is not None:
            report["training"] = training(subject, folder, options.train, options.train_size)
    report["load"] = [round(before, 2), round(os.getloadavg()[0], 2)]
    return report


@contextmanager
def weights_of_nobody(folder: Path) -> Iterator[None]:
    """Random weights for Wav2Lip, unless the environment names a checkpoint."""
    if checkpoint.configured() is not None:
        yield
        return
    os.environ[checkpoint.VARIABLE] = str(untrained.checkpoint(folder / "random.pth"))
    try:
        yield
    finally:
        del os.environ[checkpoint.VARIABLE]


def options_of(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backends", nargs="+", choices=BACKENDS, default=list(BACKENDS))
    parser.add_argument("--sizes", nargs="+", default=list(SIZES), help="720p, 1080p or WIDTHxHEIGHT")
    parser.add_argument("--takes", nargs="+", type=float, default=[10.0, 60.0], metavar="SECONDS")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--filmed", type=float, default=FILMED_S, metavar="SECONDS", help="length of what is filmed")
    parser.add_argument("--cold", action="store_true")
    parser.add_argument("--published", type=int, nargs="?", const=0, metavar="FRAMES")
    parser.add_argument("--train", type=int, nargs="?", const=0, metavar="STEPS")
    parser.add_argument("--train-size", type=int, default=TRAINED_SIZE, metavar="PIXELS")
    parser.add_argument("--footage", type=Path)
    parser.add_argument("--audio", type=Path)
    parser.add_argument("--keep", type=Path, metavar="DIR", help="where what is filmed stays")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where all figures go as JSON")
    options = parser.parse_args(words)
    if (options.footage is None) != (options.audio is None):
        parser.error("--footage and --audio go together")
    return options


def main(words: Sequence[str] | None = None) -> None:
    options = options_of(words)
    memory.share_one_arena()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        kept = options.keep.resolve() if options.keep else folder
        kept.mkdir(parents=True, exist_ok=True)
        report = measured(options, folder, kept)
    if options.json:
        options.json.write_text(json.dumps(report, indent=1) + "\n")
    print(table(report))


if __name__ == "__main__":
    main()
