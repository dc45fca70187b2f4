"""The suite: a set of clips in, one row of figures for each out, and every pair behind them."""

from __future__ import annotations

import contextlib
import functools
import multiprocessing
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rendering.engine.contract import Report, silent
from rendering.engine.errors import EngineError
from rendering.engine.evaluate import figures, measures
from rendering.engine.evaluate.clips import Clip, study
from rendering.engine.evaluate.mouths import Mouths
from rendering.engine.evaluate.other_voice import (
    chosen_pairs,
    frame_times,
    other_voice,
    plan_for,
    take_span,
    truth_at,
    voice_offset,
)
from rendering.engine.evaluate.own_voice import own_voice
from rendering.engine.evaluate.table import Row, finite, means
from rendering.engine.evaluate.team import teachers, team_base
from rendering.engine.voice.base import BaseModel


@dataclass(frozen=True, kw_only=True)
class SuiteOptions:
    """What to measure."""

    pairs: int | None = 2
    """Voices rendered over each face; 0 for none, None for all. What is only planned is measured for all of them."""
    team: bool = False
    """Also with the base that a team with all other clips would have; a face or voice measured never teaches it."""
    mouths: Mouths | None = None
    """Also with mouths drawn by networks, each learnt from what its piece may be learnt from."""
    seed: int = 0
    jobs: int = 1
    """Processes."""
    keep: Path | None = None
    """Folder for every video rendered; None keeps none."""


