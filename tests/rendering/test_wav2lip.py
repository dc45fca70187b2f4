"""The operator's Wav2Lip checkpoint: who may choose it, which machines get its jobs, and a video made with one."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from django.contrib.auth.models import User
from django.utils import timezone
from pytest_django.fixtures import Settings

from projects.models import AudioTake, Footage, Team
from projects.problems import HeyGemError
from projects.services import uploads
from rendering import capabilities, queue, states, workers
from rendering.engine.demo import make_demo_footage, write_wav
from rendering.engine.voice.speak import speak
from rendering.execution import analyse, render
from rendering.execution import node as this_process
from rendering.execution.child import engine
from rendering.models import Deliverable, JobState, Preset, RenderJob, RenderVersion, WorkerNode
from rendering.selectors.boards import stale_because
from rendering.services import single
from rendering.services.batches import load_layout, plan_batch, retry_failed, start_batch
from rendering.services.presets import create_preset, default_preset, update_preset
from tests import factories
from tests.cast import browser
from tests.engine import checkpoints, restorers
from tests.rendering import making

WAV2LIP = {"backend": "wav2lip"}


def node(name: str, **fields: Any) -> WorkerNode:
    known = {"host": name, "cluster": "gpu", "last_seen_at": timezone.now(), "engine": queue.ENGINE_VERSION}
    return WorkerNode.objects.create(name=f"{name}/gpu", **(known | fields))


def able(name: str, identity: str = "ab12") -> WorkerNode:
    """A worker with a checkpoint."""
    return node(name, backends=["exemplar", "wav2lip"], weights={"wav2lip": identity})


@pytest.fixture
def chosen(team: Team) -> Preset:
    """The team's preset asks for Wav2Lip, whatever the machines have by now."""
    preset = default_preset(team)
    Preset.objects.filter(pk=preset.pk).update(**WAV2LIP)
    preset.refresh_from_db()
    return preset


# Choosing


def test_automatic_is_what_a_new_preset_says_and_means_the_presenters_own_mouths(team: Team) -> None:
    preset = default_preset(team)
    assert preset.backend == "auto"
    assert preset.snapshot()["backend"] == "exemplar"


@pytest.mark.parametrize("told", [{}, {"exemplar": ""}])
def test_a_preset_with_wav2lip_is_refused_where_no_machine_has_a_checkpoint(
    bob: User, team: Team, told: dict[str, str]
) -> None:
    node("one", weights=told)
    with pytest.raises(HeyGemError, match="no_checkpoint"):
        create_preset(actor=bob, team=team, name="Network", **WAV2LIP)
    with pytest.raises(HeyGemError, match="no_checkpoint"):
        update_preset(actor=bob, preset=default_preset(team), **WAV2LIP)
    assert not Preset.objects.filter(**WAV2LIP).exists()


REFUSED = [
    ("bad_checkpoint", "cannot be read as one", "无法作为检查点读取"),
    ("unsafe_checkpoint", "holds more than weights", "里不止有权重"),
]


@pytest.mark.parametrize(("code", "english", "chinese"), REFUSED)
def test_a_checkpoint_that_an_engine_refused_is_told_from_none(
    bob: User, team: Team, code: str, english: str, chinese: str
) -> None:
    node("none", backends=["exemplar"])
    node("junk", backends=["exemplar"], refused={"wav2lip": code})
    client, asked = browser(bob), {"team": team.public_id, "name": "Network", **WAV2LIP}
    for language, words in (("en", english), ("zh-hans", chinese)):
        said_in = {"Accept-Language": language}
        answer = client.post("/api/v1/presets/", asked, content_type="application/json", headers=said_in)
        assert (answer.status_code, answer.json()["code"]) == (422, code)
        assert words in answer.json()["title"]
    able("two")
    assert create_preset(actor=bob, team=team, name="Network", **WAV2LIP).backend == "wav2lip"


