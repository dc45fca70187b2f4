"""A small disk is filled on purpose: everything refuses or waits in words, and goes on when there is room again."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.rendering.sites import Site

pytestmark = pytest.mark.qcluster

MB = 1 << 20
DISK = 96 * MB
KEPT = 8 * MB
SENT = 5 * MB
"""Of a file of 6 MB, before the disk is full."""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 96 MB."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a disk of its own")
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "heygem-test", place], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no disk can be mounted here: {mounted.stderr.decode().strip()}")
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


class Ballast:
    """Somebody else's file on the same disk."""

    def __init__(self, disk: Path) -> None:
        self.path = disk / "ballast"

    def leave(self, free: int) -> None:
        """Leave so many bytes free."""
        wanted = shutil.disk_usage(self.path.parent).free - free
        size = self.path.stat().st_size if self.path.exists() else 0
        with self.path.open("ab") as file:
            if wanted >= 0:
                os.posix_fallocate(file.fileno(), size, max(wanted, 1))
            else:
                file.truncate(size + wanted)

    def fill(self) -> None:
        """To the last byte."""
        with self.path.open("ab", buffering=0) as file:
            for step in (MB, 4096, 1):
                while True:
                    try:
                        file.write(b"\0" * step)
                    except OSError:
                        break

    def remove(self) -> None:
        self.path.unlink()


@pytest.fixture
def site(disk: Path, migrated_sqlite: Path) -> Iterator[Site]:
    """Database, media and caches lie on the small disk; two clusters are at work."""
    folder = disk / "site"
    shutil.copytree(migrated_sqlite, folder)
    site = Site(
        folder,
        f"sqlite:///{folder / 'db.sqlite3'}",
        DISK_KEEP_FREE_MB=KEPT // MB,
        CACHE_ROOT=folder / "cache",
        HEYGEM_VAR=folder,
        BACKOFF_SECONDS=2,
    )
    site.cluster("gpu")
    site.cluster("worker")
    yield site
    site.close()


def until(site: Site, what: Callable[[dict[str, Any]], object], seconds: float = 90) -> dict[str, Any]:
    end = time.monotonic() + seconds
    while not what(now := site.call("stand")):
        assert time.monotonic() < end, f"waited in vain: {now}\n{site.logs()}"
        time.sleep(0.3)
    return now


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """6 MB, on another disk."""
    path = tmp_path / "film.mp4"
    path.write_bytes(b"fake:ok\n" + os.urandom(6 * MB))
    return path


def test_everything_refuses_or_waits_in_words_and_goes_on_by_itself(site: Site, disk: Path, film: Path) -> None:
    (first,) = site.call("order", team="Alice's team", modes=["ok"])
    site.wait_until_all_end()
    begun = site.call("announce", name="film.mp4", size=film.stat().st_size)
    assert site.call("send", url=begun["url"], path=str(film), first=0, last=SENT)["offset"] == str(SENT)

    ballast = Ballast(disk)
    ballast.leave(KEPT // 2)

    refused = site.call("announce", name="late.mp4", size=1000)
    assert (refused["status"], refused["code"]) == (507, "storage_full")
    assert "not enough room" in refused["title"]
    waits = site.call("send", url=begun["url"], path=str(film), first=SENT, last=film.stat().st_size)
    assert (waits["status"], waits["code"]) == (507, "storage_full")
    jobs = site.call("order", team="Alice's team", modes=["ok", "ok"])
    site.call("pack")
    # Export and jobs are looked at by different parts of a worker, in either order.
    now = until(
        site,
        lambda now: (
            now["exports"] == ["waiting disk_full"]
            and "disk_full" in now["refusals"]
            and now["word"] == ["broken", "no_room"]
        ),
    )
    assert now["whys"] == ["no_room", "no_room"]
    assert {site.job(job)["state"] for job in jobs} == {"queued"}
    assert site.call("page", url="/") == 200, "looking needs no room"

    ballast.remove()
    done = site.call("send", url=begun["url"], path=str(film), first=SENT, last=film.stat().st_size)
    assert done["status"] == 204, "it goes on where it stood"
    after = until(
        site,
        lambda now: now["exports"] == ["ready"] and not any(now["whys"]) and "film.mp4 ready" in now["material"],
        seconds=150,
    )
    assert after["codes"] == ["succeeded"] * 3
    assert after["word"][0] in ("idle", "active")
    assert not any(after["refusals"])
    assert site.job(first)["attempts"] == 1
    assert site.call("flaws") == []


def test_work_that_fills_the_disk_is_tried_again_and_leaves_nothing_half(site: Site, disk: Path) -> None:
    site.call("order", team="Alice's team", modes=["ok"])
    site.wait_until_all_end()
    ballast = Ballast(disk)
    ballast.leave(KEPT + 2 * MB)  # enough to begin, too little for a video of 12 MB

    (job,) = site.call("order", team="Alice's team", modes=["large"])
    met = site.wait(lambda jobs: jobs[job]["tries"])[job]
    until(site, lambda now: now["codes"][-1] in ("queued disk_full", "running", "failed disk_full"))
    site.wait(lambda jobs: "failed disk_full" in jobs[job]["tries"])
    ballast.remove()

    site.wait(lambda jobs: jobs[job]["state"] == "succeeded")
    assert met["state"] != "failed"
    assert site.job(job)["tries"][0] == "failed disk_full"
    assert site.job(job)["tries"][-1] == "succeeded"
    assert list((disk / "site" / "media" / "work").iterdir()) == []
    assert site.call("flaws") == []


def test_a_disk_without_a_single_byte_damages_nothing(site: Site, disk: Path, film: Path) -> None:
    site.call("order", team="Alice's team", modes=["ok"])
    site.wait_until_all_end()
    begun = site.call("announce", name="film.mp4", size=film.stat().st_size)
    ballast = Ballast(disk)
    ballast.fill()

    waits = site.call("send", url=begun["url"], path=str(film), first=0, last=film.stat().st_size)
    assert waits["status"] == 507
    time.sleep(12)  # the workers' heartbeats find no room either
    ballast.remove()

    (job,) = site.call("order", team="Alice's team", modes=["ok"])
    site.wait(lambda jobs: jobs[job]["state"] == "succeeded", 90)
    assert site.call("send", url=begun["url"], path=str(film), first=0, last=film.stat().st_size)["status"] == 204
    until(site, lambda now: "film.mp4 ready" in now["material"])
    assert site.call("flaws") == []
