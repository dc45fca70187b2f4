"""The engine's command line: ``python -m rendering.engine --help``."""

from __future__ import annotations

import argparse
import dataclasses
import errno
import functools
import hashlib
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rendering.engine import memory, scratch, serve
from rendering.engine.alignment import weights
from rendering.engine.console import FAILED, ProgressBar, cache_root, complain, number
from rendering.engine.contract import (
    ENGINE_VERSION,
    TEXT_FOLLOWED,
    Limits,
    MouthsRequest,
    PrepareOptions,
    RenderOptions,
    RenderRequest,
    Report,
    to_json,
)
from rendering.engine.errors import FAILURES, EngineError
from rendering.engine.evaluate.commands import add_measuring

INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status (0 done, 1 refused or failed, 2 wrong usage, 130 interrupted)."""
    options = _parser().parse_args(arguments)
    memory.share_one_arena()
    if options.command is not serve_command:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return int(options.command(options) or 0)
    except EngineError as error:
        # Here nothing is tried again by itself, and there is no operator to tell.
        remedy = error.failure.remedy if error.failure.kind == "permanent" else ""
        return complain(f"{error.failure.sentence} {remedy}".rstrip(), f"{error.code}: {error.detail}")
    except MemoryError:
        return complain("The machine ran out of memory.", "out_of_memory")
    except OSError as error:
        return complain(f"{error.filename or 'A file'}: {error.strerror or error}.", "io_error")
    except KeyboardInterrupt:
        complain("Stopped.")
        return INTERRUPTED


def own_base() -> Path:
    """Where ``train-base --footage`` leaves the user's own base model, and ``render`` looks for it."""
    return cache_root() / "base"


def cache_folder(footage: Path, options: PrepareOptions) -> Path:
    """Where the analysis of this very footage is kept: by content, engine, options and tracker."""
    with footage.open("rb") as file:
        content = hashlib.file_digest(file, "sha256").hexdigest()
    key = hashlib.sha256(
        f"{content} {ENGINE_VERSION} {options.face} {weights.identity()}".strip().encode()
    ).hexdigest()[:32]
    return cache_root() / key


def prepared_for(footage: Path, report: Report, *, face: tuple[float, float] | None, fresh: bool) -> Path:
    """The folder with the footage's analysis, made now unless it is there. Raises what the footage is refused with."""
    from rendering.engine.analysis import accepted, read_prepared
    from rendering.engine.prepare import prepare

    options = PrepareOptions(face=face)
    folder = cache_folder(footage, options)
    try:
        result = None if fresh else read_prepared(folder)
    except EngineError:
        result = None
    accepted(result or prepare(footage, folder, options=options, report=report))
    return folder


def render_command(options: argparse.Namespace) -> int:
    from rendering.engine import backends
    from rendering.engine.analysis import read_prepared
    from rendering.engine.findings import FINDINGS
    from rendering.engine.render import render

    if not options.out.parent.is_dir():
        return complain(f"{options.out.parent}: no such folder.")
    if options.out.resolve() in (options.footage.resolve(), options.audio.resolve()):
        return complain("The result would replace what it is made from: give it another name.")
    text = _read_text(options.text)
    backends.require(options.backend, options.enhance)  # before the footage is looked at
    bar = ProgressBar()
    folder = prepared_for(options.footage, bar, face=options.face, fresh=options.fresh)
    request = RenderRequest(
        footage=options.footage,
        analysis=folder,
        audio=options.audio,
        out=options.out,
        options=_render_options(options),
        base=options.base or own_base(),
        text=text,
        language=options.language,
        mouths=options.mouths,
    )
    result = render(request, report=bar)
    bar.end()
    followed = result.quality.text_followed
    if text and followed is None:
        unread = f"{options.text} in the language {options.language}"
        print(f"note: no voice reads {unread}; lips follow the sound alone.", file=sys.stderr)
    elif followed is not None and followed < TEXT_FOLLOWED:
        print(f"note: the words of {options.text} are not in the take; lips follow the sound alone.", file=sys.stderr)
    if result.base:
        print(f"note: with your own base model {result.base} ({request.base}).", file=sys.stderr)
    elif options.base is not None:
        print(f"note: {options.base} holds no base model of this version; the built-in one served.", file=sys.stderr)
    if result.instead:
        why = FAILURES[result.instead]
        print(f"note: drawn by {result.backend}. {why.sentence} {why.remedy}", file=sys.stderr)
    elif result.mouths:
        print(f"note: with the mouth model {result.mouths} ({request.mouths}).", file=sys.stderr)
    if result.weights:
        note = FINDINGS["supplied_checkpoint"]
        print(f"note: {note.sentence} ({result.weights}) {note.remedy}", file=sys.stderr)
    for finding in read_prepared(folder).findings:
        if finding.level == "warning":
            note = FINDINGS[finding.code]
            figure = f" ({finding.figure:g} {note.unit})" if finding.figure is not None else ""
            print(f"note: {note.sentence}{figure} {note.remedy}", file=sys.stderr)
    if options.json:
        print(json.dumps(to_json(result), indent=1))
    else:
        seconds = sum(result.seconds.values())
        print(f"{options.out}: {result.frames} frames, {result.duration_s:.2f} s, made in {seconds:.1f} s")
    return 0


