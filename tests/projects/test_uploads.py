"""Uploads over tus 1.0, as a browser makes them."""

from __future__ import annotations

import base64
import io
import os
import time
from datetime import timedelta

import pytest
from django.test import Client

from projects.models import AudioTake, Footage, MediaBlob, Upload
from projects.problems import HeyGemError
from projects.services import uploads
from tests import factories
from tests.cast import browser

VIDEO = bytes(range(256)) * 40


def metadata(**values: str) -> str:
    return ",".join(f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in values.items())


def create(client: Client, team, size: int = len(VIDEO), **values: str):
    values = {"filename": "clip.mp4", "purpose": "footage", "team": team.public_id} | values
    return client.post(
        "/uploads/",
        headers={"Tus-Resumable": "1.0.0", "Upload-Length": str(size), "Upload-Metadata": metadata(**values)},
    )


def patch(client: Client, url: str, data: bytes, offset: int = 0):
    # The test client forgets the content type of an empty body unless it is a header.
    kind = "application/offset+octet-stream"
    headers = {"Tus-Resumable": "1.0.0", "Upload-Offset": str(offset), "Content-Type": kind}
    return client.patch(url, data, content_type=kind, headers=headers)


def head(client: Client, url: str):
    return client.head(url, headers={"Tus-Resumable": "1.0.0"})


def send(client: Client, team, content: bytes = VIDEO, **values: str):
    return patch(client, create(client, team, len(content), **values)["Location"], content)


def test_a_video_becomes_a_new_presenter_named_after_the_file(team, bob):
    answer = send(browser(bob), team, filename="李_雷 (final).MP4")
    footage = Footage.objects.get()
    assert (answer.status_code, answer["Upload-Offset"]) == (204, str(len(VIDEO)))
    assert answer["HeyGem-Created"] == f"/presenters/{footage.presenter.public_id}/"
    assert answer["HeyGem-Created-Id"] == footage.public_id
    assert (footage.presenter.name, footage.name) == ("李 雷 (final)", "李_雷 (final).MP4")
    assert footage.blob.content_type == "video/mp4"


def test_an_interrupted_upload_goes_on_where_it_stopped(team, bob):
    client = browser(bob)
    url = create(client, team)["Location"]
    assert patch(client, url, VIDEO[:1000])["Upload-Offset"] == "1000"
    asked = head(client, url)
    assert (asked["Upload-Offset"], asked["Upload-Length"]) == ("1000", str(len(VIDEO)))
    assert patch(client, url, VIDEO[:500], offset=500).status_code == 409
    assert patch(client, url, VIDEO[1000:], offset=1000).status_code == 204
    blob = MediaBlob.objects.get()
    assert factories.path_of(blob).read_bytes() == VIDEO
    assert head(client, url)["HeyGem-Created-Id"] == Footage.objects.get().public_id


