"""Uploads where files are kept in a bucket: by way of any web host, and straight to the storage."""

from __future__ import annotations

import io
import os
import urllib.request
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.core.files.storage import storages
from django.test import Client
from pytest_django.fixtures import Settings

from projects.models import Footage, Team, Upload
from projects.services import blobs, incoming, uploads
from tests.cast import browser
from tests.projects.test_uploads import create, head, patch
from tests.s3 import Faults

pytestmark = pytest.mark.django_db
MEBIBYTE = 1 << 20
FILM = os.urandom(MEBIBYTE) * 19  # two parts and a smaller one
TUS = {"Tus-Resumable": "1.0.0"}


@pytest.fixture
def client(s3: Faults, bob: User) -> Client:
    return browser(bob)


def stored() -> bytes:
    footage = Footage.objects.select_related("blob").get()
    return b"".join(blobs.read(footage.blob))


def left(s3: Faults) -> list[str]:
    """What is in the bucket besides stored files."""
    bucket = storages["default"]
    return [found.key for found in bucket.walk(incoming.ROOT)] + [key for key, _, _ in bucket.unfinished(blobs.ROOT)]


def put(part: dict, content: bytes) -> int:
    piece = content[part["offset"] : part["offset"] + part["size"]]
    plain = {"Content-Type": "application/octet-stream"}
    with urllib.request.urlopen(urllib.request.Request(part["url"], piece, plain, method="PUT")) as answer:
        return answer.status


def test_pieces_of_any_size_that_reach_different_web_hosts_become_one_file(s3: Faults, team: Team, bob: User) -> None:
    url = create(browser(bob), team, len(FILM))["Location"]
    offset = 0
    for size in (1000, 5 * MEBIBYTE, 9 * MEBIBYTE, 3, len(FILM)):
        answer = patch(browser(bob), url, FILM[offset : offset + size], offset=offset)
        offset = min(offset + size, len(FILM))
        assert (answer.status_code, answer["Upload-Offset"]) == (204, str(offset))
        assert head(browser(bob), url)["Upload-Offset"] == str(offset)
    assert answer["HeyGem-Created-Id"] == Footage.objects.get().public_id
    assert stored() == FILM
    assert left(s3) == []


