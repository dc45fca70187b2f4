"""The commands ``evaluate``, ``sheet`` and ``trackers``."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rendering.engine.console import FAILED, ProgressBar, complain, number

SQUARES = (128, 192, 256, 384)
"""Of ``neural.crops.SIZES``, which needs more than a command line does."""
Add = Callable[[str, Callable[[argparse.Namespace], int], str], argparse.ArgumentParser]


def add_measuring(add: Add, face: Mapping[str, Any]) -> None:
    """Make both known; ``add`` takes a name, what to call and what it does, and answers with its parser. ``face``: the
    option that points at one of several."""
    sub = add("evaluate", evaluate_command, "dub clips with their own and each other's sound, compare with the truth")
    sub.add_argument("clips", type=Path, nargs="*", metavar="CLIP", help="a film, or a folder of films")
    sub.add_argument("--generated", action="store_true", help="also generated presenters, whose sounds are known")
    sub.add_argument("--pairs", type=_count, default=2, metavar="N|all", help="voices rendered over each face")
    words = "also with the base model that a team with all other clips would have"
    sub.add_argument("--team", action="store_true", help=words)
    sub.add_argument(
        "--mouths", type=Path, metavar="FOLDER", help="also with networks; those that are not kept there learn first"
    )
    sub.add_argument("--mouths-steps", type=_steps, default=1000, metavar="N", help="steps that each of them learns")
    words = "mouth model that they begin with; it must not have learnt from these clips"
    sub.add_argument("--mouths-initial", type=Path, metavar="FOLDER", help=words)
    sub.add_argument("--mouths-size", type=int, choices=SQUARES, default=SQUARES[0], help="pixels of their squares")
    sub.add_argument("--seed", type=int, default=0, help="which wrong sound the null is planned for")
    sub.add_argument("--jobs", type=int, choices=range(1, 65), default=1, metavar="N", help="processes")
    sub.add_argument("--keep", type=Path, metavar="FOLDER", help="keep every video that is made")
    sub.add_argument("--json", type=Path, metavar="FILE", help="also write every figure, of every pair, as JSON")
    sub.add_argument("--markdown", type=Path, metavar="FILE", help="also write the table as Markdown")
    sub = add("sheet", sheet_command, "a contact sheet of mouths with their times and sounds, as a PNG")
    sub.add_argument("video", type=Path, metavar="VIDEO")
    sub.add_argument("-o", "--out", type=_picture, required=True, metavar="OUT.png")
    sub.add_argument("--source", type=Path, metavar="FOOTAGE", help="show the same frames of it in a second row")
    sub.add_argument("--phones", type=Path, metavar="JSON", help="[[start_s, end_s, IPA], ...]; else they are heard")
    sub.add_argument("--face", **face)
    sub.add_argument("--start", type=number(0, 36_000), default=0.0, metavar="SECONDS")
    sub.add_argument("--seconds", type=number(0.04, 3600), default=4.0)
    sub.add_argument("--step", type=int, choices=range(1, 101), default=1, metavar="N", help="every Nth frame")
    sub.add_argument("--columns", type=int, choices=range(1, 101), default=10, metavar="N")
    sub.add_argument("--scale", type=int, choices=range(1, 9), default=1, metavar="1..8", help="enlargement")
    sub = add("trackers", trackers_command, "how far the bundled tracker and face-alignment agree on clips")
    sub.add_argument("clips", type=Path, nargs="+", metavar="CLIP")
    sub.add_argument("--json", type=Path, metavar="FILE", help="also write the figures as JSON")


def trackers_command(options: argparse.Namespace) -> int:
    from rendering.engine.alignment import nets
    from rendering.engine.errors import EngineError
    from rendering.engine.evaluate.agreement import as_lines, compare
    from rendering.engine.evaluate.table import finite

    try:
        loaded = nets.load()
    except EngineError as error:
        if error.code != "no_tracker_weights":
            raise
        print(f"Skipped: the weights of face-alignment are not on this machine ({error.detail}).")
        return 0
    bar, rows = ProgressBar(), []
    for clip in options.clips:
        found = compare(clip, loaded, report=bar)
        bar.end()
        print("\n".join([*as_lines(found), ""]))
        rows.append(finite(asdict(found)))
    if options.json is not None:
        options.json.write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n")
    return 0


def evaluate_command(options: argparse.Namespace) -> int:
    from rendering.engine.evaluate.clips import find_clips
    from rendering.engine.evaluate.generated import generated_clips
    from rendering.engine.evaluate.mouths import Mouths
    from rendering.engine.evaluate.suite import SuiteOptions, run_suite
    from rendering.engine.evaluate.table import as_markdown, as_text

    for path in filter(None, (options.json, options.markdown)):
        if not path.parent.is_dir():
            return complain(f"{path.parent}: no such folder.")
    bar = ProgressBar()
    clips = find_clips(options.clips) + (generated_clips(report=bar) if options.generated else [])
    if not clips:
        return complain("There is nothing to measure: name clips or folders of clips, or ask for --generated.")
    drawn = (options.mouths, options.mouths_steps, options.mouths_size, options.mouths_initial)
    mouths = Mouths(*drawn) if options.mouths else None
    asked = SuiteOptions(
        pairs=options.pairs,
        team=options.team,
        mouths=mouths,
        seed=options.seed,
        jobs=options.jobs,
        keep=options.keep,
    )
    result = run_suite(clips, asked, report=bar)
    bar.end()
    for path, text in (
        (options.json, json.dumps(result.as_json(), indent=1, ensure_ascii=False)),
        (options.markdown, as_markdown(result.rows)),
    ):
        if path is not None:
            path.write_text(text + "\n")
    print(as_text(result.rows))
    return FAILED if all("r_open" not in row and "other_open" not in row for row in result.rows) else 0


def sheet_command(options: argparse.Namespace) -> int:
    from rendering.engine.evaluate.clips import read_phonemes
    from rendering.engine.evaluate.sheet import SheetOptions, sheet

    shown = SheetOptions(
        start_s=options.start,
        seconds=options.seconds,
        step=options.step,
        columns=options.columns,
        scale=options.scale,
        face=options.face,
    )
    phonemes = read_phonemes(options.phones) if options.phones else None
    bar = ProgressBar()
    width, height = sheet(
        options.video, options.out, source=options.source, phonemes=phonemes, options=shown, report=bar
    )
    bar.end()
    print(f"{options.out}: {width} x {height}")
    return 0


def _picture(text: str) -> Path:
    path = Path(text)
    if path.suffix.lower() != ".png":
        raise argparse.ArgumentTypeError("must be the name of a PNG file")
    return path


def _steps(text: str) -> int:
    """A whole number of at least one."""
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError("must be a whole number from 1")
    return int(text)


def _count(text: str) -> int | None:
    """A number of voices; None for all of them."""
    if text == "all":
        return None
    if not text.isdecimal():
        raise argparse.ArgumentTypeError('must be a whole number, or "all"')
    return int(text)
