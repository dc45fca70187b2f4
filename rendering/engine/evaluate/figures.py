"""From dubbed pieces to the figures of one row."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from rendering.engine.evaluate import measures
from rendering.engine.evaluate.clips import Studied
from rendering.engine.evaluate.filming import Dubbed
from rendering.engine.evaluate.own_voice import OwnVoice
from rendering.engine.evaluate.table import Row, numbers
from rendering.engine.voice.align import align
from rendering.engine.voice.articulate import Closures, closures_met
from rendering.engine.voice.features import HOP_S
from rendering.engine.voice.pauses import activity
from rendering.engine.voice.phones import sequence
from rendering.engine.voice.visemes import Phoneme

KNOWN = ("given", "aligned")
"""Where sounds are from that an engine may be told."""
DRAWN = ("open", "width", "leak", "amplitude", "jitter", "flicker", "sharpness", "stretched", "kept")
"""What is told of another voice's mouths that a network drew."""


def sounds(studied: Studied) -> tuple[tuple[Phoneme, ...] | None, str]:
    """The sounds of a clip's speech to measure closures by, and where they are from."""
    given = studied.clip.phonemes
    if given is not None:
        return given, "given"
    if studied.audio16k is None:
        return None, ""
    words = studied.clip.words
    if words is not None:
        aligned = align(studied.audio16k, words.text, words.language)
        if aligned.trusted:
            return aligned.phonemes, "aligned"
    return sequence(studied.audio16k), "heard"


def pooled(pieces: Sequence[Dubbed], part: Callable[[Dubbed], np.ndarray]) -> np.ndarray:
    """``part`` of all pieces, one after another, with a gap of NaN between them that no shift bridges."""
    gap = round(measures.MAX_LAG_S * pieces[0].fps) + 1
    parts = [np.pad(part(piece).astype(np.float64), ((0, gap), (0, 0)), constant_values=np.nan) for piece in pieces]
    return np.concatenate(parts)


def of_own(studied: Studied, own: OwnVoice, how: str) -> Row:
    """Figures of the same voice, over all pieces together."""
    pieces = own.pieces
    made, truth = pooled(pieces, lambda piece: piece.made), pooled(pieces, lambda piece: piece.truth)
    plan = pooled(pieces, lambda piece: piece.plan)
    lag = measures.best_lag(made[:, 0], truth[:, 0], studied.fps)
    return {
        "r_open": measures.r(made[:, 0], truth[:, 0]),
        "r_width": measures.r(made[:, 1], truth[:, 1]),
        "within_open": measures.r_within([(piece.made[:, 0], piece.truth[:, 0]) for piece in pieces]),
        "within_width": measures.r_within([(piece.made[:, 1], piece.truth[:, 1]) for piece in pieces]),
        "r_plan": measures.r(plan[:, 0], truth[:, 0]),
        "r_plan_width": measures.r(plan[:, 1], truth[:, 1]),
        "lag": lag.frames,
        "r_at_lag": lag.r,
        "last_open": measures.r(pieces[-1].made[:, 0], pieces[-1].truth[:, 0]),
        "last_width": measures.r(pieces[-1].made[:, 1], pieces[-1].truth[:, 1]),
        "null": float(np.nanmean(own.nulls)) if np.isfinite(own.nulls).any() else float("nan"),
        "cv_open": float(np.mean([score for score, _ in own.learned])),
        "offset_ms": float(np.median([offset for _, offset in own.learned])),
        "amplitude": float(np.nanstd(made[:, 0]) / max(np.nanstd(truth[:, 0]), 1e-9)),
        "jitter": _jitter(pieces),
        **_closures(studied, pieces, how),
        **{f"told_{key}": value for key, value in _told(studied, own.told, how).items()},
        **_rest(pieces),
        **_quality(pieces),
    }


def _told(studied: Studied, pieces: Sequence[Dubbed], how: str) -> Row:
    """The same voice again, by an engine that knows the sounds."""
    if not pieces:
        return {}
    made, truth = pooled(pieces, lambda piece: piece.made), pooled(pieces, lambda piece: piece.truth)
    closed = _closures(studied, pieces, how)
    return {
        "open": measures.r(made[:, 0], truth[:, 0]),
        "width": measures.r(made[:, 1], truth[:, 1]),
        "closed": closed.get("closed"),
        "false": closed.get("false"),
        "jitter": _jitter(pieces),
    }


