"""Chinese is complete, current and compiled; every sentence keeps its fields."""

from __future__ import annotations

import ast
import gettext
import re
import shutil
from pathlib import Path

import pytest
from django.core.management import call_command
from pytest_django.fixtures import Settings

from projects.sentences import joined

ROOT = Path(__file__).resolve().parents[2]
FOLDER = Path("zh_Hans") / "LC_MESSAGES"
CATALOGUE = ROOT / "heygem_site" / "locale" / FOLDER / "django.po"
FIELDS = re.compile(r"%\(\w+\)[sd]|</?kbd>|\{\w+\}")

Key = tuple[str, str, str]
"""Context, sentence, plural."""


def entries(path: Path) -> dict[Key, tuple[str, bool]]:
    """Every sentence of a catalogue with its translation, and whether that is only a guess (fuzzy)."""
    found: dict[Key, tuple[str, bool]] = {}
    for block in path.read_text(encoding="utf-8").split("\n\n"):
        parts = {"msgctxt": "", "msgid": "", "msgid_plural": "", "msgstr": ""}
        word = ""
        for line in block.splitlines():
            if line.startswith("#") or not line.strip():
                continue
            if match := re.match(r"(msg\w+)(?:\[0\])? (\".*)", line):
                word, line = match.groups()
            parts[word] += ast.literal_eval(line)
        if parts["msgid"]:
            fuzzy = any(line.startswith("#,") and "fuzzy" in line for line in block.splitlines())
            found[parts["msgctxt"], parts["msgid"], parts["msgid_plural"]] = (parts["msgstr"], fuzzy)
    return found


def said(compiled: gettext.GNUTranslations, context: str, sentence: str, plural: str) -> str:
    if plural:
        numbered = (sentence, plural, 2)
        return compiled.npgettext(context, *numbered) if context else compiled.ngettext(*numbered)
    return compiled.pgettext(context, sentence) if context else compiled.gettext(sentence)


def test_every_sentence_of_the_catalogue_is_translated() -> None:
    assert [key for key, (text, fuzzy) in entries(CATALOGUE).items() if fuzzy or not text] == []


def test_translations_keep_the_fields_of_their_sentence() -> None:
    wrong = [
        text
        for (_, sentence, plural), (text, _) in entries(CATALOGUE).items()
        if sorted(set(FIELDS.findall(text))) != sorted(set(FIELDS.findall(plural or sentence)))
    ]
    assert wrong == []


def test_the_compiled_catalogue_is_that_of_the_sentences() -> None:
    with CATALOGUE.with_suffix(".mo").open("rb") as file:
        compiled = gettext.GNUTranslations(file)
    differs = [key for key, (text, _) in entries(CATALOGUE).items() if said(compiled, *key) != text]
    assert differs == [], "run: ./heygem manage compilemessages -l zh_Hans"


def test_the_catalogue_holds_what_the_code_says_today(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if shutil.which("xgettext") is None:
        pytest.skip("gettext is not installed: whether the catalogue is current was not checked")
    (tmp_path / FOLDER).mkdir(parents=True)
    fresh = Path(shutil.copy(CATALOGUE, tmp_path / FOLDER))
    settings.LOCALE_PATHS = [tmp_path]
    monkeypatch.chdir(ROOT)
    ignored = ["*/locale", ".venv", "tests/*", "media", "var", "staticfiles", "benchmarks"]
    call_command(
        "makemessages", locale=["zh_Hans"], no_obsolete=True, no_wrap=True, ignore_patterns=ignored, verbosity=0
    )
    now, kept = set(entries(fresh)), set(entries(CATALOGUE))
    assert now - kept == set(), "new sentences: run ./heygem manage makemessages -l zh_Hans, translate, compilemessages"
    assert kept - now == set(), "sentences that nobody says any more"


def test_sentences_stand_apart_in_english_and_close_together_in_chinese() -> None:
    assert joined("One.", "", "Two.") == "One. Two."
    assert joined("一。", "二。") == "一。二。"
