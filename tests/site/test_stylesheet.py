"""Colours can be told apart (WCAG 2.1 AA) by light and by dark, and nothing inline waits to be refused."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CSS = (ROOT / "heygem_site" / "static" / "identity.css").read_text(encoding="utf-8")
TEXT = 4.5
SHAPE = 3.0

PAIRS = [
    *(
        (ink, ground, TEXT)
        for ink in ("ink", "ink-2", "ink-3", "jade", "red")
        for ground in ("paper", "surface", "sunken")
    ),
    *((ink, f"{ground}-soft", TEXT) for ink, ground in (("jade-strong", "jade"), ("blue", "blue"), ("red", "red"))),
    ("amber-ink", "amber-soft", TEXT),
    ("amber-ink", "surface", TEXT),
    ("ink-2", "grey-soft", TEXT),
    ("on-jade", "jade", TEXT),
    ("surface", "red", TEXT),
    ("rail-ink", "rail", TEXT),
    ("rail-ink-2", "rail", TEXT),
    ("line-strong", "surface", SHAPE),
    ("line-strong", "paper", SHAPE),
    ("focus", "surface", SHAPE),
    ("focus", "paper", SHAPE),
]


def colours(theme: str) -> dict[str, str]:
    """The variables of a theme; dark overrides light."""
    blocks = {
        "light": [r":root \{(.*?)\n\}"],
        "dark": [r":root \{(.*?)\n\}", r':root\[data-theme="dark"\] \{(.*?)\n\}'],
    }
    found: dict[str, str] = {}
    for pattern in blocks[theme]:
        match = re.search(pattern, CSS, re.DOTALL)
        assert match, pattern
        found |= dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", match.group(1)))
    return found


def luminance(colour: str) -> float:
    """WCAG 2.1, "relative luminance"."""
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_words_and_shapes_stand_out_from_their_ground(theme: str) -> None:
    known = colours(theme)
    weak = {
        f"{front} on {back}": round(contrast(known[front], known[back]), 2)
        for front, back, least in PAIRS
        if contrast(known[front], known[back]) < least
    }
    assert weak == {}


def test_the_switch_and_the_system_setting_give_the_same_dark() -> None:
    system = re.search(r':root:not\(\[data-theme="light"\]\) \{(.*?)\n  \}', CSS, re.DOTALL)
    assert system
    chosen = re.search(r':root\[data-theme="dark"\] \{(.*?)\n\}', CSS, re.DOTALL)
    assert chosen
    assert system.group(1).split() == chosen.group(1).split()


def test_no_template_carries_a_style_or_script_of_its_own() -> None:
    forbidden = re.compile(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son[a-z]+=|javascript:", re.IGNORECASE)
    found = [
        f"{path.relative_to(ROOT)}: {match.group(0)}"
        for path in (ROOT / "templates").rglob("*.html")
        for match in forbidden.finditer(path.read_text(encoding="utf-8"))
    ]
    assert found == []
