"""What every test has: the cast, and a media folder of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytest_django.fixtures import Settings

from tests.cast import alice, bob, charlie, mona, presenter, project, rita, script, team, victor

__all__ = ["alice", "bob", "charlie", "mona", "presenter", "project", "rita", "script", "team", "victor"]


@pytest.fixture(autouse=True)
def media(settings: Settings, tmp_path: Path) -> Path:
    """An empty media folder."""
    settings.MEDIA_ROOT = tmp_path / "media"
    settings.MEDIA_ROOT.mkdir()
    return settings.MEDIA_ROOT
