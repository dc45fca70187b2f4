"""Names that people give: kept as they are written, in any script, and never used as a path."""

from __future__ import annotations

import unicodedata
from pathlib import PurePosixPath

from projects.problems import HeyGemError


def clean(name: str, *, limit: int) -> str:
    """One line without control characters, at most ``limit`` characters. Raises ``HeyGemError('name_missing')``."""
    # Format characters (Cf) stay out of display but joiners are part of how some scripts are written.
    kept = "".join(
        " " if unicodedata.category(letter) in {"Cc", "Zl", "Zp"} else letter
        for letter in unicodedata.normalize("NFC", name)
        if letter not in "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff"
    )
    name = " ".join(kept.split())
    if not name:
        raise HeyGemError("name_missing")
    return name[:limit].rstrip()


def clean_file_name(name: str) -> str:
    """The last part of whatever path a browser sent; its ending survives a cut to 255 characters."""
    name = clean(name.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1], limit=10_000)
    if len(name) > 255:
        ending = PurePosixPath(name).suffix[:12]
        name = name[: 255 - len(ending)] + ending
    return name


def title_from_file(name: str, *, limit: int) -> str:
    """What to call a thing that arrived as ``name``: the file's name without its ending, underscores as spaces."""
    stem = PurePosixPath(name).stem.replace("_", " ")
    return clean(stem if stem.strip() else name, limit=limit)
