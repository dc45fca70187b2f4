"""What a team uses: each stored file once, and the minutes of this month."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from projects.models import MediaBlob, Team, Upload
from rendering.minutes import month_start
from rendering.models import Export, RenderJob, RenderVersion
from rendering.selectors import usage as selectors
from tests import factories
from tests.rendering import making, work


def sized(team: Team, size: int) -> MediaBlob:
    blob = factories.blob(team)
    MediaBlob.objects.filter(pk=blob.pk).update(size=size)
    return blob


@pytest.fixture
def stored(team: Team) -> RenderVersion:
    """Footage of 1, a take of 10, a video of 100, a ZIP of 1000, pictures of 10 000, an analysis of 3 000 000."""
    project = factories.project(team)
    poster = sized(team, 10_000)
    footage = factories.footage(factories.presenter(team), blob=sized(team, 1), poster=poster, filmstrip=poster)
    MediaBlob.objects.filter(pk=footage.analysis_id).update(size=3_000_000)
    script = factories.script(team)
    take = factories.take(script, blob=sized(team, 10))
    version = making.version(project, footage.presenter, script, footage=footage, take=take, poster=poster)
    RenderVersion.objects.filter(pk=version.pk).update(video=sized(team, 100))
    Export.objects.create(team=team, project=project, name="a.zip", state="ready", blob=sized(team, 1000))
    MediaBlob.objects.filter(pk=version.video_id).update(size=200_000)
    return version


def test_bytes_are_told_by_kind_and_a_file_that_serves_several_things_counts_once(team, stored):
    found = selectors.usage(team)
    assert (found.footage, found.takes, found.versions, found.exports) == (1, 10, 100, 1000)
    assert (found.previews, found.analysis, found.unused) == (10_000, 3_000_000, 200_000)
    everything = sum(MediaBlob.objects.filter(team=team).values_list("size", flat=True))
    assert found.bytes + found.unused == 3_211_111 == everything
    assert found.files == 7
    assert found.versions_made == 1


def test_what_is_announced_counts_before_it_has_arrived(team, alice):
    upload = {"team": team, "user": alice, "purpose": "take", "name": "a.wav"}
    Upload.objects.create(**upload, size=500)
    Upload.objects.create(**upload, size=70, finished_at=timezone.now())
    assert selectors.usage(team).uploads == selectors.usage(team).bytes == 500


def test_another_teams_files_and_jobs_are_not_counted(team, stored, charlie):
    other = charlie.teams.get()
    work.new_job(other)
    assert selectors.usage(team).jobs_waiting == 0
    assert selectors.usage(other).footage != 1
    assert selectors.usage(other).versions_made == 0


def test_minutes_are_of_videos_made_this_month_and_of_those_to_come(team):
    made, waiting, earlier, reused = (work.new_job(team) for _ in range(4))
    node = making.worker()
    for job in (made, earlier):
        making.states.succeed(job, work.claimed(job, node), work.finished(job, duration_s=60.0))
    last_month = month_start() - timedelta(minutes=1)
    RenderJob.objects.filter(pk=earlier.pk).update(finished_at=last_month)
    known = RenderVersion.objects.get(job=made)
    making.states.succeed_at_once(reused, known)
    found = selectors.usage(team)
    assert found.rendered_seconds == 60.0
    assert found.planned_seconds == waiting.take.duration_s == 8.0
    assert round(found.render_minutes, 2) == round(68 / 60, 2)
    known.delete()
    assert selectors.usage(team).rendered_seconds == made.take.duration_s, "deleting a version gives no minutes back"


def test_the_installations_limits_apply_where_no_operator_has_said_otherwise(team, settings):
    assert selectors.usage(team).storage_percent is None
    settings.TEAM_STORAGE_BYTES, settings.TEAM_RENDER_MINUTES = 1000, 10
    factories.footage(factories.presenter(team), blob=sized(team, 800), analysis=None)
    MediaBlob.objects.exclude(size=800).delete()
    found = selectors.usage(team)
    assert (found.storage_percent, found.render_percent) == (80, 0)
    assert found.limits.take_seconds is None
