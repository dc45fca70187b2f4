"""Sentences one after the other: a space between them, but none after the wide marks of Chinese."""

from __future__ import annotations

import re

from django.utils.translation import gettext as _

WIDE = "。！？：；，"
_GAP = re.compile(rf"([{WIDE}](?:</(?:a|b|code|em|span|strong)>)*)\s+")


def joined(*sentences: object) -> str:
    """``sentences`` in their order; what is empty is left out."""
    told = ""
    for sentence in filter(None, map(str, sentences)):
        gap = "" if not told or told[-1] in WIDE else " "
        told = f"{told}{gap}{sentence}"
    return told


def named(name: object, value: object) -> str:
    """``name: value``, with the colon of the reader's language."""
    return f"{name}{_(': ')}{value}"


def without_gaps(text: str) -> str:
    """``text``, which may be marked up, without the spaces that stand after wide marks."""
    return _GAP.sub(r"\1", text)
