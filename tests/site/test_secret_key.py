from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from heygem_site import secret_key


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SECRET_KEY", raising=False)


def test_the_first_start_makes_a_key_that_only_its_owner_reads(tmp_path: Path) -> None:
    path = tmp_path / "var" / "secret_key"
    assert secret_key.ensure(path)
    assert len(path.read_text()) >= 64
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_next_start_keeps_it(tmp_path: Path) -> None:
    path = tmp_path / "secret_key"
    secret_key.ensure(path)
    before = path.read_text()
    assert not secret_key.ensure(path)
    assert path.read_text() == before


def test_starts_at_the_same_moment_agree_and_leave_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "var" / "secret_key"
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: secret_key.ensure(path), range(8)))
    assert made.count(True) == 1
    assert [child.name for child in path.parent.iterdir()] == ["secret_key"]


def test_a_key_from_the_environment_is_not_doubled_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", "given")
    assert not secret_key.ensure(tmp_path / "secret_key")
    assert not (tmp_path / "secret_key").exists()