def test_it_is_let_in_where_one_machine_of_several_has_one(bob: User, team: Team) -> None:
    node("one", backends=["exemplar"])
    able("two")
    assert create_preset(actor=bob, team=team, name="Network", **WAV2LIP).snapshot()["backend"] == "wav2lip"


def test_without_any_machine_the_sites_own_setting_counts(bob: User, team: Team, settings: Settings) -> None:
    settings.WAV2LIP_CHECKPOINT = Path(__file__)
    create_preset(actor=bob, team=team, name="Network", **WAV2LIP)
    node("one")
    with pytest.raises(HeyGemError, match="no_checkpoint"):
        create_preset(actor=bob, team=team, name="Another", **WAV2LIP)


def test_a_machine_that_leaves_or_was_not_heard_of_for_long_does_not_count(bob: User, team: Team) -> None:
    WorkerNode.objects.filter(pk=able("one").pk).update(last_seen_at=timezone.now() - 2 * workers.SEEN_RECENTLY)
    WorkerNode.objects.filter(pk=able("two").pk).update(state=WorkerNode.State.DRAINING)
    with pytest.raises(HeyGemError, match="no_checkpoint"):
        create_preset(actor=bob, team=team, name="Network", **WAV2LIP)


def test_a_preset_whose_checkpoint_has_gone_may_still_be_changed(bob: User, chosen: Preset) -> None:
    update_preset(actor=bob, preset=chosen, crf=20, **WAV2LIP)
    assert update_preset(actor=bob, preset=chosen, backend="auto").backend == "auto"


def test_the_page_offers_what_the_machines_can_and_refuses_the_rest_in_words(bob: User, team: Team) -> None:
    client, address = browser(bob), f"/t/{team.public_id}/presets/new/"
    page = client.get(address).content.decode()
    assert 'name="backend" value="exemplar"' in page
    assert "wav2lip" not in page
    able("one")
    page = client.get(address).content.decode()
    assert 'name="backend" value="wav2lip"' in page
    assert "rules out commercial use" in page
    values = {"name": "Network", "amplitude": "1", "when_shorter": "cut", "crf": "18", "speed": "fast", **WAV2LIP}
    assert client.post(address, values).status_code == 302
    assert "Drawn by the operator&#x27;s network" in client.get(f"/t/{team.public_id}/presets/").content.decode()