def test_what_arrived_before_the_connection_broke_counts(s3: Faults, team: Team, bob: User) -> None:
    class Breaking(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell() >= 9 * MEBIBYTE:
                raise OSError("connection reset")
            return super().read(size)

    upload = uploads.start(actor=bob, team=team, purpose="footage", name="a.mp4", size=len(FILM), target={})
    with pytest.raises(OSError, match="reset"):
        uploads.append(upload=upload, offset=0, source=Breaking(FILM))
    upload = Upload.objects.get()
    assert upload.offset == 9 * MEBIBYTE
    uploads.append(upload=upload, offset=upload.offset, source=io.BytesIO(FILM[upload.offset :]))
    uploads.finish(upload=upload)
    assert stored() == FILM


def test_a_web_host_that_dies_loses_less_than_a_part(s3: Faults, team: Team, bob: User) -> None:
    class Dying(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell() >= 9 * MEBIBYTE:
                s3.mode = "500"  # nothing that it would still do reaches anybody
            return super().read(size)

    upload = uploads.start(actor=bob, team=team, purpose="footage", name="a.mp4", size=len(FILM), target={})
    with pytest.raises(blobs.StorageUnavailable):
        uploads.append(upload=upload, offset=0, source=Dying(FILM))
    s3.mode = "ok"
    assert Upload.objects.get().offset == 8 * MEBIBYTE


def test_two_hosts_that_get_the_same_piece_at_once_keep_it_once(s3: Faults, team: Team, bob: User) -> None:
    upload = uploads.start(actor=bob, team=team, purpose="footage", name="a.mp4", size=len(FILM), target={})

    class Overtaken(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell() == MEBIBYTE:
                uploads.append(upload=Upload.objects.get(), offset=0, source=io.BytesIO(FILM[: 9 * MEBIBYTE]))
            return super().read(size)

    with pytest.raises(uploads.HeyGemError) as told:
        uploads.append(upload=upload, offset=0, source=Overtaken(FILM))
    assert told.value.code == "upload_conflict"
    now = Upload.objects.get()
    assert now.offset == 9 * MEBIBYTE
    uploads.append(upload=now, offset=now.offset, source=io.BytesIO(FILM[now.offset :]))
    uploads.finish(upload=now)
    assert stored() == FILM


def test_pieces_go_straight_to_the_storage_and_the_site_sees_none_of_them(
    s3: Faults, team: Team, client: Client
) -> None:
    started = create(client, team, len(FILM), filename="李.mp4")
    url = started["HeyGem-Parts"]
    told = client.get(url, headers=TUS).json()
    assert (told["missing"], [part["size"] // MEBIBYTE for part in told["parts"]]) == (len(FILM), [8, 8, 3])
    assert client.post(url, headers=TUS).status_code == 409
    assert put(told["parts"][1], FILM) == 200
    told = client.get(url, headers=TUS).json()
    assert [part["number"] for part in told["parts"]] == [1, 3]
    for part in told["parts"]:
        put(part, FILM)
    assert client.get(url, headers=TUS).json() == {"missing": 0, "parts": []}
    made = client.post(url, headers=TUS)
    assert (made.status_code, made["HeyGem-Created-Id"]) == (201, Footage.objects.get().public_id)
    assert client.post(url, headers=TUS).json() == made.json()
    assert head(client, started["Location"])["HeyGem-Created-Id"] == made.json()["id"]
    assert Footage.objects.get().name == "李.mp4"
    assert stored() == FILM
    assert left(s3) == []


def test_a_part_of_another_size_than_announced_is_not_taken_for_the_part(
    s3: Faults, team: Team, client: Client
) -> None:
    url = create(client, team, len(FILM))["HeyGem-Parts"]
    parts = client.get(url, headers=TUS).json()["parts"]
    for part in parts:
        put(part | {"size": part["size"] - 1}, FILM)
    assert client.post(url, headers=TUS).json()["code"] == "upload_conflict"
    assert client.get(url, headers=TUS).json()["missing"] == len(FILM)


def test_nobody_else_gets_the_addresses(s3: Faults, team: Team, client: Client, charlie: User, alice: User) -> None:
    url = create(client, team)["HeyGem-Parts"]
    for other, status in ((browser(charlie), 404), (browser(alice), 404), (browser(), 401)):
        for answer in (other.get(url, headers=TUS), other.post(url, headers=TUS)):
            assert answer.status_code == status
            assert "X-Amz-Signature" not in answer.content.decode()


def test_what_cannot_be_used_is_refused_before_anything_is_begun(s3: Faults, team: Team, client: Client) -> None:
    assert create(client, team, filename="notes.txt").status_code == 400
    assert left(s3) == []


@pytest.mark.django_db(transaction=True)
def test_abandoned_and_forgotten_uploads_leave_nothing(s3: Faults, team: Team, client: Client) -> None:
    for _ in range(2):
        url = create(client, team, len(FILM))["Location"]
        patch(client, url, FILM[: 9 * MEBIBYTE])
    assert len(left(s3)) == 4
    client.delete(url, headers=TUS)
    assert len(left(s3)) == 2
    assert uploads.clean_incoming() == 0
    assert uploads.clean_incoming(older_than=timedelta(seconds=-60)) == 1
    assert left(s3) == []
    assert not Upload.objects.exists()


def test_an_outage_is_told_as_one_and_nothing_is_begun(s3: Faults, team: Team, client: Client) -> None:
    url = create(client, team, len(FILM))["Location"]
    s3.mode = "500"
    for answer in (create(client, team), patch(client, url, FILM)):
        assert (answer.status_code, answer.json()["code"], answer["Retry-After"]) == (503, "storage_unavailable", "10")
    assert Upload.objects.count() == 1
    s3.mode = "ok"
    assert patch(client, url, FILM).status_code == 204
    assert stored() == FILM


def test_an_outage_at_the_very_end_loses_nothing(s3: Faults, team: Team, client: Client) -> None:
    url = create(client, team, len(FILM))["Location"]
    upload = Upload.objects.get()
    uploads.append(upload=upload, offset=0, source=io.BytesIO(FILM))
    s3.mode = "500"
    assert patch(client, url, b"", offset=len(FILM)).status_code == 503
    s3.mode = "ok"
    assert head(client, url)["Upload-Offset"] == str(len(FILM))
    assert patch(client, url, b"", offset=len(FILM)).status_code == 204
    assert stored() == FILM


def test_an_upload_that_was_begun_in_a_folder_goes_on_there(
    s3: Faults, team: Team, client: Client, settings: Settings
) -> None:
    bucket, settings.S3_BUCKET = settings.S3_BUCKET, ""
    url = create(client, team, 1000)["Location"]
    patch(client, url, FILM[:500])
    settings.S3_BUCKET = bucket
    assert patch(client, url, FILM[500:1000], offset=500).status_code == 204
    assert stored() == FILM[:1000]
