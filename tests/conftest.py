"""What every test has: the cast, and a media folder of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pytest_django.fixtures import Settings
from xdist.scheduler import LoadScopeScheduling

from tests.cast import alice, bob, charlie, mona, presenter, project, rita, script, team, victor
from tests.postgres import postgres
from tests.s3 import s3, s3_server
from tests.sites import migrated_postgres, migrated_sqlite, new_site

__all__ = [
    "alice", "bob", "charlie", "migrated_postgres", "migrated_sqlite", "mona", "new_site", "postgres", "presenter",
    "project", "rita", "s3", "s3_server", "script", "team", "victor",
]  # fmt: skip


@pytest.fixture(autouse=True)
def media(settings: Settings, tmp_path: Path) -> Path:
    """An empty media folder, and an empty cache beside it."""
    settings.CACHE_ROOT = tmp_path / "cache"
    settings.MEDIA_ROOT = tmp_path / "media"
    settings.MEDIA_ROOT.mkdir()
    return settings.MEDIA_ROOT


TOGETHER = (
    "tests/client/test_live.py",
    "tests/e2e/",
    "tests/rendering/test_machines.py",
    "tests/rendering/test_mouths_processes.py",
    "tests/rendering/test_outages.py",
    "tests/rendering/test_disk_full.py",
    "tests/rendering/test_qcluster.py",
    "tests/rendering/test_rolling_upgrade.py",
    "tests/rendering/test_three_hosts.py",
    "tests/site/test_up.py",
)
"""Tests that start whole sites: one after the other, so that two cores are not asked for six; and before all others,
because no other worker can shorten this queue."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: not item.nodeid.startswith(TOGETHER))


class ByFile(LoadScopeScheduling):
    """A file's tests run on one worker, so what they share is made once. (With this pytest, xdist's own groups do not
    reach its scheduler.)"""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return "sites" if file.startswith(TOGETHER) else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile:
    return ByFile(config, log)
