"""What every test has: the cast, and a media folder of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytest_django.fixtures import Settings

from tests.cast import alice, bob, charlie, mona, presenter, project, rita, script, team, victor
from tests.postgres import postgres

__all__ = ["alice", "bob", "charlie", "mona", "postgres", "presenter", "project", "rita", "script", "team", "victor"]


@pytest.fixture(autouse=True)
def media(settings: Settings, tmp_path: Path) -> Path:
    """An empty media folder."""
    settings.MEDIA_ROOT = tmp_path / "media"
    settings.MEDIA_ROOT.mkdir()
    return settings.MEDIA_ROOT


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With ``--dist loadgroup`` a file's tests run on one worker, so what they share is made once; browsers and real
    clusters each keep to one worker, so that two cores are not asked for six."""
    for item in items:
        if item.get_closest_marker("xdist_group"):
            continue
        group = next((name for name in ("qcluster", "e2e") if item.get_closest_marker(name)), item.path.stem)
        item.add_marker(pytest.mark.xdist_group(group))
