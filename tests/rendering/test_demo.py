"""The demo: filmed by the engine in a child, added through the services, once."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from pytest_django.fixtures import Settings

from projects.models import AudioTake, Footage, Presenter, Project, Team
from rendering.execution import demo as filming
from rendering.models import JobState, RenderBatch, RenderJob
from rendering.services import demo
from tests import factories


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> filming.DemoFiles:
    told: list[tuple[int, int]] = []
    made = filming.demo_files(
        tmp_path_factory.mktemp("demo"), lambda done, total: told.append((done, total)), seconds=1.0, size=128
    )
    assert told, "the person waiting is told how far it is"
    return made


def test_one_presenter_and_a_script_in_each_language(files: filming.DemoFiles) -> None:
    assert files.footage.stat().st_size > 1000
    assert [take.language for take in files.takes] == ["en", "zh-hans"]
    assert all(take.text and take.file.read_bytes()[:4] == b"RIFF" for take in files.takes)


def test_what_is_there_is_not_filmed_again(files: filming.DemoFiles) -> None:
    before = files.footage.stat().st_mtime_ns
    assert filming.demo_files(files.footage.parent) == files
    assert files.footage.stat().st_mtime_ns == before


def test_a_child_that_fails_says_why(tmp_path: Path) -> None:
    with pytest.raises(filming.FilmingError, match="status 1"):
        filming.demo_files(tmp_path, seconds=1.0, size=-2)


def test_a_batch_waits_in_the_queue_when_it_is_added(alice: User, team: Team, files: filming.DemoFiles) -> None:
    project = demo.add_demo(actor=alice, team=team, files=files)
    assert RenderBatch.objects.get().project == project
    assert sorted(RenderJob.objects.values_list("state", "deliverable__language")) == [
        (JobState.QUEUED, "en"),
        (JobState.QUEUED, "zh-hans"),
    ]
    footage = Footage.objects.get()
    assert footage.presenter.name == files.presenter
    assert factories.path_of(footage.blob).read_bytes() == files.footage.read_bytes()
    assert set(AudioTake.objects.values_list("source", flat=True)) == {AudioTake.Source.SYNTHESISED}
    assert files.footage.exists(), "the files stay for ./heygem render"
    assert demo.is_made()


def test_half_a_demo_is_none(
    alice: User, team: Team, files: filming.DemoFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(**_: object) -> None:
        raise OSError

    monkeypatch.setattr(demo, "start_batch", fail)
    with pytest.raises(OSError):  # noqa: PT011 - ours, from above
        demo.add_demo(actor=alice, team=team, files=files)
    assert not Presenter.objects.exists()
    assert not demo.is_made()


def test_what_a_person_removed_does_not_come_back(
    alice: User, team: Team, files: filming.DemoFiles, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    User.objects.filter(pk=alice.pk).update(is_superuser=True)
    demo.add_demo(actor=alice, team=team, files=files).delete()
    call_command("seed_demo")
    assert "has been made before" in capsys.readouterr().out
    assert not Project.objects.exists()