def test_a_program_is_told_the_same(bob: User, team: Team) -> None:
    client = browser(bob)
    asked = {"team": team.public_id, "name": "Network", **WAV2LIP}
    answer = client.post("/api/v1/presets/", asked, content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (422, "no_checkpoint")
    assert "needs a checkpoint" in answer.json()["title"]
    able("one")
    answer = client.post("/api/v1/presets/", asked, content_type="application/json")
    assert (answer.status_code, answer.json()["backend"]) == (201, "wav2lip")


# Starting


def test_a_batch_is_refused_up_front_where_the_checkpoint_has_gone(bob: User, team: Team, chosen: Preset) -> None:
    project = making.ready_project(team)
    project.rows.first().presenter.footage.all().delete()  # type: ignore[union-attr]
    assert {skip.code for skip in plan_batch(actor=bob, project=project).skipped} == {"no_footage", "no_checkpoint"}
    with pytest.raises(HeyGemError, match="no_checkpoint"):
        start_batch(actor=bob, project=project)
    node("junk", backends=["exemplar"], refused={"wav2lip": "bad_checkpoint"})
    with pytest.raises(HeyGemError, match="bad_checkpoint"):
        start_batch(actor=bob, project=project)
    assert not RenderJob.objects.exists()
    able("one")
    assert start_batch(actor=bob, project=project).jobs.count() == 2


def test_what_failed_is_not_tried_again_without_one(bob: User, team: Team, chosen: Preset) -> None:
    worker = able("one")
    batch = start_batch(actor=bob, project=making.ready_project(team, rows=1, columns=1))
    claim = queue.claim_next(worker)
    assert claim is not None
    states.fail(claim.job, claim.token, "unsafe_checkpoint")
    worker.delete()
    with pytest.raises(HeyGemError, match="no_checkpoint"):
        retry_failed(actor=bob, batch=batch)
    able("two")
    assert len(retry_failed(actor=bob, batch=batch)) == 1


def test_only_a_machine_with_a_checkpoint_gets_its_jobs(bob: User, team: Team, chosen: Preset) -> None:
    without, having = node("one", backends=["exemplar"]), able("two")
    batch = start_batch(actor=bob, project=making.ready_project(team, rows=1, columns=1))
    assert queue.claim_next(without) is None
    claim = queue.claim_next(having)
    assert claim is not None
    assert claim.job == batch.jobs.get()


def test_a_worker_tells_of_its_checkpoint_before_its_engine_has_started(
    settings: Settings, db: None, tmp_path: Path
) -> None:
    settings.WORKER_NAME, settings.WAV2LIP_CHECKPOINT = "box", tmp_path
    registered, _ = workers.register("gpu")
    assert registered.weights == {"wav2lip": ""}
    assert capabilities.weights_for(WAV2LIP) == capabilities.Weights()
    told = {"engine": "1", "backends": ["exemplar", "wav2lip"], "device": "cpu"}
    workers.describe(registered, weights={"exemplar": "", "wav2lip": "cd34"}, **told)
    registered.refresh_from_db()
    assert registered.weights == {"wav2lip": "cd34"}
    assert capabilities.weights_for(WAV2LIP) == capabilities.Weights(identity="cd34")
    assert capabilities.weights_for({"backend": "exemplar"}) == capabilities.Weights()


def test_another_checkpoint_makes_another_video_and_does_not_make_the_old_one_stale(
    bob: User, team: Team, chosen: Preset
) -> None:
    project, worker = making.ready_project(team, rows=1, columns=1), able("one", "aaaa")

    def made() -> RenderVersion:
        start_batch(actor=bob, project=project, cells=[cell.key for cell in load_layout(project).cells()])
        claim = queue.claim_next(worker)
        assert claim is not None
        return states.succeed(claim.job, claim.token, making.finished(team, weights=worker.weights["wav2lip"]))

    first = made()
    with pytest.raises(HeyGemError, match="up_to_date"):
        made()
    worker.weights = {"wav2lip": "bbbb"}
    worker.save(update_fields=["weights"])
    (cell,) = load_layout(project).cells()
    assert stale_because(RenderVersion.objects.get(pk=first.pk), cell) == ()
    second = made()
    assert second.fingerprint != first.fingerprint
    assert (first.weights, second.weights) == ("aaaa", "bbbb")


# The whole way


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Four seconds of a presenter, and a take of one word."""
    folder = tmp_path_factory.mktemp("files")
    make_demo_footage(folder / "Ada.mp4", seconds=4, size=256, seed=3)
    said = speak("Hello.", "en", rate=16_000)
    write_wav(folder / "hello.wav", said.audio, said.rate)
    return folder / "Ada.mp4", folder / "hello.wav"


@pytest.fixture
def real_engine(settings: Settings, monkeypatch: pytest.MonkeyPatch, db: None, media: Path) -> Iterator[None]:
    monkeypatch.setattr(this_process, "_node", None)
    monkeypatch.setenv("PYTHONPATH", str(settings.BASE_DIR))
    settings.ENGINE_DEVICE, settings.WAV2LIP_BATCH = "cpu", 3
    yield
    engine().stop()


def uploaded(actor: User, team: Team, path: Path, purpose: str, **target: str) -> Footage | AudioTake:
    content = path.read_bytes()
    upload = uploads.start(
        actor=actor, team=team, purpose=purpose, name=path.name, size=len(content), target={**target}
    )
    uploads.append(upload=upload, offset=0, source=io.BytesIO(content))
    return uploads.finish(upload=upload)


class Trap:
    """Unpickled without care, it leaves a folder."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.mark),)


@pytest.fixture
def cell(alice: User, team: Team, settings: Settings, files: tuple[Path, Path], real_engine: None) -> Deliverable:
    """Uploaded, analysed and ordered with a checkpoint that the settings name; not rendered yet."""
    User.objects.filter(pk=alice.pk).update(is_staff=True)
    footage = uploaded(alice, team, files[0], "footage")
    script = factories.script(team, "Greeting")
    take = uploaded(alice, team, files[1], "take", script=script.public_id, language="en")
    while analyse.run_ticket() != "nothing to do":
        pass
    settings.WAV2LIP_CHECKPOINT = settings.MEDIA_ROOT / "wav2lip.pth"
    WorkerNode.objects.all().delete()
    preset = create_preset(actor=alice, team=team, name="Network", **WAV2LIP)
    return single.try_it(actor=alice, team=team, footage=footage, take=take, preset=preset)  # type: ignore[arg-type]


@pytest.fixture
def restart(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From here on another process of the cluster that renders, with another engine."""

    def again() -> None:
        monkeypatch.setattr(this_process, "_node", None)
        WorkerNode.objects.update(pid=1 << 22)  # a number that no process has
        engine().stop()

    return again


def test_from_upload_to_version_with_random_weights_and_enhanced_but_not_with_a_file_that_would_run_code(
    alice: User, cell: Deliverable, settings: Settings, tmp_path: Path, restart: Callable[[], None]
) -> None:
    path, mark, client = settings.WAV2LIP_CHECKPOINT, tmp_path / "it ran", browser(alice)
    torch.save({"state_dict": {**checkpoints.nothing(), "output_block.1.bias": Trap(mark)}}, path)
    restart()
    assert render.run_ticket() == render.NOTHING
    assert not mark.exists()
    worker = WorkerNode.objects.get(cluster="gpu")
    assert (worker.backends, worker.weights) == (["exemplar", "neural"], {})
    assert "holds more than weights, so it was not opened" in client.get(f"/farm/workers/{worker.pk}/").content.decode()
    with pytest.raises(HeyGemError, match="unsafe_checkpoint"):
        create_preset(actor=alice, team=cell.project.team, name="Another", **WAV2LIP)
    assert RenderJob.objects.get().state == JobState.QUEUED, "another machine may have a good one"

    checkpoints.random_weights(path)
    restart()
    render.run_ticket()
    version = RenderVersion.objects.get()
    worker.refresh_from_db()
    assert worker.backends == ["exemplar", "neural", "wav2lip"]
    assert (version.preset["backend"], version.quality["frames_kept"], len(version.weights)) == ("wav2lip", 0, 16)
    assert is_video(version)
    page = client.get(f"/cells/{cell.public_id}/").content.decode()
    assert version.weights in page
    assert "rules out commercial use" in page
    assert "rules out commercial use" in client.get(f"/farm/workers/{worker.pk}/").content.decode()

    settings.ENHANCER_MODEL = restorers.saved(restorers.Sharpen(1.0), tmp_path / "sharpen.ts")
    settings.ENHANCER_SIZE = 64
    restart()
    this_process.this_worker("gpu")
    preset = update_preset(actor=alice, preset=Preset.objects.get(name="Network"), enhance=0.6)
    cells = [each.key for each in load_layout(cell.project).cells()]
    start_batch(actor=alice, project=cell.project, cells=cells, preset=preset)
    render.run_ticket()
    enhanced = RenderVersion.objects.get(number=2)
    assert enhanced.weights.startswith(f"{version.weights}+")
    assert enhanced.preset["enhance"] == 0.6
    assert is_video(enhanced)
    assert enhanced.video != version.video
    page = client.get(f"/cells/{cell.public_id}/?version=2").content.decode()
    assert "Mouths are enhanced by a model" in page


def is_video(version: RenderVersion) -> bool:
    return version.video is not None and factories.path_of(version.video).read_bytes()[4:8] == b"ftyp"
