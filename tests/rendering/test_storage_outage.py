"""Workers whose files are in a bucket, and what they do while it is away."""

from __future__ import annotations

import io
import sys
import threading
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django_q.models import OrmQ
from pytest_django.fixtures import Settings

from projects.media import media_url
from projects.models import AnalysisState, Footage, Presenter, Project, Script, Team
from projects.services import blobs, uploads, work
from projects.services.footage import add_footage
from rendering import queue
from rendering.execution import analyse, render
from rendering.execution import node as this_process
from rendering.execution.child import engine
from rendering.models import Export, JobState, RenderAttempt, RenderJob, RenderVersion
from rendering.services import exports
from rendering.services.batches import start_batch
from tests import factories
from tests.cast import browser
from tests.rendering import making
from tests.rendering.sites import Site, manage
from tests.rendering.test_execution import fake_job
from tests.s3 import Faults, variables

pytestmark = pytest.mark.django_db
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def fake_engine(s3: Faults, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    settings.ENGINE_COMMAND = [sys.executable, "-m", "tests.fake_engine"]
    settings.BACKOFF_SECONDS = 0
    monkeypatch.setattr(this_process, "_node", None)
    monkeypatch.setattr(blobs, "ANSWERS_FOR_S", 0.0)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    yield
    engine().stop()


def away(s3: Faults, after_s: float, for_s: float) -> None:
    threading.Timer(after_s, lambda: setattr(s3, "mode", "500")).start()
    threading.Timer(after_s + for_s, lambda: setattr(s3, "mode", "ok")).start()


def stored(blob: blobs.MediaBlob) -> bytes:
    return b"".join(blobs.read(blob))


def tries(job: RenderJob) -> list[str]:
    rows = RenderAttempt.objects.filter(job=job).order_by("number")
    return [f"{row.outcome} {row.error_code}".strip() for row in rows]


def test_a_job_is_rendered_from_the_bucket_into_the_bucket(team: Team, s3: Faults) -> None:
    job = fake_job(team, "ok")
    s3.asked.clear()
    assert render.run_ticket() == f"{job.public_id}: version 1"
    version = RenderVersion.objects.get()
    assert version.video is not None
    assert stored(version.video) == b"fake video"
    assert list(work.root().iterdir()) == []
    for blob in (job.footage.blob, job.footage.analysis, job.take.blob):
        assert sum(line.startswith("GET") and blob.path in line for line in s3.asked) == 1  # type: ignore[union-attr]


def test_footage_is_analysed_and_its_analysis_is_in_the_bucket(team: Team, presenter: Presenter) -> None:
    blob = factories.blob(team, b"fake:ok\nfootage")
    footage = factories.footage(presenter, AnalysisState.WAITING, blob=blob)
    assert "done" in analyse.run_ticket()
    footage.refresh_from_db()
    assert footage.analysis is not None
    with zipfile.ZipFile(io.BytesIO(stored(footage.analysis))) as packed:
        assert packed.namelist() == ["lesson.npz", "track.npz"]


def test_nothing_is_claimed_while_the_storage_is_away(team: Team, presenter: Presenter, s3: Faults) -> None:
    job = fake_job(team, "ok")
    footage = factories.footage(presenter, AnalysisState.WAITING, blob=factories.blob(team, b"fake:ok\n"))
    OrmQ.objects.all().delete()
    s3.mode = "500"
    assert render.run_ticket() == analyse.run_ticket() == "the storage does not answer"
    job.refresh_from_db()
    footage.refresh_from_db()
    assert (job.attempts, footage.attempts) == (0, 0)
    assert sorted(OrmQ.objects.values_list("key", flat=True)) == ["gpu", "worker"], "somebody looks again soon"


def test_an_outage_shorter_than_the_lease_costs_no_attempt(team: Team, s3: Faults) -> None:
    job = fake_job(team, "ok:1")
    away(s3, 0.7, 3)
    assert render.run_ticket() == f"{job.public_id}: version 1"
    assert tries(job) == ["succeeded"]


def test_an_outage_longer_than_that_is_a_transient_failure_and_told_as_such(
    team: Team, s3: Faults, settings: Settings
) -> None:
    settings.LEASE_SECONDS = 4
    job = fake_job(team, "ok:1")
    away(s3, 0.7, 60)
    assert "storage_unavailable" in render.run_ticket()
    job.refresh_from_db()
    assert (job.state, job.error_code) == (JobState.QUEUED, "storage_unavailable")
    s3.mode = "ok"
    assert render.run_ticket() == f"{job.public_id}: version 1"
    assert tries(job) == ["failed storage_unavailable", "succeeded"]


def test_an_analysis_waits_for_the_storage_and_then_for_another_try(
    team: Team, presenter: Presenter, s3: Faults, settings: Settings
) -> None:
    footage = factories.footage(presenter, AnalysisState.WAITING, blob=factories.blob(team, b"fake:ok:1\n"))
    away(s3, 0.7, 2)
    assert "done" in analyse.run_ticket()
    settings.LEASE_SECONDS = 4
    other = factories.footage(presenter, AnalysisState.WAITING, blob=factories.blob(team, b"fake:ok:1\nother"))
    away(s3, 0.7, 60)
    assert "storage_unavailable" in analyse.run_ticket()
    other.refresh_from_db()
    assert (other.state, other.attempts) == (AnalysisState.WAITING, 1)
    footage.refresh_from_db()
    assert footage.attempts == 1


def test_a_download_that_breaks_off_does_not_break_the_job(team: Team, s3: Faults) -> None:
    job = fake_job(team, "ok")
    s3.mode, s3.cuts = "cut", 3
    assert render.run_ticket() == f"{job.public_id}: version 1"


def test_a_zip_is_packed_from_the_bucket_when_it_answers_again(
    rita: User, charlie: User, project: Project, presenter: Presenter, script: Script, s3: Faults
) -> None:
    version = making.version(project, presenter, script)
    export = exports.create_export(actor=rita, project=project)
    OrmQ.objects.all().delete()
    s3.mode = "500"
    exports.build_export(export.pk)
    export.refresh_from_db()
    assert (export.state, OrmQ.objects.count()) == (Export.State.WAITING, 1)
    s3.mode = "ok"
    exports.build_export(export.pk)
    export.refresh_from_db()
    assert export.state == Export.State.READY
    assert export.blob is not None
    url = media_url(export.blob, export.name, download=True)
    assert browser(charlie).get(url).status_code == 404
    with urllib.request.urlopen(browser(rita).get(url)["Location"]) as answer:
        packed = zipfile.ZipFile(io.BytesIO(answer.read()))
    assert packed.testzip() is None
    assert packed.read(packed.namelist()[0]) == stored(version.video)


def test_the_same_film_uploaded_again_is_known_once_a_worker_has_read_it(
    bob: User, team: Team, project: Project, presenter: Presenter, script: Script, s3: Faults
) -> None:
    """The jobs that wait for it get their true fingerprint: what the team has made before is not made again."""

    def arrive(name: str) -> Footage:
        film = b"fake:ok\nthe same film"
        to = {"presenter": presenter.public_id}
        upload = uploads.start(actor=bob, team=team, purpose="footage", name=name, size=len(film), target=to)
        uploads.append(upload=upload, offset=0, source=io.BytesIO(film))
        made = uploads.finish(upload=upload)
        assert isinstance(made, Footage)
        return made

    factories.take(script, blob=factories.blob(team, b"fake:ok\ntake", "audio/wav"))
    first = arrive("first.mp4")
    assert blobs.is_unread(first.blob)
    start_batch(actor=bob, project=project)
    assert "done" in analyse.run_ticket()
    assert "version 1" in render.run_ticket()
    first.refresh_from_db()
    assert len(first.blob.sha256) == 64
    Footage.objects.filter(pk=first.pk).update(archived_at=first.created_at)

    second = arrive("second.mp4")
    other = factories.project(team, presenters=[presenter], scripts=[script])
    start_batch(actor=bob, project=other)
    assert queue.claimable().count() == 0
    assert "done" in analyse.run_ticket()
    second.refresh_from_db()
    assert second.blob == first.blob
    assert {job.state for job in RenderJob.objects.all()} == {JobState.SUCCEEDED}
    assert add_footage(actor=bob, presenter=presenter, blob=second.blob, name="again.mp4") == second


@pytest.mark.qcluster
@pytest.mark.django_db(transaction=True)
def test_real_clusters_render_everything_though_the_bucket_is_away_for_a_while(s3: Faults, tmp_path: Path) -> None:
    bucket = blobs.storage().bucket_name  # type: ignore[attr-defined]
    site = Site(tmp_path, f"sqlite:///{tmp_path / 'db.sqlite3'}", **variables(s3.url, bucket))
    try:
        manage(site.env, "migrate", "--verbosity=0")
        site.call("order", team="Alice's", modes=["ok:0.5"] * 6)
        for _ in range(2):
            site.cluster("gpu")
        site.wait(lambda jobs: any(job["state"] == "succeeded" for job in jobs.values()))
        away(s3, 0, 6)
        jobs = site.wait_until_all_end(90)
        assert [job["state"] for job in jobs.values()] == ["succeeded"] * 6
        assert [job["versions"] for job in jobs.values()] == [[1]] * 6
        assert [job["tries"] for job in jobs.values()] == [["succeeded"]] * 6
        assert not (tmp_path / "media" / "blobs").exists()
    finally:
        site.close()
