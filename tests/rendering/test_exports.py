"""ZIPs: their names, their manifests, and that they are whole or not there at all."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.http import Http404
from django_q.models import OrmQ

from projects.models import Presenter, Project, Script, Team
from projects.problems import HeyGemError
from projects.services import work
from rendering.models import Export, RenderVersion
from rendering.services import exports, file_names
from tests import factories
from tests.rendering import making


def build(export: Export) -> zipfile.ZipFile:
    exports.build_export(export.pk)
    export.refresh_from_db()
    assert export.state == Export.State.READY, export.error_code
    return zipfile.ZipFile(factories.path_of(export.blob))  # type: ignore[arg-type]


def videos(archive: zipfile.ZipFile) -> list[str]:
    return [name for name in archive.namelist() if name.endswith(".mp4")]


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("王芳 – Привет", "王芳 – Привет"),
        ("../../etc/passwd", "-..-etc-passwd"),
        ('a/b\\c:d*e?f"g<h>i|j', "a-b-c-d-e-f-g-h-i-j"),
        ("CON", "_CON"),
        ("com1.backup", "_com1.backup"),
        ("Concert", "Concert"),
        ("trailing. . ", "trailing"),
        ("line\nbreak\tand\x00nul", "line break and nul"),
        ("evil\u202egpj.exe", "evilgpj.exe"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("   ", "video"),
    ],
)
def test_names_keep_their_script_and_lose_what_a_disk_trips_over(name: str, kept: str) -> None:
    assert file_names.safe(name) == kept


def test_a_long_name_is_cut_between_letters_not_within_one() -> None:
    cut = file_names.safe("语" * 200)
    assert len(cut.encode()) <= file_names.LONGEST
    assert set(cut) == {"语"}


def test_duplicates_are_numbered_also_where_only_capitals_differ() -> None:
    names = file_names.Names()
    assert [names.take(stem, ".mp4") for stem in ("Ada", "ada", "ADA", "Bo")] == [
        "Ada.mp4",
        "ada (2).mp4",
        "ADA (3).mp4",
        "Bo.mp4",
    ]


def test_a_field_that_looks_like_a_template_is_not_filled_again() -> None:
    assert file_names.fill("{presenter} {other}", {"presenter": "{script}", "script": "x"}) == "{script} {other}"


def test_everything_published_is_packed_with_sensible_names(rita: User, team: Team) -> None:
    presenters = [factories.presenter(team, "王芳"), factories.presenter(team, "A/B")]
    script = factories.script(team, "Hello?")
    factories.script_version(script)
    project = factories.project(team, "Spring", presenters=presenters, scripts=[script])
    made = [making.version(project, presenter, script) for presenter in presenters]
    unpublished = making.version(project, presenters[0], script)
    export = exports.create_export(actor=rita, project=project)
    with build(export) as archive:
        assert videos(archive) == ["王芳 - Hello- - en - v1.mp4", "A-B - Hello- - en - v1.mp4"]
        assert archive.read("王芳 - Hello- - en - v1.mp4") == factories.path_of(made[0].video).read_bytes()
        assert {entry.compress_type for entry in archive.infolist() if entry.filename.endswith(".mp4")} == {
            zipfile.ZIP_STORED
        }
        assert archive.testzip() is None
    assert unpublished not in export.versions.all()
    assert (export.done, export.total) == (2, 2)
    assert export.name.startswith("Spring 20")
    assert export.name.endswith(".zip")


def test_the_projects_template_names_the_files(
    rita: User, project: Project, presenter: Presenter, script: Script
) -> None:
    project.file_name_template = "{date}_{project}_{language}"
    project.save()
    version = making.version(project, presenter, script)
    making.version(project, presenter, script)
    with build(exports.create_export(actor=rita, project=project, versions=RenderVersion.objects.all())) as archive:
        stem = f"{version.created_at.date()}_Spring_en"
        assert videos(archive) == [f"{stem}.mp4", f"{stem} (2).mp4"]


def test_the_manifest_says_what_is_what(
    rita: User, bob: User, project: Project, presenter: Presenter, script: Script
) -> None:
    presenter.name = "=1+1"
    presenter.save()
    version = making.version(project, presenter, script, maker=bob)
    RenderVersion.objects.filter(pk=version.pk).update(weights="ab12")
    with build(exports.create_export(actor=rita, project=project)) as archive:
        raw = archive.read("manifest.csv")
        assert raw.startswith(b"\xef\xbb\xbf")
        (row,) = csv.DictReader(io.StringIO(raw.decode("utf-8-sig")))
        whole = json.loads(archive.read("manifest.json"))
    assert row["presenter"] == "'=1+1", "a spreadsheet must not run a name"
    assert row["sha256"] == version.video.sha256
    assert row["wav2lip_checkpoint"] == "ab12"
    assert whole["videos"][0]["presenter"] == "=1+1"
    assert whole["videos"][0]["file"] in archive.namelist()
    assert whole["videos"][0]["made_by"] == "bob"


def test_a_missing_video_is_noted_and_stops_nothing_else(rita: User, team: Team) -> None:
    project = making.ready_project(team, rows=2, columns=1)
    script = project.columns.get().script
    gone, there = (making.version(project, row.presenter, script) for row in project.rows.all())
    factories.path_of(gone.video).unlink()
    with build(exports.create_export(actor=rita, project=project)) as archive:
        assert len(videos(archive)) == 1
        rows = json.loads(archive.read("manifest.json"))["videos"]
    assert [(row["problem"], bool(row["file"])) for row in rows] == [("video_missing", False), ("", True)]
    factories.path_of(there.video).unlink()
    empty = exports.create_export(actor=rita, project=project)
    exports.build_export(empty.pk)
    empty.refresh_from_db()
    assert (empty.state, empty.error_code) == (Export.State.FAILED, "video_missing")


def test_a_chosen_cell_gives_what_it_shows(rita: User, project: Project, presenter: Presenter, script: Script) -> None:
    making.version(project, presenter, script)
    cell = project.deliverables.get()
    key = exports.CellKey(presenter.public_id, script.public_id, "en")
    factories.script_version(script)
    newest = making.version(project, presenter, script)
    cell.published = newest
    cell.save()
    assert exports.create_export(actor=rita, project=project, cells=[key]).versions.get() == newest


def test_a_zip_that_cannot_be_written_fails_with_a_code_and_leaves_nothing(
    rita: User, project: Project, presenter: Presenter, script: Script, media: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    making.version(project, presenter, script)
    export = exports.create_export(actor=rita, project=project)

    def broken(*_: object, **__: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(zipfile.ZipFile, "writestr", broken)
    exports.build_export(export.pk)
    export.refresh_from_db()
    assert (export.state, export.error_code, export.blob) == (Export.State.FAILED, "export_failed", None)
    assert list(work.root().iterdir()) == []


def test_a_redelivered_ticket_starts_anew_and_a_finished_zip_stays(
    rita: User, project: Project, presenter: Presenter, script: Script
) -> None:
    making.version(project, presenter, script)
    export = exports.create_export(actor=rita, project=project)
    Export.objects.filter(pk=export.pk).update(state=Export.State.RUNNING, done=1)  # its worker was lost
    build(export).close()
    blob = export.blob
    exports.build_export(export.pk)
    export.refresh_from_db()
    assert export.blob == blob


def test_an_export_wakes_the_worker_and_may_be_deleted_before_it_is_packed(
    rita: User, victor: User, charlie: User, project: Project, presenter: Presenter, script: Script
) -> None:
    making.version(project, presenter, script)
    export = exports.create_export(actor=rita, project=project)
    assert OrmQ.objects.filter(key="worker").count() == 1
    pk = export.pk
    with pytest.raises(HeyGemError, match="not_allowed"):
        exports.delete_export(actor=victor, export=export)
    with pytest.raises(Http404):
        exports.delete_export(actor=charlie, export=export)
    exports.delete_export(actor=rita, export=export)
    exports.build_export(pk)
    assert not Export.objects.exists()


def test_who_may_pack_and_what_there_must_be(
    rita: User, victor: User, charlie: User, project: Project, presenter: Presenter, script: Script
) -> None:
    with pytest.raises(HeyGemError, match="nothing_to_export"):
        exports.create_export(actor=rita, project=project)
    making.version(project, presenter, script)
    with pytest.raises(HeyGemError, match="not_allowed"):
        exports.create_export(actor=victor, project=project)
    with pytest.raises(Http404):
        exports.create_export(actor=charlie, project=project)
