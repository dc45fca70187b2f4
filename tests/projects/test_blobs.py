"""Stored files: once per team, whole or not at all, and gone when nothing needs them."""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from projects.models import MediaBlob, Team
from projects.problems import HeyGemError
from projects.services import blobs
from tests import factories

NOW = timedelta(seconds=-60)


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_the_same_bytes_are_stored_once_per_team(team, charlie, media):
    first = blobs.store(team, io.BytesIO(b"moving pictures"), "video/mp4")
    assert blobs.store(team, io.BytesIO(b"moving pictures"), "video/mp4") == first
    assert factories.path_of(first).read_bytes() == b"moving pictures"
    assert len(files(media)) == 1
    theirs = blobs.store(charlie.teams.get(), io.BytesIO(b"moving pictures"), "video/mp4")
    assert theirs != first
    assert len(files(media)) == 2


def test_a_path_is_copied_unless_it_is_given_away(team, tmp_path):
    source = tmp_path / "a.mp4"
    source.write_bytes(b"one")
    kept = blobs.store(team, source, "video/mp4")
    assert source.exists()
    source.write_bytes(b"two")
    moved = blobs.store(team, source, "video/mp4", move=True)
    assert not source.exists()
    assert [factories.path_of(blob).read_bytes() for blob in (kept, moved)] == [b"one", b"two"]


def test_nothing_at_all_is_refused_and_leaves_nothing(team, media):
    with pytest.raises(HeyGemError) as error:
        blobs.store(team, io.BytesIO(b""), "video/mp4")
    assert error.value.code == "empty_upload"
    assert files(media) == []


def test_a_file_the_disk_lost_is_put_back_by_the_next_upload(team):
    blob = blobs.store(team, io.BytesIO(b"x"), "video/mp4")
    factories.path_of(blob).unlink()
    blobs.store(team, io.BytesIO(b"x"), "video/mp4")
    assert factories.path_of(blob).read_bytes() == b"x"


def test_only_what_nothing_points_at_is_removed(team, presenter, media):
    used = factories.blob(team, b"used")
    poster = factories.blob(team, b"poster", "image/jpeg")
    unused = factories.blob(team, b"unused")
    packed = factories.footage(presenter, blob=used, poster=poster).analysis
    assert blobs.delete_unreferenced(older_than=timedelta(hours=1)) == 0
    assert blobs.delete_unreferenced(older_than=NOW) == 1
    assert set(MediaBlob.objects.all()) == {used, poster, packed}
    assert not factories.path_of(unused).exists()
    assert len(files(media)) == 3


@pytest.mark.parametrize("elsewhere", [False, True])
def test_one_file_of_an_archive_is_taken_out_without_fetching_the_rest(
    elsewhere: bool, team: Team, media: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "large.bin").write_bytes(b"x" * 3_000_000)
    (tmp_path / "in" / "small.npz").write_bytes(b"wanted" * 1000)
    blobs.pack(tmp_path / "in", tmp_path / "packed.zip")
    blob = blobs.store(team, tmp_path / "packed.zip", "application/zip")
    kept = factories.path_of(blob)
    fetched: list[int] = []

    def stream(self: object, key: str, first: int, last: int) -> Iterator[bytes]:
        fetched.append(last + 1 - first)
        yield kept.read_bytes()[first : last + 1]

    if elsewhere:
        monkeypatch.setattr(type(blobs.storage()), "place", lambda self, key: None)
        monkeypatch.setattr(type(blobs.storage()), "stream", stream)
    assert blobs.take_out(blob, "small.npz", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == b"wanted" * 1000
    assert not blobs.take_out(blob, "none.npz", tmp_path / "none")
    assert sum(fetched) < 200_000
    monkeypatch.undo()
    kept.unlink()
    with pytest.raises(FileNotFoundError):
        blobs.take_out(blob, "small.npz", tmp_path / "out")