def _read_text(path: Path | None) -> str:
    """The words of a text file. Raises ``OSError``, also for one that is no text."""
    try:
        return path.read_text("utf-8-sig") if path else ""
    except UnicodeDecodeError as error:
        raise OSError(errno.EILSEQ, "not a text file in UTF-8", str(path)) from error


def _render_options(options: argparse.Namespace) -> RenderOptions:
    names = {field.name for field in dataclasses.fields(RenderOptions)}
    return RenderOptions(**{name: value for name, value in vars(options).items() if name in names})


def prepare_command(options: argparse.Namespace) -> int:
    from rendering.engine.prepare import prepare

    bar = ProgressBar()
    result = prepare(options.footage, options.out, options=PrepareOptions(face=options.face), report=bar)
    bar.end()
    print(json.dumps(to_json(result), indent=1, ensure_ascii=False))
    return FAILED if result.verdict == "refused" else 0


def train_base_command(options: argparse.Namespace) -> int:
    from rendering.engine.voice.base_train import train_base

    if options.footage is not None:
        return _train_own_base(options)
    if options.out is None:
        return complain("Say with -o FOLDER where the base model is to be written.")
    bar = ProgressBar()
    figures = train_base(options.out, seed=options.seed, minutes=options.minutes, report=bar)
    bar.end()
    print(json.dumps(figures, indent=1))
    return 0


def _train_own_base(options: argparse.Namespace) -> int:
    from rendering.engine.library import read_library
    from rendering.engine.voice.base_team import train_team_base

    if not options.footage.is_dir():
        return complain(f"{options.footage}: no such folder.")
    bar = ProgressBar()

    def tell(clip: Path, words: str) -> None:
        bar.end()
        print(f"{clip.relative_to(options.footage)}: {words}", file=sys.stderr)

    analysed = functools.partial(prepared_for, report=bar, face=None, fresh=False)
    library = read_library(options.footage, analysed, tell)
    figures = train_team_base(library, options.out or own_base(), seed=options.seed, report=bar)
    bar.end()
    print(json.dumps(figures, indent=1))
    if not figures["kept"]:
        failure = FAILURES["base_no_gain"]
        return complain(f"{failure.sentence} {failure.remedy}")
    return 0


def mouths_command(options: argparse.Namespace) -> int:
    from rendering.engine.neural.learn import learn_mouths

    bar = ProgressBar()
    asked = MouthsRequest(
        footage=options.footage,
        analysis=options.analysis,
        out=options.out,
        initial=options.initial,
        size=options.size,
        max_seconds=options.minutes and 60 * options.minutes,
    )
    learnt = learn_mouths(asked, report=bar)
    bar.end()
    print(json.dumps(to_json(learnt), indent=1))
    if not learnt.passed:
        failure = FAILURES["mouths_not_good"]
        return complain(f"{failure.sentence} {failure.remedy}", ", ".join(learnt.failed))
    return 0


