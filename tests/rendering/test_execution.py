"""The engine as a child of a worker, and one attempt at a job with it."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError
from django.utils import timezone
from django_q.models import OrmQ
from pytest_django.fixtures import Settings

from projects.models import ScriptVersion, Team
from projects.services import work
from rendering import queue, states
from rendering.engine.contract import silent
from rendering.engine.errors import EngineError
from rendering.execution import node as this_process
from rendering.execution import oom, render
from rendering.execution.child import EngineChild, engine
from rendering.models import JobState, RenderAttempt, RenderJob, RenderVersion, TeamShare, WorkerNode
from tests import factories
from tests.rendering.sites import is_running
from tests.rendering.work import new_job

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def fake_engine(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.ENGINE_COMMAND = [sys.executable, "-m", "tests.fake_engine"]
    settings.ENGINE_SILENCE_SECONDS = 30
    settings.BACKOFF_SECONDS = 0
    monkeypatch.setattr(this_process, "_node", None)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


@pytest.fixture
def child() -> Iterator[EngineChild]:
    child = EngineChild()
    yield child
    child.stop()


@pytest.fixture
def stopped_engine() -> Iterator[None]:
    yield
    engine().stop()


def audio(folder: Path, mode: str) -> dict[str, str]:
    (folder / "take.wav").write_text(f"fake:{mode}\n")
    return {"audio": str(folder / "take.wav")}


def pid_of(child: EngineChild) -> int:
    assert child.pid is not None
    return child.pid


def python(settings: Settings, code: str) -> None:
    settings.ENGINE_COMMAND = [sys.executable, "-c", code]


def test_one_engine_serves_many_requests(child: EngineChild, tmp_path: Path) -> None:
    pids = set()
    for _ in range(3):
        assert child.run("take", audio(tmp_path, "ok"), report=silent)["sample_rate"] == 16000
        pids.add(child.pid)
    assert len(pids) == 1
    assert child.info["backends"] == ["exemplar", "neural"]


def test_a_refusal_leaves_the_engine_running(child: EngineChild, tmp_path: Path) -> None:
    child.ensure_ready()
    pid = child.pid
    with pytest.raises(EngineError, match="no_face"):
        child.run("take", audio(tmp_path, "no_face"), report=silent)
    child.run("take", audio(tmp_path, "ok"), report=silent)
    assert child.pid == pid


def test_a_crash_is_a_code_and_the_next_request_gets_a_fresh_engine(child: EngineChild, tmp_path: Path) -> None:
    with pytest.raises(EngineError) as caught:
        child.run("take", audio(tmp_path, "crash"), report=silent)
    assert (caught.value.code, caught.value.detail) == ("engine_crashed", "signal SIGABRT")
    child.run("take", audio(tmp_path, "ok"), report=silent)


@pytest.mark.parametrize(("counted", "code"), [(7, "engine_killed"), (8, "out_of_memory")])
def test_the_kernel_s_own_count_tells_want_of_memory_from_a_kill_by_anybody_else(
    child: EngineChild, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, counted: int, code: str
) -> None:
    events = tmp_path / "groups" / "farm.slice" / "memory.events"
    events.parent.mkdir(parents=True)
    events.write_text("oom 9\noom_kill 7\noom_group_kill 0\n")
    (tmp_path / "own").write_text("12:memory:/old\n0::/farm.slice\n")
    monkeypatch.setattr(oom, "GROUPS", tmp_path / "groups")
    monkeypatch.setattr(oom, "OWN_GROUP", tmp_path / "own")
    child.ensure_ready()

    def kill() -> None:
        events.write_text(f"oom 9\noom_kill {counted}\n")
        os.kill(pid_of(child), 9)

    threading.Timer(0.5, kill).start()
    with pytest.raises(EngineError) as caught:
        child.run("take", audio(tmp_path, "hang"), report=silent)
    assert (caught.value.code, caught.value.failure.kind) == (code, "transient")


def test_where_the_control_group_does_not_count_the_whole_machine_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(oom, "OWN_GROUP", tmp_path / "nothing")
    monkeypatch.setattr(oom, "WHOLE_MACHINE", tmp_path / "vmstat")
    assert oom.kills() is None
    (tmp_path / "vmstat").write_text("pgfault 12\noom_kill 3\n")
    assert oom.kills() == 3


def test_an_engine_that_died_between_two_requests_is_replaced(child: EngineChild, tmp_path: Path) -> None:
    child.ensure_ready()
    os.kill(pid_of(child), 9)
    time.sleep(0.2)
    child.run("take", audio(tmp_path, "ok"), report=silent)


def test_silence_ends_the_engine(child: EngineChild, tmp_path: Path, settings: Settings) -> None:
    settings.ENGINE_SILENCE_SECONDS = 1
    child.ensure_ready()
    pid = pid_of(child)
    with pytest.raises(EngineError) as caught:
        child.run("take", audio(tmp_path, "hang"), report=silent)
    assert caught.value.code == "engine_hung"
    assert not is_running(pid)


def test_an_engine_that_says_nothing_at_all_is_given_up(child: EngineChild, settings: Settings) -> None:
    settings.ENGINE_START_SECONDS = 1
    python(settings, "import time; time.sleep(60)")
    with pytest.raises(EngineError, match="engine_hung"):
        child.ensure_ready()
    assert child.pid is None


@pytest.mark.parametrize("command", [["/no/such/engine"], [sys.executable, "-c", "raise SystemExit('cannot')"]])
def test_an_engine_that_cannot_start_is_a_code(child: EngineChild, settings: Settings, command: list[str]) -> None:
    settings.ENGINE_COMMAND = command
    with pytest.raises(EngineError, match="engine_crashed"):
        child.ensure_ready()


def test_the_engines_log_goes_with_its_request(child: EngineChild, settings: Settings) -> None:
    python(
        settings,
        "import sys; from rendering.engine import serve\n"
        "def say(args, report): print(args['word'], file=sys.stderr, flush=True); return {}\n"
        "serve.run({'say': say}, {})",
    )
    for word in ("first", "second"):
        child.run("say", {"word": word}, report=silent)
        begins, said, done = child.log_tail().splitlines()
        assert begins.endswith("say begins")
        assert said == word
        assert "say done in" in done


def test_a_poll_that_raises_ends_a_silent_engine_within_a_second(child: EngineChild, tmp_path: Path) -> None:
    child.ensure_ready()
    pid, began = pid_of(child), time.monotonic()

    def poll() -> None:
        if time.monotonic() - began > 0.5:
            raise states.CancelRequested

    with pytest.raises(states.CancelRequested):
        child.run("take", audio(tmp_path, "hang"), report=silent, poll=poll)
    assert time.monotonic() - began < 2
    assert not is_running(pid)


def test_the_engine_knows_no_secrets(child: EngineChild, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://user:password@host/name")
    monkeypatch.setenv("SECRET_KEY_FILE", "/somewhere")
    python(
        settings,
        "import os; from rendering.engine import serve\nserve.run({'env': lambda args, report: dict(os.environ)}, {})",
    )
    known = child.run("env", {}, report=silent)
    assert "PATH" in known
    assert not {"DATABASE_URL", "SECRET_KEY", "SECRET_KEY_FILE", "DJANGO_SETTINGS_MODULE"} & known.keys()


def test_the_engine_dies_with_its_worker_even_when_it_ignores_its_input(tmp_path: Path) -> None:
    engine = 'import sys, time; print(\'{"event": "ready"}\', flush=True); time.sleep(60)'
    worker = (
        "import os\nos.environ['DJANGO_SETTINGS_MODULE'] = 'tests.settings'\nfrom django.conf import settings\n"
        f"settings.ENGINE_COMMAND = {[sys.executable, '-c', engine]!r}\n"
        "from rendering.execution.child import EngineChild\n"
        "child = EngineChild(); child.ensure_ready(); print(child.pid, flush=True); os.kill(os.getpid(), 9)"
    )
    told = subprocess.run([sys.executable, "-c", worker], cwd=ROOT, capture_output=True, text=True, check=False)
    pid = int(told.stdout)
    until = time.monotonic() + 3
    while is_running(pid):
        assert time.monotonic() < until
        time.sleep(0.02)


def test_a_worker_never_loads_what_only_the_engine_needs() -> None:
    code = (
        "import django, sys; django.setup(); import rendering.tasks, rendering.execution.cluster\n"
        "print([name for name in ('torch', 'cv2', 'av', 'numpy', 'librosa') if name in sys.modules])"
    )
    env = os.environ | {"DJANGO_SETTINGS_MODULE": "tests.settings"}
    told = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("stage", "done", "total", "percent"),
    [("prepare", 0, 10, 0), ("listen", 1, 1, 5), ("compose", 0, 0, 11), ("compose", 50, 100, 53), ("check", 9, 9, 99)],
)
def test_the_percent_of_a_job_counts_its_stages_by_what_they_take(
    stage: str, done: int, total: int, percent: int
) -> None:
    assert render.overall(stage, done, total) == percent


def fake_job(team: Team, mode: str, **fields: Any) -> RenderJob:
    script, presenter = factories.script(team), factories.presenter(team)
    take = factories.take(script, blob=factories.blob(team, f"fake:{mode}\n{script.pk}".encode(), "audio/wav"))
    footage = factories.footage(presenter, blob=factories.blob(team, f"footage {presenter.pk}".encode()), **fields)
    return new_job(team, footage=footage, take=take)


@pytest.mark.django_db
@pytest.mark.usefixtures("stopped_engine")
class TestTicket:
    def test_it_renders_one_job_and_keeps_the_video_and_who_made_it(self, team: Team) -> None:
        poster = factories.blob(team, b"a picture", "image/jpeg")
        job, other = fake_job(team, "ok", poster=poster), fake_job(team, "ok")
        assert render.run_ticket() == f"{job.public_id}: version 1"
        version = RenderVersion.objects.get()
        assert factories.path_of(version.video).read_bytes() == b"fake video"
        assert (version.job, version.poster, version.tier) == (job, poster, "A")
        assert version.seconds.keys() == {"prepare", "listen", "lip-sync", "compose", "check"}
        worker = WorkerNode.objects.get()
        assert (worker.device, worker.backends) == ("cpu", ["exemplar", "neural"])
        other.refresh_from_db()
        assert other.state == JobState.QUEUED
        assert list((work.root()).iterdir()) == []

    @pytest.mark.parametrize(("language", "followed"), [("en", 0.9), ("tlh", 0.1), ("", None)])
    def test_the_engine_is_given_the_words_of_the_take(self, team: Team, language: str, followed: float | None) -> None:
        job = fake_job(team, "ok")
        words = {"text": "Mum, bring my map." if language else "", "language": language or "en"}
        ScriptVersion.objects.filter(pk=job.take.script_version_id).update(**words)
        render.run_ticket()
        assert RenderVersion.objects.get().quality["text_followed"] == followed

    def test_it_starts_no_engine_for_nothing(self) -> None:
        assert render.run_ticket() == "nothing to do"
        assert engine().pid is None

    @pytest.mark.parametrize(
        ("mode", "code", "state"),
        [("no_face", "no_face", "failed"), ("oom", "out_of_memory", "queued"), ("crash", "engine_crashed", "queued")],
    )
    def test_a_failure_is_kept_with_its_code(self, team: Team, mode: str, code: str, state: str) -> None:
        job = fake_job(team, mode)
        render.run_ticket()
        job.refresh_from_db()
        assert (job.state, job.error_code) == (state, code)
        assert RenderAttempt.objects.get().error_code == code
        assert WorkerNode.objects.get().failures_in_row == (1 if mode == "crash" else 0)
        assert list((work.root()).iterdir()) == []

    @pytest.mark.parametrize("how", ["taken back", "deleted with its project"])
    def test_it_hands_in_nothing_when_it_lost_the_job_meanwhile(
        self, team: Team, monkeypatch: pytest.MonkeyPatch, how: str
    ) -> None:
        job = fake_job(team, "ok")
        claim_next = queue.claim_next

        def claim_and_lose(worker: WorkerNode) -> queue.Claim | None:
            claim = claim_next(worker)
            assert claim is not None
            if how == "taken back":
                states.lose(claim.job)
            else:
                RenderJob.objects.get(pk=job.pk).deliverable.project.delete()
            return claim

        monkeypatch.setattr(queue, "claim_next", claim_and_lose)
        assert render.run_ticket() == f"{job.public_id}: lease lost"
        assert not RenderVersion.objects.exists()

    @pytest.mark.parametrize("step", ["_request", "_store"])
    def test_a_job_waits_again_when_the_database_goes_away_where_it_is_only_read(
        self, team: Team, monkeypatch: pytest.MonkeyPatch, step: str
    ) -> None:
        """It would be nobody's until its lease is over."""
        job = fake_job(team, "ok")

        def away(*_arguments: object) -> None:
            raise OperationalError("the connection is lost")

        with monkeypatch.context() as patch:
            patch.setattr(render.Attempt, step, away)
            assert render.run_ticket() == f"{job.public_id}: given back: the database was away"
        job.refresh_from_db()
        assert (job.state, job.attempts, job.lease_token) == (JobState.QUEUED, 0, None)
        assert list((work.root()).iterdir()) == []
        assert render.run_ticket() == f"{job.public_id}: version 1"

    def test_a_full_disk_is_tried_again_later(self, team: Team) -> None:
        job = fake_job(team, "ok")
        shutil.rmtree(work.root())
        work.root().write_text("no folder can be made here")
        render.run_ticket()
        job.refresh_from_db()
        assert (job.state, job.error_code) == (JobState.QUEUED, "io_error")

    def test_progress_is_written_about_twice_a_second_and_rises(
        self, team: Team, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fake_job(team, "ok:2")
        written: list[tuple[float, str, int]] = []
        report = states.report

        def record(job: RenderJob, token: Any, stage: str, percent: int) -> None:
            written.append((time.monotonic(), stage, percent))
            report(job, token, stage, percent)

        monkeypatch.setattr(states, "report", record)
        render.run_ticket()
        percents = [percent for _, _, percent in written]
        assert percents == sorted(percents)
        assert 3 <= len(written) <= 7
        assert written[-1][1:] == ("publish", 99)

    @pytest.mark.parametrize("state", ["paused", "quarantined"])
    def test_a_worker_that_may_not_work_passes_its_ticket_on(self, team: Team, state: str) -> None:
        fake_job(team, "ok")
        node = this_process.this_worker("gpu")
        WorkerNode.objects.filter(pk=node.pk).update(state=state)
        OrmQ.objects.all().delete()
        for _ in range(3):
            assert render.run_ticket() == "this worker is not active"
        assert OrmQ.objects.filter(lock__gt=timezone.now()).count() == OrmQ.objects.count() == 3
        assert engine().pid is None

    def test_a_ticket_that_a_quota_stops_makes_no_new_ones(self, team: Team) -> None:
        TeamShare.objects.create(team=team, max_running=1)
        fake_job(team, "ok")
        fake_job(team, "ok")
        other = WorkerNode.objects.create(name="other", host="other", last_seen_at=timezone.now())
        assert queue.claim_next(other)
        OrmQ.objects.all().delete()
        assert render.run_ticket() == "nothing to do"
        assert not OrmQ.objects.exists()

    def test_an_engine_that_cannot_start_costs_no_attempt(self, team: Team, settings: Settings) -> None:
        settings.ENGINE_COMMAND = shlex.split("/bin/false")
        job = fake_job(team, "ok")
        with pytest.raises(EngineError):
            render.run_ticket()
        job.refresh_from_db()
        assert (job.state, job.attempts) == (JobState.QUEUED, 0)

    def test_what_killed_workers_left_behind_is_swept_away(self, team: Team) -> None:
        old, fresh = (work.root() / name for name in ("old", "fresh"))
        for folder in (old, fresh):
            folder.mkdir(parents=True)
            (folder / "video.mp4").write_bytes(b"-")
        long_ago = time.time() - 2 * work.OLD_S
        for path in (old / "video.mp4", old):
            os.utime(path, (long_ago, long_ago))
        fake_job(team, "ok")
        render.run_ticket()
        assert not old.exists()
        assert fresh.exists()
