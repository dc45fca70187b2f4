"""What goes by itself, what stays, and that a plan says exactly what is then done."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.http import Http404
from django.utils import timezone

from projects.models import AuditEvent, Footage, MediaBlob, Upload
from projects.problems import HeyGemError
from projects.services import blobs, disk
from rendering.layout import load_layout
from rendering.models import Deliverable, Export, RenderAttempt, RenderVersion, RetentionRule
from rendering.selectors import retention as selectors
from rendering.selectors.retention import Part, Why
from rendering.services import batches, exports, retention, versions
from tests import factories
from tests.cast import browser
from tests.rendering import making, work

MB = 1 << 20
NEVER = dict.fromkeys(["work_days", "preview_days", "analysis_days", "mouth_days", "export_days", "version_days"])


@pytest.fixture
def operator(db):
    return factories.user("olga", is_staff=True)


def ago(days):
    return timezone.now() - timedelta(days=days)


def rule(team, **days):
    RetentionRule.objects.update_or_create(team=team, defaults=days)


def age(row, days, column="created_at"):
    type(row)._default_manager.filter(pk=row.pk).update(**{column: ago(days)})
    if isinstance(row, RenderVersion):
        MediaBlob.objects.filter(pk=row.video_id).update(created_at=ago(days))


def cell(team, ages):
    """One cell with a version for each age (in days), the oldest first; the first one is published."""
    project = factories.project(team)
    presenter, script = factories.presenter(team), factories.script(team)
    footage, take = factories.footage(presenter), factories.take(script)
    made = []
    for days in ages:
        version = making.version(project, presenter, script, footage=footage, take=take)
        age(version, days)
        made.append(RenderVersion.objects.get(pk=version.pk))
    Deliverable.objects.filter(pk=made[0].deliverable_id).update(published=made[0])
    return made


def apply(team=None):
    return retention.apply(selectors.plan(team))


def left(version):
    version.refresh_from_db()
    return version.video_id is not None


# Superseded versions


def test_without_a_rule_everything_is_kept(team):
    cell(team, [300, 200, 100])
    assert selectors.plan().things == ()


def test_a_version_loses_its_video_some_days_after_it_was_superseded_and_stays_in_the_history(team):
    published, middle, newest = cell(team, [300, 200, 31])
    rule(team, version_days=30)
    video = middle.video
    (thing,) = selectors.plan().things
    assert (thing.part, thing.pk, thing.size) == (Part.VERSIONS, middle.pk, middle.video.size)
    assert apply().things == (thing,)
    blobs.delete_unreferenced()
    assert [left(version) for version in (published, middle, newest)] == [True, False, True]
    assert middle.video_removed_at is not None
    assert not blobs.is_stored(video)
    assert not MediaBlob.objects.filter(pk=video.pk).exists()
    assert RenderVersion.objects.filter(deliverable=middle.deliverable).count() == 3
    assert apply().things == ()


def test_what_was_superseded_only_lately_stays(team):
    cell(team, [300, 200, 29])
    rule(team, version_days=30)
    assert apply().things == ()


def test_a_change_of_what_is_published_begins_the_count_anew(team, alice):
    old, middle, newest = cell(team, [300, 200, 100])
    rule(team, version_days=30)
    versions.publish(actor=alice, version=middle)
    assert apply().things == (), "the one that was published until today may be wanted back"
    Deliverable.objects.filter(pk=old.deliverable_id).update(published_at=ago(31))
    apply()
    assert [left(version) for version in (old, middle, newest)] == [False, True, True]


def test_a_video_that_a_kept_version_shares_stays(team):
    _, middle, _ = cell(team, [300, 200, 100])
    other, _ = cell(team, [300, 200])
    RenderVersion.objects.filter(pk=other.pk).update(video=middle.video)
    rule(team, version_days=30)
    assert apply().things == ()
    assert left(middle)


def test_a_video_that_only_superseded_versions_share_counts_once_and_goes(team):
    _, first, _ = cell(team, [300, 200, 100])
    _, second, _ = cell(team, [300, 200, 100])
    RenderVersion.objects.filter(pk=second.pk).update(video=first.video)
    rule(team, version_days=30)
    plan = selectors.plan()
    assert (len(plan.things), plan.size) == (2, first.video.size)
    apply()
    assert not left(first)
    assert not left(second)


def test_what_an_unfinished_zip_is_to_hold_stays_until_it_is_packed(team, alice):
    _, middle, _ = cell(team, [300, 200, 100])
    rule(team, version_days=30)
    export = exports.create_export(actor=alice, project=middle.deliverable.project, versions=[middle])
    assert apply().things == ()
    exports.build_export(export.pk)
    assert len(apply().things) == 1


def test_a_plan_takes_nothing_that_has_been_published_since(team, alice):
    _, middle, _ = cell(team, [300, 200, 100])
    rule(team, version_days=30)
    plan = selectors.plan()
    versions.publish(actor=alice, version=middle)
    assert retention.apply(plan).things == ()
    assert left(middle)


@pytest.fixture
def removed(team):
    _, middle, _ = cell(team, [300, 200, 100])
    rule(team, version_days=30)
    apply()
    middle.refresh_from_db()
    return middle


def test_the_page_of_the_cell_tells_what_became_of_the_video(removed, alice):
    url = f"/cells/{removed.deliverable.public_id}/"
    client = browser(alice)
    assert "Video removed by retention" in client.get(url).content.decode()
    shown = client.get(f"{url}?version={removed.number}").content.decode()
    assert "The video of version 2 was removed" in shown
    assert "data-player" not in shown


def test_a_removed_video_is_neither_compared_nor_published(removed, alice):
    client = browser(alice)
    compare = f"/cells/{removed.deliverable.public_id}/compare/"
    page = client.get(compare)
    assert page.status_code == 200
    assert "Version 2<" not in page.content.decode()
    assert client.get(f"{compare}?a=2&b=1").status_code == 410
    with pytest.raises(HeyGemError, match="video_removed"):
        versions.publish(actor=alice, version=removed)


def test_a_zip_notes_the_removed_video_and_packs_the_others(removed, alice, team):
    others = list(removed.deliverable.versions.exclude(pk=removed.pk))
    export = exports.create_export(actor=alice, project=removed.deliverable.project, versions=[removed, *others])
    exports.build_export(export.pk)
    export.refresh_from_db()
    assert export.state == Export.State.READY


def test_a_render_that_the_removed_version_once_was_is_rendered_again(team, bob):
    project = making.ready_project(team, rows=1, columns=1)
    batches.start_batch(actor=bob, project=project)
    (version,) = making.succeed_all()
    RenderVersion.objects.filter(pk=version.pk).update(video=None, video_removed_at=timezone.now())
    key = next(iter(load_layout(project).cells())).key
    assert batches.start_batch(actor=bob, project=project, cells=[key]).jobs.get().state == "queued"


# What can be made again


def looked_at(team, column, days, **blob):
    """Footage whose preview or analysis was last used so many days ago."""
    file = factories.blob(team)
    MediaBlob.objects.filter(pk=file.pk).update(created_at=ago(400), used_at=ago(days), **blob)
    footage = factories.footage(factories.presenter(team), **{column: file})
    return footage


def test_previews_and_analyses_go_when_nobody_has_used_them_for_so_long(team):
    old, fresh = (looked_at(team, "preview", days) for days in (31, 29))
    rule(team, preview_days=30)
    apply()
    old.refresh_from_db()
    fresh.refresh_from_db()
    assert (old.preview, old.figures["preview_removed"]) == (None, True)
    assert fresh.preview is not None


def test_an_analysis_goes_unless_a_job_waits_for_it(team, bob):
    idle, waited_for = (looked_at(team, "analysis", 31) for _ in range(2))
    work.new_job(team, footage=waited_for)
    rule(team, analysis_days=30)
    apply()
    assert list(Footage.objects.filter(analysis=None)) == [idle]


def test_an_analysis_that_went_is_made_again_when_the_footage_is_rendered(team, bob):
    project = making.ready_project(team, rows=1, columns=1)
    MediaBlob.objects.update(created_at=ago(31))
    rule(team, analysis_days=30)
    apply()
    footage = Footage.objects.get()
    assert (footage.state, footage.analysis) == ("ready", None)
    batches.start_batch(actor=bob, project=project)
    footage.refresh_from_db()
    assert footage.state == "waiting"


def test_the_least_recently_used_go_first_until_the_rest_fits_the_budget(team, settings):
    Footage.objects.all().delete()
    sizes = {"oldest": (30, 4 * MB), "older": (20, 4 * MB), "newer": (10, 4 * MB)}
    made = {name: looked_at(team, "preview", days, size=size) for name, (days, size) in sizes.items()}
    Footage.objects.update(analysis=None)
    settings.REBUILDABLE_BYTES = 9 * MB
    (thing,) = selectors.plan().things
    assert (thing.pk, thing.why) == (made["oldest"].pk, Why.BUDGET)
    settings.REBUILDABLE_BYTES = 1
    assert [thing.pk for thing in apply().things] == [made[name].pk for name in ("oldest", "older", "newer")]


def test_a_disk_that_is_nearly_full_is_made_room_on(team, settings, monkeypatch):
    footage = looked_at(team, "preview", 2, size=4 * MB)
    Footage.objects.update(analysis=None)
    nearly = 2 * settings.DISK_KEEP_FREE_BYTES
    monkeypatch.setattr(disk, "space", lambda: disk.Space(total=1 << 40, used=0, free=nearly - 1))
    (thing,) = selectors.plan().things
    assert (thing.pk, thing.why) == (footage.pk, Why.DISK)
    assert retention.make_room() == 1
    footage.refresh_from_db()
    assert footage.preview is None
    monkeypatch.setattr(disk, "space", lambda: disk.Space(total=1 << 40, used=0, free=nearly))
    assert selectors.plan().things == ()
    assert retention.make_room() == 0


def test_what_was_used_within_the_hour_is_not_made_room_of(team, settings):
    looked_at(team, "preview", 0)
    settings.REBUILDABLE_BYTES = 1
    Footage.objects.update(analysis=None)
    assert selectors.plan().things == ()


# ZIPs and leftovers


def test_zips_go_some_days_after_they_were_packed_and_what_is_in_them_stays(team, alice):
    version, *_ = cell(team, [100, 1])
    export = exports.create_export(actor=alice, project=version.deliverable.project, versions=[version])
    exports.build_export(export.pk)
    rule(team, export_days=7)
    assert apply().things == ()
    age(export, 8, "finished_at")
    (thing,) = apply().things
    assert (thing.part, thing.what) == (Part.EXPORTS, export.name)
    assert not Export.objects.exists()
    assert left(version)


def test_unfinished_uploads_and_logs_go_as_work_files(team, alice):
    upload = Upload.objects.create(team=team, user=alice, purpose="take", name="a.wav", size=9, offset=4)
    age(upload, 2)
    job = work.new_job(team)
    for days, log in ((3, "much was said"), (0, "much is said")):
        RenderAttempt.objects.create(job=job, number=days + 1, ended_at=ago(days), outcome="failed", log=log)
    rule(team, work_days=1)
    assert {(thing.what, thing.size) for thing in selectors.plan().things} == {("a.wav", 4), ("1", 13)}
    apply()
    assert not Upload.objects.exists()
    assert list(RenderAttempt.objects.order_by("number").values_list("log", flat=True)) == ["much is said", ""]


# Who, and what is told


def test_a_plan_of_one_team_leaves_the_others_alone(team, charlie):
    other = charlie.teams.get()
    for owner in (team, other):
        cell(owner, [300, 200, 100])
        rule(owner, version_days=30)
    assert {thing.team for thing in selectors.plan(team).things} == {team}
    assert len(selectors.plan().things) == 2


def test_what_went_is_in_the_teams_audit_log(team, operator):
    cell(team, [300, 200, 100])
    rule(team, version_days=30)
    plan = selectors.plan()
    retention.apply_now(actor=operator)
    event = AuditEvent.objects.get(action="retention.applied")
    assert (event.team, event.actor, event.detail) == (team, operator, {"bytes": plan.size, "version": 1})


def test_an_operator_may_remove_some_now_and_the_rest_goes_tonight(team, operator):
    cell(team, [300, 200, 150, 100])
    rule(team, version_days=30)
    gone, left = retention.apply_now(actor=operator, most=1)
    assert (len(gone.things), left) == (1, 1)
    assert len(apply().things) == 1


def test_an_operator_sets_the_rule_and_nobody_else_does(team, alice, operator):
    retention.set_rule(actor=operator, team=team, **NEVER | {"version_days": 90}, reason="agreed")
    event = AuditEvent.objects.get(action="team.retention_changed")
    assert event.detail == {"was": {"version_days": None}, "version_days": 90, "reason": "agreed"}
    with pytest.raises(HeyGemError, match="bad_days"):
        retention.set_rule(actor=operator, team=team, **NEVER | {"version_days": 0})
    with pytest.raises(Http404):
        retention.set_rule(actor=alice, team=team, **NEVER)
    with pytest.raises(Http404):
        retention.apply_now(actor=alice)
