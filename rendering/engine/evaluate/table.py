"""One table of everything measured: as text, as Markdown and as JSON."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

Value = float | int | str | None
Row = dict[str, Value]


@dataclass(frozen=True)
class Column:
    """One figure of the table."""

    key: str
    title: str
    digits: int
    meaning: str


DRAWN = (
    Column("r_open", "open", 2, "same voice: r of the opening, closed loop"),
    Column("r_width", "width", 2, "same voice: r of the width, closed loop"),
    Column("flicker", "flick", 2, "skin flicker relative to the source's"),
    Column("jitter", "jitt", 2, "trembling of the opening relative to the source's"),
    Column("sharpness", "sharp", 2, "sharpness of the mouth relative to the source's"),
    Column("stretched", "stretch", 0, "frames with a stretched patch"),
    Column("amplitude", "amp", 2, "sd of the opening relative to the source's"),
)
COLUMNS = (
    Column("seconds", "s", 0, "length of the footage"),
    Column("tier", "rung", 0, "rung of the ladder, A, B or C"),
    Column("r_open", "open", 2, "same voice: r of the opening, closed loop"),
    Column("r_width", "width", 2, "same voice: r of the width, closed loop"),
    Column("last_open", "l.open", 2, "the same of the last third alone"),
    Column("last_width", "l.width", 2, "the same of the last third alone"),
    Column("within_open", "w.open", 2, "same voice: r of the opening within thirds, each less its own mean"),
    Column("within_width", "w.width", 2, "the same: r of the width"),
    Column("lag", "lag", 0, "frames at which the opening agrees best; positive is late"),
    Column("null", "null", 2, "mean r of the plan for sound from elsewhere in the clip"),
    Column("other_open", "o.open", 2, "another voice: r of the opening, closed loop, mean over this face's pairs"),
    Column("other_width", "o.width", 2, "another voice: r of the width, closed loop"),
    Column("other_plan_open", "p.open", 2, "another voice: r of the planned opening, mean over all voices"),
    Column("other_plan_width", "p.width", 2, "another voice: r of the planned width"),
    Column("team_r_open", "t.open", 2, "same voice, with a base learnt from the set's other clips, closed loop"),
    Column("team_r_width", "t.width", 2, "the same: r of the width"),
    Column("other_team_open", "to.open", 2, "another voice, with a base learnt from all but the two, closed loop"),
    Column("other_team_width", "to.width", 2, "the same: r of the width"),
    Column("other_team_plan_open", "tp.open", 2, "the same: r of the planned opening, mean over all voices"),
    Column("other_team_plan_width", "tp.width", 2, "the same: r of the planned width"),
    *(
        Column(f"neural_{column.key}", f"n.{column.title}", column.digits, f"drawn by a network: {column.meaning}")
        for column in DRAWN
    ),
    *(
        Column(f"other_neural_{key}", f"no.{title}", digits, f"another voice, drawn by a network: {title}")
        for key, title, digits in (("open", "open", 2), ("width", "width", 2), ("leak", "leak", 2))
    ),
    Column("leak", "leak", 2, "partial correlation with the footage's own mouth, given plan and pose"),
    Column("closed", "shut", 2, "p, b, m at which the lips met"),
    Column("closed_source", "(src)", 2, "the same of the source itself"),
    Column("told_closed", "told", 2, "the same when the engine knows the sounds"),
    Column("false", "false", 2, "open sounds at which they met by mistake"),
    Column("false_source", "(src)", 2, "the same of the source itself"),
    Column("told_false", "told", 2, "the same when the engine knows the sounds"),
    Column("rest", "rest", 3, "movement in pauses, IO"),
    Column("rest_source", "(src)", 3, "the same of the source itself"),
    Column("flicker", "flick", 2, "skin flicker relative to the source's"),
    Column("jitter", "jitt", 2, "trembling of the opening relative to the source's"),
    Column("sharpness", "sharp", 2, "sharpness of the mouth relative to the source's"),
    Column("stretched", "stretch", 0, "frames with a stretched patch"),
    Column("kept", "kept", 0, "frames that kept their own pixels"),
    Column("amplitude", "amp", 2, "sd of the opening relative to the source's"),
    Column("freeze_s", "freeze", 2, "longest freeze in seconds"),
    Column("note", "note", 0, "why a row has no figures"),
)
LONG_S = 19.5
"""Footage of twenty seconds, give or take a container's rounding."""
GROUPS: tuple[tuple[str, Callable[[Row], bool]], ...] = (
    ("mean", lambda row: True),
    ("mean, 20 s and more", lambda row: _seconds(row) >= LONG_S),
    ("mean, under 20 s", lambda row: 0 < _seconds(row) < LONG_S),
)


def _seconds(row: Row) -> float:
    return float(row.get("seconds") or 0)


def numbers(rows: Sequence[Row], key: str) -> list[float]:
    """The known values of one figure."""
    return [float(value) for row in rows if isinstance(value := row.get(key), int | float) and math.isfinite(value)]


def means(rows: Sequence[Row]) -> list[Row]:
    """Mean of each figure over all rows, long footage and short footage, over those rows that have the figure."""
    result = []
    for name, belongs in GROUPS:
        group = [row for row in rows if belongs(row)]
        mean: Row = {"clip": name}
        for column in COLUMNS:
            known = numbers(group, column.key)
            if known and column.key != "seconds":
                mean[column.key] = round(sum(known) / len(known), 4)
        if group:
            result.append(mean)
    return result


def _text(value: Value, digits: int) -> str:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return ""
    if isinstance(value, str):
        return value
    if digits == 0:
        return f"{value:.0f}" if float(value).is_integer() else f"{value:.1f}"
    return f"{value:.{digits}f}".replace("0.", ".", 1) if abs(value) < 1 else f"{value:.{digits}f}"


def _grid(rows: Sequence[Row]) -> list[list[str]]:
    shown = [column for column in COLUMNS if any(row.get(column.key) not in (None, "") for row in rows)]
    head = ["clip", *(column.title for column in shown)]
    body = [[str(row["clip"]), *(_text(row.get(column.key), column.digits) for column in shown)] for row in rows]
    return [head, *body]


def as_text(rows: Sequence[Row]) -> str:
    """Columns side by side; those that nothing filled are left out."""
    grid = _grid([*rows, *means(rows)])
    widths = [max(len(line[i]) for line in grid) for i in range(len(grid[0]))]
    lines = [
        "  ".join(
            cell.ljust(width) if i == 0 or i == len(line) - 1 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in grid
    ]
    return "\n".join(lines)


def as_markdown(rows: Sequence[Row]) -> str:
    """The same as a Markdown table."""
    grid = _grid([*rows, *means(rows)])
    rule = ["---"] * len(grid[0])
    return "\n".join("| " + " | ".join(line) + " |" for line in [grid[0], rule, *grid[1:]])


def finite(row: Mapping[str, Value]) -> Row:
    """``row`` as JSON can hold it: rounded, None for what is unknown."""
    return {
        key: (round(value, 4) if math.isfinite(value) else None) if isinstance(value, float) else value
        for key, value in row.items()
    }
