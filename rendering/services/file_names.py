"""Names of files that leave the house: as people wrote them, in any script, yet safe on every disk they may land on."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping

LONGEST = 180
"""Bytes of UTF-8 without the ending: leaves room for a folder within every system's limits."""
NAMELESS = "video"

_FORBIDDEN = re.compile(r'[/\\:*?"<>|]')
_DEVICE = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])(?=\.|$)", re.IGNORECASE)
"""Windows takes these for devices, whatever ending follows."""


def safe(name: str, *, longest: int = LONGEST) -> str:
    """``name`` without what a path, Windows, a terminal or a reader's eye could trip over. Never empty."""
    name = unicodedata.normalize("NFC", name)
    name = _FORBIDDEN.sub("-", name)
    # Control, bidirectional and unassigned characters, and halves of pairs; joiners are part of some scripts.
    name = "".join(
        " " if unicodedata.category(letter) in {"Cc", "Zl", "Zp", "Zs"} else letter
        for letter in name
        if letter in "\u200c\u200d" or unicodedata.category(letter) not in {"Cf", "Cs", "Cn"}
    )
    name = " ".join(name.split()).strip(" .")
    name = name.encode()[:longest].decode(errors="ignore").strip(" .")
    if _DEVICE.match(name):
        name = f"_{name}"
    return name or NAMELESS


def fill(template: str, fields: Mapping[str, str]) -> str:
    """``template`` with its words in braces filled in; the fields' own braces stay as they are."""
    return re.sub(r"\{(\w+)\}", lambda found: fields.get(found[1], found[0]), template)


class Names:
    """Gives every file of a ZIP a name of its own, also on disks that do not tell capitals apart."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def take(self, stem: str, ending: str) -> str:
        """``stem + ending``, or ``stem (2)``, ``stem (3)`` ... when that is taken."""
        stem = safe(stem)
        name, number = stem + ending, 1
        while name.casefold() in self._taken:
            number += 1
            addition = f" ({number})"
            name = safe(stem, longest=LONGEST - len(addition)) + addition + ending
        self._taken.add(name.casefold())
        return name
