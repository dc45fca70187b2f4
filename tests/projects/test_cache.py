"""The bounded cache: what is kept, what goes, and who waits for whom."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from pytest_django.fixtures import Settings

from projects.services import cache


@pytest.fixture(autouse=True)
def small(settings: Settings) -> None:
    settings.CACHE_MAX_BYTES = 100


def make(size: int = 40, *, slowly: float = 0) -> Callable[[Path], None]:
    def write(part: Path) -> None:
        time.sleep(slowly)
        part.write_bytes(b"x" * size)

    return write


def use(name: str, size: int = 40) -> None:
    with cache.kept(name, size, make(size)) as path:
        assert path.stat().st_size == size


def names(settings: Settings) -> set[str]:
    return {path.name for path in (settings.CACHE_ROOT / "kept").iterdir()}


def age(settings: Settings, name: str, seconds: int) -> None:
    at = time.time() - seconds
    os.utime(settings.CACHE_ROOT / "kept" / name, (at, at))


def test_what_was_not_used_for_longest_makes_room(settings: Settings) -> None:
    for name, seconds in (("a", 300), ("b", 200)):
        use(name)
        age(settings, name, seconds)
    use("a")  # now b is the older one
    use("c")
    assert names(settings) == {"a", "c"}
    assert cache.size() == 80


def test_a_disk_that_is_nearly_full_gets_its_room_back(settings: Settings) -> None:
    use("a")
    with cache.kept("b", 40, make()) as pinned:
        settings.DISK_KEEP_FREE_BYTES = shutil.disk_usage(settings.CACHE_ROOT).free + 10**12
        assert cache.trim() == 40
        assert pinned.exists()
    assert names(settings) == {"b"}


def test_what_nobody_used_for_a_month_goes_in_any_case(settings: Settings) -> None:
    use("a")
    age(settings, "a", 31 * 86400)
    use("b")
    assert names(settings) == {"b"}


def test_what_is_in_use_stays_even_when_it_is_too_much(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    with cache.kept("a", 90, make(90)) as pinned:
        use("b", 90)
        assert pinned.exists()
        assert "all of it is in use" in caplog.text
    use("c")
    assert names(settings) == {"c"}


def test_folders_count_with_all_that_is_in_them(settings: Settings) -> None:
    def folder(part: Path) -> None:
        part.mkdir()
        (part / "one").write_bytes(b"x" * 30)
        (part / "two").write_bytes(b"x" * 30)

    with cache.kept("d", 60, folder) as path:
        assert sorted(inside.name for inside in path.iterdir()) == ["one", "two"]
    assert cache.size() == 60
    use("e", 60)
    assert names(settings) == {"e"}


def test_what_could_not_be_made_is_never_seen(settings: Settings) -> None:
    def broken(part: Path) -> None:
        part.write_bytes(b"half")
        raise ConnectionError

    with pytest.raises(ConnectionError), cache.kept("a", 8, broken):
        pass
    assert cache.size() == 0
    use("a")


def test_what_a_killed_process_left_half_made_goes(settings: Settings) -> None:
    use("a")
    (settings.CACHE_ROOT / "parts" / "dead").write_bytes(b"x" * 30)
    use("b")
    assert cache.size() == 80


def test_one_makes_it_and_the_others_wait_and_hear_of_it(settings: Settings) -> None:
    made: list[str] = []
    heard: list[int] = []

    def slow(part: Path) -> None:
        made.append(part.name)
        with part.open("wb") as file:
            for _ in range(8):
                file.write(b"x" * 5)
                file.flush()
                time.sleep(0.1)

    def want() -> None:
        with cache.kept("a", 40, slow, hear=lambda done, _: heard.append(done)) as path:
            assert path.stat().st_size == 40

    threads = [threading.Thread(target=want) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == ["a"]
    assert any(0 < done < 40 for done in heard)


def test_no_file_stays_for_each_thing_that_was_ever_kept(settings: Settings) -> None:
    for number in range(20):
        use(f"thing {number}")
    assert len(list((settings.CACHE_ROOT / "locks").iterdir())) <= 4
