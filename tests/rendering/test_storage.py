"""Storage: samples and the forecast from them, and database against stored files both ways."""

from __future__ import annotations

import io
import os
import time
from datetime import date, timedelta

import pytest
from django.core.management import CommandError, call_command
from django.http import Http404
from django.utils import timezone

from projects.models import AuditEvent, Footage, MediaBlob, Upload
from projects.services import blobs, disk
from rendering import tasks
from rendering.models import RetentionRule, StorageSample
from rendering.selectors import storage as selectors
from rendering.services import storage
from tests import factories
from tests.rendering import making

TODAY = date(2026, 11, 20)
GB = 1 << 30


@pytest.fixture
def operator(db):
    return factories.user("olga", is_staff=True)


def days(count, start, step):
    """``count`` samples up to today, growing by ``step`` a day to ``start``."""
    return {TODAY - timedelta(days=number): start - number * step for number in range(count)}


# The forecast


def test_the_disk_is_full_when_the_line_through_the_last_days_says_so():
    found = selectors.forecast(days(30, 100 * GB, GB), used=100 * GB, room=160 * GB)
    assert (found.full_in, found.window) == (60, 30)
    assert round(found.per_day or 0) == GB


def test_a_few_days_are_looked_at_when_there_are_no_more():
    found = selectors.forecast(days(8, 100 * GB, GB), used=100 * GB, room=110 * GB)
    assert (found.full_in, found.window) == (10, 14)


def test_noise_around_the_line_does_not_bend_it():
    samples = days(30, 100 * GB, GB)
    for number, day in enumerate(samples):
        samples[day] += (GB if number % 2 else -GB) // 2
    found = selectors.forecast(samples, used=100 * GB, room=160 * GB)
    assert found.full_in is not None
    assert abs(found.full_in - 60) <= 2


@pytest.mark.parametrize(
    ("samples", "why"),
    [
        ({}, "nothing is known"),
        (days(3, 100 * GB, GB), "three days are too few"),
        ({TODAY: 5, TODAY - timedelta(days=1): 4}, "two are no line"),
    ],
)
def test_nothing_is_foretold_from_too_little(samples, why):
    found = selectors.forecast(samples, used=100 * GB, room=160 * GB)
    assert (found.per_day, found.full_in) == (None, None), why


@pytest.mark.parametrize("step", [0, -GB])
def test_what_does_not_grow_is_never_full(step):
    found = selectors.forecast(days(30, 100 * GB, step), used=100 * GB, room=160 * GB)
    assert found.full_in is None
    assert found.per_day == step


def test_a_disk_that_is_full_already_is_full_in_no_days():
    assert selectors.forecast(days(30, 100 * GB, GB), used=170 * GB, room=160 * GB).full_in == 0


def test_centuries_are_not_told_as_days():
    assert selectors.forecast(days(30, 100 * GB, 1), used=100 * GB, room=160 * GB).full_in is None


# Samples


def test_a_days_sample_holds_every_team_by_kind_and_the_disk_and_is_taken_once(team, presenter, charlie):
    factories.footage(presenter)
    factories.blob(charlie.teams.get())
    Upload.objects.create(team=team, user=charlie, purpose="take", name="a.wav", size=700)
    storage.take_sample(TODAY)
    storage.take_sample(TODAY)
    rows = {(row.team, row.kind): row.size for row in StorageSample.objects.select_related("team")}
    kept = {kind: size for (owner, kind), size in rows.items() if owner == team}
    assert kept.keys() == {"footage", "analysis", "uploads"}
    assert kept["uploads"] == 700
    assert sum(kept.values()) - 700 == sum(MediaBlob.objects.filter(team=team).values_list("size", flat=True))
    assert rows[charlie.teams.get(), "unused"] > 0
    assert rows[None, "disk_total"] == disk.space().total
    assert len(rows) == StorageSample.objects.count() == 6


def test_samples_are_forgotten_after_a_year_or_so(team):
    storage.take_sample(TODAY - timedelta(days=401))
    storage.take_sample(TODAY)
    assert set(StorageSample.objects.values_list("day", flat=True)) == {TODAY}


def test_the_daily_task_applies_the_rules_cleans_and_takes_a_sample(team):
    project = making.ready_project(team, rows=1, columns=1)
    MediaBlob.objects.update(created_at=timezone.now() - timedelta(days=40))
    RetentionRule.objects.create(team=team, analysis_days=30)
    analysis = Footage.objects.get().analysis
    assert tasks.keep_house().endswith("1 things went by the rules of retention.")
    assert not blobs.is_stored(analysis)
    assert StorageSample.objects.filter(day=timezone.localdate(), team=team).exists()
    assert project.team == team


# Database and storage


def old(row, *, file=True):
    """Two days old, the row and its file."""
    past = time.time() - 2 * 86400
    MediaBlob.objects.filter(pk=row.pk).update(created_at=timezone.now() - timedelta(days=2))
    if file:
        os.utime(blobs.storage().place(row.path), (past, past))
    return row


