"""Languages of scripts: BCP 47 tags in lower case, such as ``en`` or ``zh-hans``, called by their own names."""

from __future__ import annotations

import re

from django.conf.locale import LANG_INFO

from projects.problems import HeyGemError

OFFERED = (
    *("en", "zh-hans", "zh-hant", "es", "fr", "de", "it", "pt", "pt-br", "nl", "pl", "cs", "da", "sv", "nb", "fi"),
    *("el", "hu", "ro", "bg", "uk", "ru", "tr", "ar", "he", "fa", "hi", "bn", "ta", "th", "vi", "id", "ms", "ja", "ko"),
)
"""The tags that forms offer; any other well-formed tag is accepted too."""

_TAG = re.compile(r"[a-z]{2,3}(-[a-z0-9]{2,8})*")
_SAME = {"zh": "zh-hans", "zh-cn": "zh-hans", "zh-sg": "zh-hans", "zh-tw": "zh-hant", "zh-hk": "zh-hant"}
_NAMES = {"zh-hans": "简体中文", "zh-hant": "繁體中文", "ms": "Bahasa Melayu"}


def normalize(tag: str) -> str:
    """``zh_CN`` -> ``zh-hans``, ``EN-us`` -> ``en-us``. Raises ``HeyGemError('bad_language')``."""
    tag = tag.strip().lower().replace("_", "-")
    tag = _SAME.get(tag, tag)
    if len(tag) > 12 or not _TAG.fullmatch(tag):
        raise HeyGemError("bad_language", tag=tag[:40])
    return tag


def name(tag: str) -> str:
    """The language's own name, which its readers know in whatever language the page is."""
    if tag in _NAMES:
        return _NAMES[tag]
    information = LANG_INFO.get(tag) or LANG_INFO.get(tag.split("-")[0]) or {}
    local = str(information.get("name_local", ""))
    if not local:
        return tag
    known = local[:1].upper() + local[1:]
    return known if tag in LANG_INFO else f"{known} ({tag})"


def choices() -> list[tuple[str, str]]:
    return [(tag, name(tag)) for tag in OFFERED]