def demo_command(options: argparse.Namespace) -> int:
    from rendering.engine.demo import make_demo_footage, make_demo_takes

    options.folder.mkdir(parents=True, exist_ok=True)
    bar = ProgressBar()
    made = [options.folder / "presenter.mp4"]
    make_demo_footage(made[0], seconds=options.seconds, size=options.size, report=bar)
    made += [path for _, path in make_demo_takes(options.folder)]
    bar.end()
    print("\n".join(str(path) for path in made))
    return 0


def speak_command(options: argparse.Namespace) -> int:
    from rendering.engine.demo import write_wav
    from rendering.engine.voice.speak import speak

    said = speak(options.text, options.language, rate=48_000)
    write_wav(options.out, said.audio, said.rate)
    print(f"{options.out}: {said.duration_s:.2f} s")
    return 0


def serve_command(options: argparse.Namespace) -> int:
    from rendering.engine import backends, supplied
    from rendering.engine.media.audio import measure_take
    from rendering.engine.neural.model import mouths_from_json
    from rendering.engine.prepare import options_from_json, prepare
    from rendering.engine.render import render, request_from_json
    from rendering.engine.voice.base_team import train_team_base
    from rendering.engine.voice.lessons import lessons_by_presenter

    def prepare_one(values: Mapping[str, Any], report: Report) -> dict[str, Any]:
        asked = options_from_json(values.get("options") or {})
        return to_json(prepare(Path(values["footage"]), Path(values["out"]), options=asked, report=report))

    def render_one(values: Mapping[str, Any], report: Report) -> dict[str, Any]:
        result = render(request_from_json(values), report=report)
        serve.note(", ".join(f"{name} by {who}" for name, who in result.codecs.items()))
        serve.note(f"analysis {'still in memory' if result.analysis_kept else 'read'}")
        if result.mouths:
            serve.note(f"network {result.mouths} {'still in memory' if result.mouths_kept else 'loaded'}")
        return to_json(result)

    def take_one(values: Mapping[str, Any], report: Report) -> dict[str, Any]:
        report("listen", 0, 1)
        return to_json(measure_take(Path(values["audio"]), Limits(**(values.get("limits") or {}))))

    def base_one(values: Mapping[str, Any], report: Report) -> dict[str, Any]:
        library = lessons_by_presenter((one["presenter"], Path(one["lesson"])) for one in values["lessons"])
        return train_team_base(library, Path(values["out"]), report=report)

    def mouths_one(values: Mapping[str, Any], report: Report) -> dict[str, Any]:
        from rendering.engine.neural.learn import learn_mouths  # with torch

        learnt = learn_mouths(mouths_from_json(values), report=report)
        memory.give_back()
        return to_json(learnt)

    refused = supplied.refused()
    able = supplied.usable(backends.able(), refused)
    tracker = "" if supplied.TRACKER in refused else weights.identity() or weights.BUNDLED
    told = {"engine": ENGINE_VERSION, "backends": sorted(able), "weights": able, "device": backends.device()}
    serve.run(
        {"prepare": prepare_one, "render": render_one, "take": take_one, "base": base_one, "mouths": mouths_one},
        {**told, "tracker": tracker, "refused": refused},
    )
    return 0