@pytest.fixture
def orphan(team, media):
    """An old file that no row knows, and a young one."""
    place = media / "blobs" / team.public_id
    place.mkdir(parents=True, exist_ok=True)
    for name, age in (("old", 2 * 86400), ("young", 3600)):
        (place / name).write_bytes(b"forgotten")
        os.utime(place / name, (time.time() - age,) * 2)
    return place / "old"


def test_all_is_well_when_every_row_has_its_file_and_the_other_way_round(team):
    for number in range(3):
        old(factories.blob(team, f"content {number}".encode()))
    found = storage.check()
    assert found.is_sound
    assert found.files == 3


def test_old_files_that_no_row_knows_are_found_and_removed_and_young_ones_are_left(orphan):
    found = storage.check()
    assert (found.orphans, found.orphan_bytes, found.lost) == (1, 9, 0)
    assert found.orphan_list[0].key.endswith("/old")
    storage.mend()
    assert not orphan.exists()
    assert (orphan.parent / "young").exists()
    assert AuditEvent.objects.get(action="storage.mended").detail == {"orphans": 1, "bytes": 9, "analysed_again": 0}


def test_files_that_are_not_there_are_told_with_what_they_belong_to(team, presenter):
    footage = factories.footage(presenter, name="intro.mov", blob=factories.blob(team, b"a video"))
    blobs.delete_key(old(footage.blob).path)
    old(footage.analysis)
    (lost,) = storage.check().lost_list
    assert (lost.blob, lost.kind.value, lost.belongs_to, lost.found) == (
        footage.blob, "footage", "Ada / intro.mov", None,
    )  # fmt: skip
    assert not lost.can_be_made_again


def test_files_that_are_not_whole_are_told_too(team):
    blob = old(factories.blob(team, b"whole content"))
    blobs.storage().place(blob.path).write_bytes(b"half")
    (lost,) = storage.check().lost_list
    assert (lost.blob, lost.found) == (blob, 4)


def test_a_row_that_has_just_been_made_is_left_alone(team):
    blobs.delete_key(factories.blob(team, b"new").path)
    assert storage.check().is_sound


@pytest.mark.parametrize("column", ["analysis", "poster", "preview"])
def test_what_can_be_made_again_is_made_again(team, presenter, column):
    footage = factories.footage(presenter, **{column: factories.blob(team, b"made from it", "image/jpeg")})
    blobs.delete_key(old(getattr(footage, column)).path)
    _, waiting = storage.mend()
    footage.refresh_from_db()
    assert waiting == 1
    assert (footage.state, getattr(footage, column)) == ("waiting", None)


def test_the_check_gives_up_when_its_time_is_over(team):
    for number in range(3):
        old(factories.blob(team, f"content {number}".encode()))
    found = storage.check(seconds=0)
    assert (found.files, found.is_whole, found.lost) == (1, False, 0)


def test_nobody_but_operators_mends(alice):
    with pytest.raises(Http404):
        storage.mend(actor=alice)


def test_the_command_says_what_is_wrong_and_mends_it(orphan, team):
    blob = old(factories.blob(team, b"lost"))
    blobs.delete_key(blob.path)
    written = io.StringIO()
    with pytest.raises(CommandError, match="1 that no row knows, 1 rows without their file"):
        call_command("check_storage", stdout=written)
    assert f"no row knows blobs/{team.public_id}/old" in written.getvalue()
    assert f"{blob.path} of {team} is not there" in written.getvalue()
    with pytest.raises(CommandError, match=r"Removed 1; .* 1 files can only come back from a backup"):
        call_command("check_storage", "--mend", stdout=io.StringIO())
    MediaBlob.objects.filter(pk=blob.pk).delete()
    call_command("check_storage", stdout=(told := io.StringIO()))
    assert "0 that no row knows, 0 rows without their file" in told.getvalue()


def test_the_dry_run_says_what_would_go_and_removes_nothing(team):
    making.ready_project(team, rows=1, columns=1)
    MediaBlob.objects.update(created_at=timezone.now() - timedelta(days=40))
    RetentionRule.objects.create(team=team, analysis_days=30)
    before = set(MediaBlob.objects.values_list("pk", flat=True))
    call_command("clean_media", "--dry-run", "--list", stdout=(told := io.StringIO()))
    assert "Alice's team: analysis, older than 30 days: 1" in told.getvalue()
    assert "Presenter 0 / footage.mp4" in told.getvalue()
    assert "1 things would go by rule" in told.getvalue()
    assert set(MediaBlob.objects.values_list("pk", flat=True)) == before
    assert Footage.objects.get().analysis is not None


def test_a_bucket_is_compared_and_mended_in_the_same_way(team, s3, monkeypatch):
    monkeypatch.setattr(storage, "YOUNG", timedelta(seconds=-5))  # nothing in it is older than this test
    kept, lost = factories.blob(team, b"kept"), factories.blob(team, b"lost")
    orphan = factories.blob(team, b"nobody knows me")
    MediaBlob.objects.filter(pk=orphan.pk).delete()
    blobs.delete_key(lost.path)
    found, _ = storage.mend()
    assert ([row.key for row in found.orphan_list], [row.blob for row in found.lost_list]) == ([orphan.path], [lost])
    assert [stored.key for stored in blobs.all_keys()] == [kept.path]
