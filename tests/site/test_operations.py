"""The operations guide, in both languages, against the code that it describes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
GUIDES = {"en": ROOT / "docs/operations.md", "zh": ROOT / "docs/operations.zh.md"}
READ = re.compile(
    r"\b_?(?:text|boolean|integer|choice|words|origins|command|folder|secret|database|email|address|fraction|networks"
    r"|amounts|endpoint|regular_file|existing_folder|devices?)\(\s*\"([A-Z][A-Z0-9_]+)\""
)
BY_OTHERS = {"WEB_CONCURRENCY"}
"""Read by gunicorn itself."""
NAME = re.compile(r"`([A-Z][A-Z0-9_]+)`")


def read_by_the_code() -> set[str]:
    """Every name that a parser of ``heygem_site.env`` is called with."""
    found = set(BY_OTHERS)
    for package in ("heygem_site", "projects", "rendering"):
        for path in (ROOT / package).rglob("*.py"):
            found |= set(READ.findall(path.read_text(encoding="utf-8")))
    return found


def section(guide: str, number: int) -> str:
    return GUIDES[guide].read_text(encoding="utf-8").split("\n## ")[number]


def titles(guide: str) -> list[str]:
    return re.findall(r"^## (.+)$", GUIDES[guide].read_text(encoding="utf-8"), re.MULTILINE)


REFERENCE = 1 + titles("en").index("Environment reference")


def rows(guide: str) -> set[str]:
    """The names in the first column of the reference."""
    lines = [line for line in section(guide, REFERENCE).splitlines() if line.startswith("| `")]
    return {name for line in lines for name in NAME.findall(line.split("|")[1])}


@pytest.mark.parametrize("guide", GUIDES)
def test_the_reference_names_every_setting_and_no_other(guide: str) -> None:
    assert rows(guide) == read_by_the_code()


def test_both_languages_have_the_same_parts() -> None:
    english, chinese = (GUIDES[guide].read_text(encoding="utf-8") for guide in ("en", "zh"))
    for mark in (r"^## ", r"^\| ", r"^```", r"^\d+\. "):
        assert len(re.findall(mark, english, re.MULTILINE)) == len(re.findall(mark, chinese, re.MULTILINE)), mark


def test_both_languages_show_the_same_commands() -> None:
    """Comments are translated; what is typed is not."""

    def typed(guide: str) -> list[str]:
        text = GUIDES[guide].read_text(encoding="utf-8")
        blocks = re.findall(r"^ *```(?:sh|json)\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL)
        return [re.split(r" +# ", line)[0].strip() for block in blocks for line in block.splitlines()]

    assert typed("en") == typed("zh")


@pytest.mark.parametrize("guide", GUIDES)
def test_what_the_guide_points_at_is_there(guide: str) -> None:
    text = GUIDES[guide].read_text(encoding="utf-8")
    pointed = set(re.findall(r"`((?:deploy|tests|benchmarks|docs)/[\w./@-]+)`", text))
    pointed |= {f"docs/{name}" for name in re.findall(r"\]\(([\w.]+\.md)", text)}
    assert {name for name in pointed if not (ROOT / name).exists()} == set()


def test_the_example_of_the_environment_uses_names_of_the_reference() -> None:
    lines = (ROOT / "deploy/heygem.env.example").read_text(encoding="utf-8").splitlines()
    named = {found[1].removesuffix("_FILE") for line in lines if (found := re.match(r"#?([A-Z][A-Z0-9_]+)=", line))}
    assert named - rows("en") == set()
    assert len(named) > 8
