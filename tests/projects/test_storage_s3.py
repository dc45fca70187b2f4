"""Stored files in a bucket: real HTTP to an endpoint that can be told to fail."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import urllib.error
import urllib.request
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from django.contrib.auth.models import User
from django.test import Client
from pytest_django.fixtures import Settings

from projects.media import media_url
from projects.models import MediaBlob, Team
from projects.problems import HeyGemError
from projects.services import blobs, cache, tokens
from projects.storage import StorageUnavailable
from rendering.execution import child
from tests import factories
from tests.cast import browser
from tests.s3 import Faults

pytestmark = pytest.mark.django_db
LARGE = os.urandom(1 << 20) * 40  # two parts and a bit


def content(blob: MediaBlob) -> bytes:
    with blobs.on_disk(blob) as path:
        return path.read_bytes()


def gets(s3: Faults) -> int:
    return sum(line.startswith("GET") and "/blobs/" in line and "?" not in line for line in s3.asked)


def test_the_same_bytes_are_stored_once_and_come_back(team: Team, s3: Faults) -> None:
    blob = blobs.store(team, io.BytesIO(b"moving pictures"), "video/mp4")
    assert blobs.store(team, io.BytesIO(b"moving pictures"), "video/mp4") == blob
    assert [(found.key, found.size) for found in blobs.all_keys()] == [(blob.path, 15)]
    assert blobs.is_stored(blob)
    assert content(blob) == b"moving pictures"
    assert b"".join(blobs.read(blob, 7, 10)) == b"pict"


def test_a_large_file_is_stored_in_parts_and_says_how_far_it_is(team: Team, s3: Faults, tmp_path: Path) -> None:
    source = tmp_path / "large"
    source.write_bytes(LARGE)
    heard: list[int] = []
    blob = blobs.store(team, source, "video/mp4", move=True, hear=lambda done, _: heard.append(done))
    assert heard == [16 << 20, 32 << 20, 40 << 20]
    assert not source.exists()
    assert content(blob) == LARGE


def test_a_copy_is_fetched_once_and_checked(team: Team, s3: Faults) -> None:
    blob = factories.blob(team, b"moving pictures")
    assert content(blob) == content(blob)
    assert gets(s3) == 1
    other = factories.blob(team, b"other")
    MediaBlob.objects.filter(pk=other.pk).update(sha256="0" * 64)
    other.refresh_from_db()
    with pytest.raises(OSError, match="not the bytes"), blobs.on_disk(other):
        pass
    assert cache.size() == blob.size


def test_an_answer_that_breaks_off_is_read_on_from_where_it_stopped(team: Team, s3: Faults) -> None:
    blob = factories.blob(team, LARGE)
    s3.mode, s3.cuts = "cut", 2
    assert content(blob) == LARGE
    assert gets(s3) == 3


def test_answers_that_break_off_for_ever_are_an_outage_and_leave_nothing(team: Team, s3: Faults) -> None:
    blob = factories.blob(team, b"x" * 2000)
    s3.mode, s3.cuts = "cut", 10**6
    with pytest.raises(StorageUnavailable), blobs.on_disk(blob):
        pass
    assert cache.size() == 0


def test_an_outage_is_told_as_one_and_a_missing_file_as_missing(team: Team, s3: Faults) -> None:
    blob = factories.blob(team, b"kept")
    gone = factories.blob(team)
    with pytest.raises(FileNotFoundError):
        list(blobs.read(gone))
    assert not blobs.is_stored(gone)
    assert blobs.missing([blob, gone]) == {gone.pk}
    s3.mode = "500"
    for step in (
        lambda: blobs.store(team, io.BytesIO(b"new"), "video/mp4"),
        lambda: blobs.is_stored(blob),
        lambda: list(blobs.read(blob)),
        lambda: blobs.delete_key(blob.path),
        lambda: list(blobs.all_keys()),
        blobs.check,
    ):
        with pytest.raises(HeyGemError) as told:
            step()
        assert told.value.code == "storage_unavailable"
    assert list(MediaBlob.objects.filter(sha256=blob.sha256)) == [blob]


def test_whether_it_answers_is_asked_only_now_and_then(s3: Faults, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blobs, "ANSWERS_FOR_S", 60.0)  # however slow the machine
    assert all(blobs.answers() for _ in range(5))
    assert len(s3.asked) == 1
    monkeypatch.setattr(blobs, "ANSWERS_FOR_S", 0.0)
    s3.mode = "500"
    assert not blobs.answers()


def test_nobody_fetches_without_a_signature_and_the_answer_carries_name_and_kind(team: Team, s3: Faults) -> None:
    blob = factories.blob(team, b"0123456789")
    url = blobs.signed_url(blob, "晨间 新闻.mp4", save=True)
    assert url is not None
    asked = urllib.request.Request(url, headers={"Range": "bytes=2-4"})
    with urllib.request.urlopen(asked) as answer:
        assert (answer.status, answer.read()) == (206, b"234")
        assert answer.headers["Content-Type"] == "video/mp4"
        assert answer.headers["Content-Disposition"].startswith("attachment; filename*=utf-8''%E6%99%A8")


def test_what_nothing_points_at_goes(team: Team, s3: Faults) -> None:
    kept = factories.footage(factories.presenter(team), blob=factories.blob(team, b"kept"))
    factories.blob(team, b"unused")
    assert blobs.delete_unreferenced(older_than=timedelta(seconds=-60)) == 1
    assert {found.key for found in blobs.all_keys()} == {kept.blob.path, kept.analysis.path}  # type: ignore[union-attr]


def test_a_folder_comes_back_as_it_was_packed(team: Team, s3: Faults, tmp_path: Path) -> None:
    folder = tmp_path / "analysis"
    (folder / "inner").mkdir(parents=True)
    (folder / "track.npz").write_bytes(b"track")
    (folder / "inner" / "patches.bin").write_bytes(b"patches" * 1000)
    for name in ("a.zip", "b.zip"):
        blobs.pack(folder, tmp_path / name)
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    blob = blobs.store(team, tmp_path / "a.zip", "application/zip")
    for _ in range(2):
        with blobs.unpacked(blob) as unpacked:
            assert (unpacked / "inner" / "patches.bin").read_bytes() == b"patches" * 1000
    assert gets(s3) == 1


def test_bytes_that_came_straight_into_the_storage_are_known_once_they_were_read(team: Team, s3: Faults) -> None:
    first = blobs.adopt(team, "a" * 16, 9, "video/mp4")
    blobs.storage().put_bytes(first.path, b"same same")  # type: ignore[attr-defined]
    assert blobs.is_unread(first)
    with blobs.on_disk(first) as path:
        first.sha256 = blobs.digest(path)
    assert blobs.settle(first) == first
    assert first == blobs.store(team, io.BytesIO(b"same same"), "video/mp4")
    second = blobs.adopt(team, "b" * 16, 9, "video/mp4")
    blobs.storage().put_bytes(second.path, b"same same")  # type: ignore[attr-defined]
    second.sha256 = first.sha256
    assert blobs.settle(second) == first


FETCH = """
import sys, django
django.setup()
from projects.models import MediaBlob
from projects.services import blobs
blob = MediaBlob.objects.get()
with blobs.on_disk(blob) as path:
    print(len(path.read_bytes()))