@dataclass(frozen=True)
class SuiteResult:
    rows: list[Row]
    pairs: list[Row] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Plain types: rows, their means, and the pairs."""
        return {
            "rows": [finite(row) for row in self.rows],
            "means": [finite(row) for row in means(self.rows)],
            "pairs": [finite(row) for row in self.pairs],
        }


@dataclass(frozen=True)
class _Job:
    """One piece of work for one process; small enough to send there."""

    kind: str
    clip: Clip
    other: Clip | None = None
    offset_s: float = 0.0
    seed: int = 0
    keep: Path | None = None
    voices: tuple[Clip, ...] = ()
    team: tuple[Clip, ...] = ()
    """Clips that may teach a base, if one is asked for."""
    mouths: Mouths | None = None


def run_suite(clips: Sequence[Clip], options: SuiteOptions, *, report: Report = silent) -> SuiteResult:
    """Measure ``clips``. What one of them is refused with, or fails with, stands in its row; the rest goes on."""
    rows: dict[str, Row] = {clip.name: {"clip": clip.name} for clip in clips}
    with _workers(options.jobs) as work:
        _merge(rows, work([_Job("study", clip) for clip in clips], report, "study"))
        able = [clip for clip in clips if "note" not in rows[clip.name]]
        speaking = [clip for clip in able if rows[clip.name]["has_sound"]]
        jobs = [_Job("own", clip, seed=options.seed, keep=options.keep) for clip in speaking]
        _merge(rows, work(jobs, report, "own voice"))
        if options.mouths:
            _merge(rows, work([_drawn(job, options.mouths) for job in jobs], report, "own voice, neural"))
        if options.team:
            jobs = [replace(job, kind="team own", team=tuple(speaking)) for job in jobs]
            _merge(rows, work(jobs, report, "own voice, team"))
        for clip in able:
            if clip not in speaking:
                rows[clip.name]["note"] = "no sound of its own: only another voice"
        pairs = _pairs(able, speaking, work, options, report)
    for clip in able:
        rows[clip.name].update(figures.of_pairs([pair for pair in pairs if pair["clip"] == clip.name]))
    return SuiteResult([rows[clip.name] for clip in clips], pairs)


def _drawn(job: _Job, mouths: Mouths) -> _Job:
    """The same with mouths that a network draws."""
    return replace(job, kind=f"neural {job.kind}", mouths=mouths)


def _merge(rows: dict[str, Row], answers: list[tuple[_Job, Row]]) -> None:
    for job, answer in answers:
        rows[job.clip.name].update(answer)


def _pairs(
    able: Sequence[Clip],
    speaking: Sequence[Clip],
    work: _Work,
    options: SuiteOptions,
    report: Report,
) -> list[Row]:
    """Every (face, voice) as planned, and those chosen as rendered."""
    if options.pairs == 0 or not any(face != voice for face in able for voice in speaking):
        return []
    by_name = {clip.name: clip for clip in able}
    team = tuple(speaking) if options.team else ()
    answers = work([_Job("plan", voice, voices=tuple(able), team=team) for voice in speaking], report, "plans")
    pairs: dict[tuple[str, str], Row] = {}
    offsets: dict[str, float] = {}
    for job, answer in answers:
        if "note" in answer:
            continue
        offsets[job.clip.name] = float(answer.pop("offset_s"))  # type: ignore[arg-type]
        for face, values in answer.items():
            pairs[face, job.clip.name] = {"clip": face, "voice": job.clip.name, **values}  # type: ignore[dict-item]
    chosen = chosen_pairs([clip.name for clip in able], list(offsets), options.pairs)
    jobs = [
        _Job("pair", by_name[face], by_name[voice], offsets[voice], options.seed, options.keep)
        for face, voice in chosen
    ]
    answers = work(jobs, report, "another voice")
    if options.mouths:
        answers += work([_drawn(job, options.mouths) for job in jobs], report, "another voice, neural")
    if options.team:
        answers += work([replace(job, kind="team pair", team=team) for job in jobs], report, "another voice, team")
    for job, answer in answers:
        pairs[job.clip.name, job.other.name].update(answer)  # type: ignore[union-attr]
    return [pairs[key] for key in sorted(pairs)]


_Work = Callable[[list[_Job], Report, str], list[tuple[_Job, Row]]]


@contextlib.contextmanager
def _workers(count: int) -> Iterator[_Work]:
    """A function that does a list of jobs, in this process or in ``count`` others, and answers in the list's order."""
    with contextlib.ExitStack() as stack:
        pool = None
        if count > 1:
            context = multiprocessing.get_context("spawn")
            pool = stack.enter_context(ProcessPoolExecutor(count, context, initializer=_one_thread))

        def work(jobs: list[_Job], report: Report, stage: str) -> list[tuple[_Job, Row]]:
            answers = []
            report(stage, 0, len(jobs))
            results = pool.map(_do, jobs) if pool else map(_do, jobs)
            for job, answer in zip(jobs, results, strict=True):
                answers.append((job, answer))
                report(stage, len(answers), len(jobs))
            return answers

        if pool is None:
            stack.enter_context(_one_thread_here())
        yield work


def _one_thread() -> None:
    """The same sums in the same order, however many cores there are."""
    import torch

    torch.set_num_threads(1)


@contextlib.contextmanager
def _one_thread_here() -> Iterator[None]:
    import torch

    usual = torch.get_num_threads()
    _one_thread()
    try:
        yield
    finally:
        torch.set_num_threads(usual)


def _do(job: _Job) -> Row:
    """Do one job; a refusal or a failure of this clip is an answer too."""
    try:
        with tempfile.TemporaryDirectory(prefix="heygem-evaluate-") as temporary:
            return _KINDS[job.kind](job, Path(temporary))
    except EngineError as error:
        return {"note": f"{error.code}: {error.failure.sentence}"}
    except OSError as error:
        return {"note": f"{error.filename or job.clip.path}: {error.strerror or error}"}


def _study(job: _Job, temporary: Path) -> Row:
    studied = study(job.clip)
    return {
        "seconds": round(len(studied.analysis.track) / studied.fps, 2),
        "tier": studied.analysis.prepared.tier,
        "has_sound": studied.audio16k is not None,
    }


def _own(job: _Job, temporary: Path) -> Row:
    studied = study(job.clip)
    phones, how = figures.sounds(studied)
    told = how in figures.KNOWN
    own = own_voice(studied, _place(job, temporary), silent, seed=job.seed, phonemes=phones, told=told)
    return figures.of_own(studied, own, how)


