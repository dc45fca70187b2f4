"""What a team may send, before a byte is sent; and a disk that fills up meanwhile."""

from __future__ import annotations

import errno
import io
import shutil
import threading
from collections import namedtuple

import pytest
from django.db import OperationalError, connections

from projects.models import AudioTake, MediaBlob, TeamLimits, Upload
from projects.problems import HeyGemError
from projects.services import disk, uploads
from tests import factories
from tests.cast import browser
from tests.projects.test_uploads import VIDEO, create, head, patch

MB = 1 << 20


def limit(team, **limits):
    TeamLimits.objects.update_or_create(team=team, defaults=limits)


def words(answer) -> str:
    return " ".join(map(str, answer.json().values()))


def kept(team, size):
    blob = factories.blob(team)
    factories.take(factories.script(team), blob=blob)
    MediaBlob.objects.filter(pk=blob.pk).update(size=size)


def test_a_file_larger_than_the_team_may_send_is_refused_with_both_sizes(team, bob):
    limit(team, file_bytes=3 * MB)
    answer = create(browser(bob), team, 4 * MB)
    assert (answer.status_code, answer.json()["code"]) == (413, "team_file_too_large")
    assert "4.0\xa0MB" in words(answer)
    assert "3.0\xa0MB" in words(answer)
    assert create(browser(bob), team, 3 * MB).status_code == 201


def test_a_file_that_does_not_fit_is_refused_with_what_is_used_what_is_left_and_what_to_do(team, bob):
    limit(team, storage_bytes=10 * MB)
    kept(team, 6 * MB)
    answer = create(browser(bob), team, 5 * MB)
    assert (answer.status_code, answer.json()["code"]) == (507, "team_storage_full")
    for size in ("5.0\xa0MB", "4.0\xa0MB", "6.0\xa0MB", "10.0\xa0MB"):
        assert size in words(answer)
    assert "Delete" in words(answer)
    assert not Upload.objects.exists()


def test_what_others_are_sending_counts_and_what_they_abandon_does_not(team, bob, alice):
    limit(team, storage_bytes=10 * MB)
    first = create(browser(alice), team, 6 * MB)
    assert create(browser(bob), team, 5 * MB).json()["code"] == "team_storage_full"
    uploads.abandon(upload=Upload.objects.get(public_id=first["Location"].split("/")[2]))
    assert create(browser(bob), team, 5 * MB).status_code == 201


@pytest.mark.django_db(transaction=True)
def test_uploads_that_begin_together_do_not_exceed_the_limit_together(team, bob):
    limit(team, storage_bytes=10 * MB)
    together, answers = threading.Barrier(6), []

    def send() -> None:
        try:
            together.wait()
            uploads.start(actor=bob, team=team, purpose="footage", name="a.mp4", size=4 * MB, target={})
            answers.append("ok")
        except HeyGemError as error:
            answers.append(error.code)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=send) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == ["ok", "ok"] + ["team_storage_full"] * 4


def test_what_was_deleted_makes_room_at_once(team, bob):
    limit(team, storage_bytes=10 * MB)
    kept(team, 6 * MB)
    assert create(browser(bob), team, 5 * MB).status_code == 507
    AudioTake.objects.all().delete()
    assert create(browser(bob), team, 5 * MB).status_code == 201


def test_another_teams_files_do_not_count(team, bob, charlie):
    limit(team, storage_bytes=10 * MB)
    kept(charlie.teams.get(), 100 * MB)
    assert create(browser(bob), team, 10 * MB).status_code == 201


# The disk


@pytest.fixture
def free(monkeypatch):
    """``free(n)``: the disk has n free bytes."""
    space = namedtuple("space", "total used free")

    def set_to(number: int) -> None:
        monkeypatch.setattr(shutil, "disk_usage", lambda _: space(1 << 40, 0, number))

    return set_to


def test_room_is_kept_for_what_others_have_announced(team, bob, settings, free):
    free(settings.DISK_KEEP_FREE_BYTES + 10 * MB)
    assert create(browser(bob), team, 6 * MB).status_code == 201
    refused = create(browser(bob), team, 5 * MB)
    assert (refused.status_code, refused.json()["code"]) == (507, "storage_full")


def test_an_upload_under_way_waits_for_room_and_goes_on_where_it_stood(team, bob, settings, free):
    client = browser(bob)
    url = create(client, team)["Location"]
    assert patch(client, url, VIDEO[:1000]).status_code == 204
    free(settings.DISK_KEEP_FREE_BYTES - 1)
    full = patch(client, url, VIDEO[1000:], 1000)
    assert (full.status_code, full.json()["code"]) == (507, "storage_full")
    assert head(client, url)["Upload-Offset"] == "1000"
    free(settings.DISK_KEEP_FREE_BYTES + MB)
    done = patch(client, url, VIDEO[1000:], 1000)
    assert done["HeyGem-Created-Id"]
    with (settings.MEDIA_ROOT / MediaBlob.objects.get(content_type="video/mp4").path).open("rb") as file:
        assert file.read() == VIDEO


class FullAfter(io.BytesIO):
    """Brings ``content``, and then the disk has no more room."""

    def read(self, size: int | None = -1) -> bytes:
        if chunk := super().read(size):
            return chunk
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_write_that_finds_the_disk_full_keeps_what_was_safe(team, bob, media):
    client = browser(bob)
    upload = Upload.objects.get(public_id=create(client, team)["Location"].split("/")[2])
    with pytest.raises(HeyGemError, match="storage_full"):
        uploads.append(upload=upload, offset=0, source=FullAfter(VIDEO[:700]))
    upload.refresh_from_db()
    assert upload.offset == 700 == (media / "incoming" / upload.public_id).stat().st_size


@pytest.mark.parametrize(
    ("error", "full"),
    [
        (OSError(errno.ENOSPC, "-"), True),
        (OSError(errno.EDQUOT, "-"), True),
        (OSError(errno.EIO, "-"), False),
        (OperationalError("database or disk is full"), True),
        (OperationalError("could not extend file: No space left on device"), True),
        (OperationalError("database is locked"), False),
        (ValueError("-"), False),
    ],
)
def test_a_full_disk_is_told_from_other_trouble(error, full):
    assert disk.is_full(error) is full