def _point(text: str) -> tuple[float, float]:
    try:
        x, y = (float(part) for part in text.split(","))
    except ValueError:
        x = y = -1.0
    if not (0 <= x <= 1 and 0 <= y <= 1):
        raise argparse.ArgumentTypeError("must be two numbers from 0 to 1, such as 0.3,0.5")
    return x, y


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="heygem", description="Change the voice, keep the face.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, command: Callable[[argparse.Namespace], int], words: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=words, description=words)
        sub.set_defaults(command=command)
        return sub

    face = {"type": _point, "metavar": "X,Y", "help": "where the presenter's face is in the first frame, 0..1"}
    sub = add("render", render_command, "make one video from footage and an audio take")
    sub.add_argument("footage", type=Path, metavar="FOOTAGE")
    sub.add_argument("audio", type=Path, metavar="AUDIO")
    sub.add_argument("-o", "--out", type=Path, required=True, metavar="OUT.mp4")
    _add_preset(sub)
    sub.add_argument("--face", **face)  # type: ignore[arg-type]
    sub.add_argument("--base", type=Path, metavar="FOLDER", help="a base model that train-base --footage made")
    sub.add_argument(
        "--mouths", type=Path, metavar="FOLDER", help="a mouth model of this footage, for --backend neural"
    )
    sub.add_argument("--text", type=Path, metavar="FILE", help="what the take says: lips close where it has p, b, m")
    sub.add_argument("--language", default="en", help="of the text: en, zh, ... (default en)")
    sub.add_argument("--fresh", action="store_true", help="analyse the footage again even if that was done before")
    sub.add_argument("--json", action="store_true", help="print the result with its quality figures as JSON")
    sub = add("prepare", prepare_command, "analyse footage into a folder; prints the verdict as JSON")
    sub.add_argument("footage", type=Path, metavar="FOOTAGE")
    sub.add_argument("-o", "--out", type=Path, required=True, metavar="FOLDER")
    sub.add_argument("--face", **face)  # type: ignore[arg-type]
    add_measuring(add, face)
    words = "train the base model: from synthesised speech, or on from there with footage that you have the rights to"
    sub = add("train-base", train_base_command, words)
    sub.add_argument(
        "--footage",
        type=Path,
        metavar="DIR",
        help="videos with their own sound; one folder in it for each presenter, or one file for each",
    )
    sub.add_argument(
        "-o", "--out", type=Path, metavar="FOLDER", help="with --footage it may be left out: renders find it then"
    )
    sub.add_argument("--seed", type=int, default=7)
    sub.add_argument("--minutes", type=number(1, 600), default=38.0, help="speech to synthesise")
    words = "train a network on footage that was analysed, to draw its presenter's mouth with --backend neural"
    sub = add("mouths", mouths_command, words)
    sub.add_argument("footage", type=Path, metavar="FOOTAGE")
    sub.add_argument("analysis", type=Path, metavar="ANALYSIS", help="the folder that prepare -o made of it")
    sub.add_argument("out", type=Path, metavar="OUT", help="a folder; an unfinished training in it is gone on with")
    sub.add_argument("--initial", type=Path, metavar="FOLDER", help="another mouth model to begin with")
    sub.add_argument("--size", type=int, choices=(128, 192, 256, 384), help="pixels a side of what it draws")
    sub.add_argument("--minutes", type=number(0.1, 6000), help="that training may take at most")
    sub = add("demo", demo_command, "make the demo presenter and two spoken takes")
    sub.add_argument("folder", type=Path, metavar="FOLDER")
    sub.add_argument("--seconds", type=number(3, 120), default=20.0)
    sub.add_argument("--size", type=int, default=512)
    sub = add("speak", speak_command, "speak a text with the embedded voice")
    sub.add_argument("text", metavar="TEXT")
    sub.add_argument("-o", "--out", type=Path, required=True, metavar="OUT.wav")
    sub.add_argument("--language", default="en")
    add("serve", serve_command, "answer requests as JSON lines on standard input and output")
    return parser


def _add_preset(sub: argparse.ArgumentParser) -> None:
    usual = RenderOptions()
    ways = "exemplar, neural with --mouths FOLDER, or wav2lip with WAV2LIP_CHECKPOINT=FILE"
    sub.add_argument("--backend", default=usual.backend, help=ways)
    words = "of what the model in ENHANCER_MODEL adds to mouths that a network drew, 0 to 1"
    sub.add_argument("--enhance", type=number(0, 1), default=usual.enhance, help=words)
    sub.add_argument("--amplitude", type=number(0.5, 1.5), default=usual.amplitude, help="mouth opening, .5 to 1.5")
    sub.add_argument(
        "--when-shorter", choices=("cut", "rest"), default=usual.when_shorter, help="take ends before footage"
    )
    sub.add_argument("--crf", type=int, choices=range(12, 31), default=usual.crf, metavar="12..30", help="x264 quality")
    sub.add_argument("--speed", choices=("ultrafast", "veryfast", "fast", "medium"), default=usual.speed)
    sub.add_argument("--normalize-loudness", action="store_true", help="bring the take to -16 LUFS")


if __name__ == "__main__":
    status = main()
    if status == INTERRUPTED:
        # Threads in the middle of a long C call would hold an ordinary exit up.
        scratch.remove_all()
        os._exit(status)
    sys.exit(status)