def _team_own(job: _Job, temporary: Path) -> Row:
    studied, base = study(job.clip), team_base(teachers(job.team, job.clip))
    if base is None:
        return {}
    phones, how = figures.sounds(studied)
    own = own_voice(studied, _place(job, temporary, "team"), silent, seed=job.seed, phonemes=phones, base=base)
    return _named("team", figures.of_own(studied, own, how))


def _neural_own(job: _Job, temporary: Path) -> Row:
    studied = study(job.clip)
    phones, how = figures.sounds(studied)
    network = functools.partial(_asked(job).network, studied)
    place = _place(job, temporary, "neural")
    own = own_voice(studied, place, silent, seed=job.seed, phonemes=phones, network=network)
    return _named("neural", figures.of_own(studied, own, how))


def _named(name: str, row: Row) -> Row:
    return {f"{name}_{key}": value for key, value in row.items()}


def _asked(job: _Job) -> Mouths:
    if job.mouths is None:
        raise ValueError("nobody said where networks are")
    return job.mouths


def _plans(job: _Job, temporary: Path) -> Row:
    """Each face's plan for this voice, against the voice's mouth at the offset that all plans together hear.

    With a team's base at the same offset: what is compared is the bases.
    """
    voice = study(job.clip)
    faces = {clip.name: study(clip) for clip in job.voices if clip != job.clip}
    plans = {name: plan_for(face, voice, 0.0) for name, face in faces.items()}
    late = voice_offset(voice, plans, {name: face.fps for name, face in faces.items()})
    start, end = take_span(voice)
    answer: dict[str, Any] = {"offset_s": late}
    for name, plan in plans.items():
        truth = truth_at(voice, start + frame_times(faces[name], start, end) - late)
        answer[name] = {
            "plan_open": measures.r(plan[:, 0], truth[:, 0]),
            "plan_width": measures.r(plan[:, 1], truth[:, 1]),
        }
        base = team_base(teachers(job.team, faces[name].clip, job.clip))
        if base is not None:
            plan = plan_for(faces[name], voice, 0.0, base)
            answer[name] |= {
                "team_plan_open": measures.r(plan[:, 0], truth[:, 0]),
                "team_plan_width": measures.r(plan[:, 1], truth[:, 1]),
            }
    return answer


def _pair(job: _Job, temporary: Path) -> Row:
    return _of_pair(job, _place(job, temporary))


def _team_pair(job: _Job, temporary: Path) -> Row:
    base = team_base(teachers(job.team, *(clip for clip in (job.clip, job.other) if clip)))
    return {} if base is None else _named("team", _of_pair(job, _place(job, temporary, "team"), base))


def _neural_pair(job: _Job, temporary: Path) -> Row:
    return _named("neural", _of_pair(job, _place(job, temporary, "neural")))


def _of_pair(job: _Job, place: Path, base: BaseModel | None = None) -> Row:
    if job.other is None:
        raise ValueError("a pair needs a voice")
    face, voice = study(job.clip), study(job.other)
    phones, how = figures.sounds(voice)
    out = place / f"{job.clip.path.stem}+{job.other.path.stem}.mp4"
    network = None if job.mouths is None else job.mouths.network(face, face.analysis.track, "whole")
    return figures.of_pair(face, other_voice(face, voice, job.offset_s, out, silent, phones, base, network), how)


def _place(job: _Job, temporary: Path, inner: str = "") -> Path:
    """Where videos go."""
    if job.keep is None:
        return temporary
    (job.keep / inner).mkdir(parents=True, exist_ok=True)
    return job.keep / inner


_KINDS: dict[str, Callable[[_Job, Path], Row]] = {
    "study": _study,
    "own": _own,
    "team own": _team_own,
    "neural own": _neural_own,
    "plan": _plans,
    "pair": _pair,
    "team pair": _team_pair,
    "neural pair": _neural_pair,
}