def of_pair(face: Studied, piece: Dubbed, how: str) -> Row:
    """Figures of one face with one other voice."""
    made, truth = piece.made, piece.truth
    given = np.hstack([piece.plan, piece.turn])
    lag = measures.best_lag(made[:, 0], truth[:, 0], face.fps)
    rest = _rest([piece])
    closed = _closures(face, [piece], how)
    return {
        "open": measures.r(made[:, 0], truth[:, 0]),
        "width": measures.r(made[:, 1], truth[:, 1]),
        "lag": lag.frames,
        "leak": measures.leak(made[:, 0], piece.own[:, 0], given),
        "amplitude": float(np.nanstd(made[:, 0]) / max(np.nanstd(face.truth[:, 0]), 1e-9)),
        "jitter": measures.tremble(made[:, 0]) / max(measures.tremble(face.truth[:, 0]), 1e-9),
        "closed": closed.get("closed"),
        "false": closed.get("false"),
        "rest": rest.get("rest"),
        **_quality([piece]),
    }


def of_pairs(pairs: Sequence[Row]) -> Row:
    """A face's means over its pairs. Leak is theirs alone: with its own voice, the footage's mouth is the truth."""
    row: Row = {}
    for name, key in (
        ("other_open", "open"),
        ("other_width", "width"),
        ("other_plan_open", "plan_open"),
        ("other_plan_width", "plan_width"),
        ("other_team_open", "team_open"),
        ("other_team_width", "team_width"),
        ("other_team_plan_open", "team_plan_open"),
        ("other_team_plan_width", "team_plan_width"),
        ("other_team_leak", "team_leak"),
        *((f"other_neural_{key}", f"neural_{key}") for key in DRAWN),
        ("other_lag", "lag"),
        ("leak", "leak"),
        ("other_amplitude", "amplitude"),
        ("other_jitter", "jitter"),
        ("other_flicker", "flicker"),
        ("other_sharpness", "sharpness"),
        ("other_rest", "rest"),
        ("other_stretched", "stretched"),
        ("other_kept", "kept"),
        ("other_freeze_s", "freeze_s"),
    ):
        known = numbers(pairs, key)
        if known:
            row[name] = float(np.mean(known))
    failed = [f"with {pair['voice']}: {pair['note']}" for pair in pairs if "note" in pair]
    return row | ({"note": "; ".join(failed)} if failed else {})


def _jitter(pieces: Sequence[Dubbed]) -> float:
    made, truth = (
        np.sqrt(np.nanmean([measures.tremble(values(piece)[:, 0]) ** 2 for piece in pieces]))
        for values in (lambda piece: piece.made, lambda piece: piece.truth)
    )
    return float(made / max(truth, 1e-9))


def _closures(face: Studied, pieces: Sequence[Dubbed], how: str) -> Row:
    """Closed lips of result and source; empty where the sounds are not known."""
    shut = measures.closed_level(face.truth[:, 0])
    row: Row = {}
    for ending, values in (("", lambda piece: piece.made), ("_source", lambda piece: piece.truth)):
        counts = [
            closures_met(values(piece)[:, 0], piece.times, piece.phonemes, shut)
            for piece in pieces
            if piece.phonemes is not None
        ]
        total = Closures(*(sum(column) for column in zip(*counts, strict=True))) if counts else Closures(0, 0, 0, 0)
        if total.asked:
            row[f"closed{ending}"] = total.hits / total.asked
            row["closures"] = total.asked
        if total.open_asked:
            row[f"false{ending}"] = total.false / total.open_asked
    return row | ({"phones": how} if row else {})


def _rest(pieces: Sequence[Dubbed]) -> Row:
    """Movement in the pauses of the takes, result and source; empty where there are none."""
    row: Row = {}
    for ending, values in (("", lambda piece: piece.made), ("_source", lambda piece: piece.truth)):
        found = [
            measures.rest(
                values(piece)[:, 0], piece.fps, measures.pauses(activity(piece.audio16k), 1 / HOP_S, piece.take_s)
            )
            for piece in pieces
        ]
        seconds = sum(rest.seconds for rest in found)
        if seconds:
            known = [rest for rest in found if rest.seconds]
            row[f"rest{ending}"] = float(np.sqrt(sum(rest.movement**2 * rest.seconds for rest in known) / seconds))
            row["rest_s"] = seconds
    return row


def _quality(pieces: Sequence[Dubbed]) -> Row:
    """What the check of each render said: means by frames, the sum of what was kept, the longest freeze."""
    weights = np.array([len(piece.made) for piece in pieces], float)

    def mean(values: Sequence[float | None]) -> float:
        known = np.array([value is not None for value in values])
        return (
            float(np.average([v for v in values if v is not None], weights=weights[known])) if known.any() else np.nan
        )

    qualities = [piece.quality for piece in pieces]
    return {
        "sync": mean([quality.sync for quality in qualities]),
        "flicker": mean([quality.flicker for quality in qualities]),
        "sharpness": mean([quality.sharpness for quality in qualities]),
        "stretched": sum(piece.stretched or 0 for piece in pieces),
        "kept": sum(quality.frames_kept for quality in qualities),
        "freeze_s": max(quality.longest_freeze_s for quality in qualities),
        "frames": int(weights.sum()),
    }
