"""Sites with real clusters. Their databases are copies of one that was migrated once."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import pytest

from tests.rendering.sites import Site, environment, manage

Kind = Literal["sqlite", "postgres"]
NewSite = Callable[..., Site]
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("migrated")
    manage(environment(folder, f"sqlite:///{folder / 'db.sqlite3'}"), "migrate", "--verbosity=0")
    return folder


@pytest.fixture(scope="session")
def migrated_postgres(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    server = request.getfixturevalue("postgres")
    url = server.new_database("migrated")
    manage(environment(tmp_path_factory.mktemp("migrated"), url), "migrate", "--verbosity=0")
    return "migrated"


@pytest.fixture
def new_site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[NewSite]:
    """``new_site(kind, **environment)``: a fresh site on SQLite (a file) or PostgreSQL."""
    sites: list[Site] = []

    def new(kind: Kind = "sqlite", **env: object) -> Site:
        folder = tmp_path / f"site{len(sites)}"
        if kind == "sqlite":
            shutil.copytree(request.getfixturevalue("migrated_sqlite"), folder)
            url = f"sqlite:///{folder / 'db.sqlite3'}"
        else:
            template = request.getfixturevalue("migrated_postgres")
            url = request.getfixturevalue("postgres").new_database(f"site{next(_numbers)}", template)
        sites.append(Site(folder, url, **env))
        return sites[-1]

    yield new
    for site in sites:
        site.close()