def test_what_arrived_before_the_connection_broke_counts(team, bob):
    class Breaking(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell() >= 600:
                raise OSError("connection reset")
            return super().read(300)

    upload = uploads.start(actor=bob, team=team, purpose="footage", name="a.mp4", size=len(VIDEO), target={})
    with pytest.raises(OSError, match="reset"):
        uploads.append(upload=upload, offset=0, source=Breaking(VIDEO))
    upload.refresh_from_db()
    assert upload.offset == 600
    uploads.append(upload=upload, offset=600, source=io.BytesIO(VIDEO[600:]))
    made = uploads.finish(upload=upload)
    assert factories.path_of(made.blob).read_bytes() == VIDEO


def test_the_last_patch_sent_again_answers_the_same(team, bob):
    client = browser(bob)
    url = create(client, team)["Location"]
    first = patch(client, url, VIDEO)
    again = patch(client, url, b"", offset=len(VIDEO))
    assert again["HeyGem-Created-Id"] == first["HeyGem-Created-Id"]
    assert Footage.objects.count() == 1


def test_more_than_was_announced_is_refused(team, bob):
    client = browser(bob)
    url = create(client, team, size=10)["Location"]
    assert patch(client, url, b"x" * 11).status_code == 413
    assert not Footage.objects.exists()


def test_the_same_file_twice_is_stored_once(team, bob, media):
    client = browser(bob)
    send(client, team, filename="a.mp4")
    send(client, team, filename="b.mp4")
    assert MediaBlob.objects.count() == 1
    assert [footage.name for footage in Footage.objects.order_by("pk")] == ["a.mp4", "b.mp4"]
    assert not list((media / "incoming").iterdir())


def test_it_goes_to_the_presenter_and_the_board_that_were_asked_for(team, bob, presenter):
    project = factories.project(team)
    send(browser(bob), team, presenter=presenter.public_id, project=project.public_id)
    assert Footage.objects.get().presenter == presenter
    assert [row.presenter for row in project.rows.all()] == [presenter]


def test_audio_becomes_a_take_of_the_script_and_language(team, bob, script):
    project = factories.project(team)
    client = browser(bob)
    into = {"purpose": "take", "language": "zh-CN", "project": project.public_id}
    answer = send(client, team, b"RIFF....", filename="声音.wav", script=script.public_id, **into)
    take = AudioTake.objects.get()
    assert answer["HeyGem-Created"] == f"/scripts/{script.public_id}/"
    assert (take.script_version.script, take.script_version.language) == (script, "zh-hans")
    send(client, team, b"ID3.....", filename="Lesson 2.mp3", **into)
    assert [column.script.title for column in project.columns.all()] == ["Greeting", "Lesson 2"]


@pytest.mark.parametrize(
    ("name", "purpose"),
    [("notes.txt", "footage"), ("clip", "footage"), ("voice.wav", "footage"), ("clip.mp4", "take"), ("a.exe", "take")],
)
def test_a_kind_of_file_that_cannot_be_used_is_refused_before_it_is_sent(team, bob, name, purpose):
    answer = create(browser(bob), team, filename=name, purpose=purpose)
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (400, "bad_file_type")
    assert name in problem["title"]
    assert ("mp4" in problem["detail"]) == (purpose == "footage")
    assert not Upload.objects.exists()


@pytest.mark.parametrize("ending", ["mp4", "mov", "avi", "mkv", "webm", "flv", "m4v", "mpg", "MPEG"])
def test_every_promised_kind_of_video_is_let_in(team, bob, ending):
    assert create(browser(bob), team, filename=f"a.{ending}").status_code == 201


@pytest.mark.parametrize("ending", ["wav", "mp3", "m4a", "aac", "flac", "ogg", "opus", "WMA"])
def test_every_promised_kind_of_audio_is_let_in(team, bob, ending):
    assert create(browser(bob), team, filename=f"a.{ending}", purpose="take").status_code == 201


def test_empty_and_oversized_files_are_refused_before_they_are_sent(team, bob, settings):
    settings.UPLOAD_MAX_FOOTAGE_BYTES = 1000
    client = browser(bob)
    assert create(client, team, size=0).json()["code"] == "empty_upload"
    answer = create(client, team, size=1001)
    assert (answer.status_code, answer.json()["code"]) == (413, "file_too_large")


def test_a_stranger_a_viewer_and_somebody_signed_out_upload_nothing(team, alice, victor, charlie, presenter):
    assert create(browser(charlie), team).status_code == 404
    assert create(browser(victor), team).json()["code"] == "not_allowed"
    assert create(browser(), team).status_code == 401
    theirs = charlie.teams.get()
    assert create(browser(charlie), theirs, presenter=presenter.public_id).status_code == 404
    url = create(browser(alice), team)["Location"]
    assert head(browser(charlie), url).status_code == 404
    assert patch(browser(charlie), url, VIDEO).status_code == 404
    assert not Footage.objects.exists()


def test_an_upload_needs_the_token_of_the_page(team, bob):
    client = Client(enforce_csrf_checks=True)
    client.force_login(bob, backend="django.contrib.auth.backends.ModelBackend")
    assert create(client, team).status_code == 403


def test_it_speaks_the_protocol(team, bob):
    client = browser(bob)
    options = client.options("/uploads/")
    assert (options.status_code, options["Tus-Version"]) == (204, "1.0.0")
    assert options["Tus-Extension"] == "creation,termination"
    assert client.post("/uploads/").status_code == 412
    url = create(client, team)["Location"]
    plain = client.patch(url, b"x", content_type="text/plain", headers={"Tus-Resumable": "1.0.0", "Upload-Offset": "0"})
    assert plain.status_code == 415
    broken = {"Tus-Resumable": "1.0.0", "Upload-Length": "-1", "Upload-Metadata": "filename ???"}
    assert client.post("/uploads/", headers=broken).json()["code"] == "bad_upload"
    gone = client.delete(url, headers={"Tus-Resumable": "1.0.0"})
    assert (gone.status_code, gone["Tus-Resumable"]) == (204, "1.0.0")
    assert head(client, url).status_code == 404


@pytest.mark.django_db(transaction=True)
def test_abandoning_removes_what_had_arrived(team, bob, media):
    client = browser(bob)
    url = create(client, team)["Location"]
    patch(client, url, VIDEO[:100])
    client.delete(url, headers={"Tus-Resumable": "1.0.0"})
    assert not list((media / "incoming").iterdir())


def test_forgotten_uploads_are_cleaned_and_fresh_ones_stay(team, bob, media):
    old = uploads.start(actor=bob, team=team, purpose="take", name="a.wav", size=9, target={})
    fresh = uploads.start(actor=bob, team=team, purpose="take", name="b.wav", size=9, target={})
    long_ago = time.time() - 10 * 86400
    os.utime(media / "incoming" / old.public_id, (long_ago, long_ago))
    Upload.objects.filter(pk=old.pk).update(created_at=old.created_at - timedelta(days=10))
    assert uploads.clean_incoming() == 1
    assert list(Upload.objects.all()) == [fresh]
    with pytest.raises(HeyGemError) as error:
        uploads.append(upload=old, offset=0, source=io.BytesIO(b"x"))
    assert error.value.code == "upload_gone"