"""


@pytest.mark.django_db(transaction=True)
def test_two_processes_that_want_one_file_fetch_it_once(
    team: Team, s3: Faults, settings: Settings, tmp_path: Path
) -> None:
    blob = factories.blob(team, LARGE)
    server = os.environ.get("TEST_DATABASE_URL", "sqlite:////").rpartition("/")[0]
    env = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "heygem_site.settings",
        "DATABASE_URL": f"{server}/{settings.DATABASES['default']['NAME'].lstrip('/')}",
        "CACHE_ROOT": str(settings.CACHE_ROOT),
    }
    both = [subprocess.Popen([sys.executable, "-c", FETCH], env=env, stdout=subprocess.PIPE) for _ in range(2)]
    assert [process.communicate()[0].split() for process in both] == [[str(blob.size).encode()]] * 2
    assert gets(s3) == 1
    assert [path.name for path in (settings.CACHE_ROOT / "kept").iterdir()] == [blob.public_id]


class TestMedia:
    """The site says who may fetch; the storage sends."""

    def test_who_may_fetch_is_sent_to_the_storage_for_a_while(self, team: Team, victor: User, s3: Faults) -> None:
        blob = factories.blob(team, bytes(range(256)) * 8)
        answer = browser(victor).get(media_url(blob, "clip.mp4"), headers={"Range": "bytes=100-199"})
        assert (answer.status_code, answer["Cache-Control"]) == (302, "private, max-age=600")
        assert answer["Location"].startswith(f"{s3.url}/")
        ranged = urllib.request.Request(answer["Location"], headers={"Range": "bytes=100-199"})
        with urllib.request.urlopen(ranged) as sent:
            assert (sent.status, sent.headers["Content-Range"]) == (206, "bytes 100-199/2048")
            assert sent.read() == (bytes(range(256)) * 8)[100:200]
            assert sent.headers["Content-Disposition"].startswith("inline")

    def test_a_program_with_a_token_fetches_as_well(self, team: Team, victor: User, s3: Faults) -> None:
        blob = factories.blob(team, b"moving pictures")
        _, secret = tokens.create_token(actor=victor, name="-", scope="read", days=1)
        answer = Client().get(media_url(blob, "clip.mp4"), headers={"Authorization": f"Bearer {secret}"})
        with urllib.request.urlopen(answer["Location"]) as sent:
            assert sent.read() == b"moving pictures"

    def test_head_is_answered_by_the_site(self, team: Team, victor: User, s3: Faults) -> None:
        answer = browser(victor).head(media_url(factories.blob(team, b"moving pictures"), "clip.mp4"))
        assert (answer.status_code, answer["Content-Length"], answer["Content-Type"]) == (200, "15", "video/mp4")
        assert browser(victor).head(media_url(factories.blob(team), "clip.mp4")).status_code == 404

    def test_browsers_are_sent_to_the_name_that_they_can_reach(
        self, team: Team, victor: User, s3: Faults, settings: Settings
    ) -> None:
        public = s3.url.replace("127.0.0.1", "localhost")
        default = settings.STORAGES["default"]
        options = default["OPTIONS"] | {"public_endpoint": public}
        settings.STORAGES = settings.STORAGES | {"default": default | {"OPTIONS": options}}
        blob = factories.blob(team, b"moving pictures")
        url = browser(victor).get(media_url(blob, "clip.mp4"))["Location"]
        assert url.startswith(f"{public}/{options['bucket_name']}/site/blobs/")
        with urllib.request.urlopen(url) as sent:
            assert sent.read() == b"moving pictures"
        assert blobs.storage().part_url("key", "id", 1, 9).startswith(public)  # type: ignore[attr-defined]

    def test_a_stranger_learns_nothing(self, team: Team, charlie: User, s3: Faults) -> None:
        url = media_url(factories.blob(team, b"moving pictures"), "clip.mp4")
        assert browser(charlie).get(url).status_code == 404
        assert browser().get(url)["Location"].startswith("/accounts/login/")

    def test_what_a_browser_should_not_open_is_only_ever_saved(self, team: Team, alice: User, s3: Faults) -> None:
        page = factories.blob(team, b"<script>alert(1)</script>", "text/html")
        with urllib.request.urlopen(browser(alice).get(media_url(page, "page.html"))["Location"]) as sent:
            assert sent.headers["Content-Disposition"].startswith("attachment")

    def test_an_address_is_signed_for_an_hour(self, team: Team, alice: User, s3: Faults) -> None:
        url = browser(alice).get(media_url(factories.blob(team, b"x"), "clip.mp4"))["Location"]
        asked = parse_qs(urlsplit(url).query)
        assert asked["X-Amz-Expires"] == ["3600"]
        assert asked["X-Amz-Algorithm"] == ["AWS4-HMAC-SHA256"]


def test_the_engine_is_not_told_the_keys() -> None:
    amazon = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
    for name in ("S3_ACCESS_KEY", "S3_SECRET_KEY", "S3_SECRET_KEY_FILE", "SENTRY_DSN", *amazon):
        assert child.SECRETS.search(name)
