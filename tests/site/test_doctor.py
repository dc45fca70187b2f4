"""``./heygem doctor`` names what is wrong and what to do about it. What is wrong here is really wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import connection
from django.utils import timezone
from django_q.models import OrmQ
from pytest_django.fixtures import Settings

from heygem_site.doctor import __main__ as doctor
from heygem_site.doctor import house, machine, storage
from heygem_site.doctor.findings import Finding
from projects.models import Team
from projects.services import disk
from rendering.models import WorkerNode
from tests import s3 as endpoint
from tests.engine import checkpoints, restorers
from tests.postgres import Server, free_port
from tests.rendering.sites import environment, manage
from tests.rendering.work import new_job
from tests.s3 import Faults, s3, s3_server

__all__ = ["s3", "s3_server"]

ROOT = Path(__file__).resolve().parents[2]


def found(check: object) -> list[tuple[str, str, str]]:
    """Level, what and remedy of each finding."""
    made = check() if callable(check) else check
    findings = [made] if isinstance(made, Finding) else list(made)  # type: ignore[call-overload]
    assert all(finding.remedy for finding in findings if finding.level != "ok"), "every fault has a remedy"
    return [(finding.level, finding.what, finding.remedy) for finding in findings]


def only(check: object) -> tuple[str, str, str]:
    (finding,) = found(check)
    return finding


def examined(folder: Path, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    """The doctor itself, on an installation of its own."""
    given = environment(folder, env.pop("DATABASE_URL", f"sqlite:///{folder / 'db.sqlite3'}"), HEYGEM_VAR=folder, **env)
    (folder / "media").mkdir(exist_ok=True)
    return subprocess.run(
        [sys.executable, "-m", "heygem_site.doctor", *words],
        cwd=ROOT,
        env=given,
        capture_output=True,
        text=True,
        check=False,
    )


def seen(cluster: str, host: str = "box", **fields: object) -> WorkerNode:
    given = {"name": f"{host}/{cluster}", "host": host, "cluster": cluster, "last_seen_at": timezone.now()}
    return WorkerNode.objects.create(**(given | fields))


# The whole


def test_it_ends_with_a_status_and_tells_programs_too(tmp_path: Path) -> None:
    manage(environment(tmp_path, f"sqlite:///{tmp_path / 'db.sqlite3'}"), "migrate", "--verbosity=0")
    chosen = ("--only", "database", "--only", "migrations", "--only", "storage", "--only", "workers")
    well = examined(tmp_path, *chosen, "--json")
    told = [json.loads(line) for line in well.stdout.splitlines()]
    assert well.returncode == 0, well.stdout
    assert [(entry["check"], entry["level"]) for entry in told] == [
        ("database", "ok"),
        ("migrations", "ok"),
        ("storage", "ok"),
        *[("workers", "warn")] * 2,
        ("workers", "ok"),
    ]
    assert set(told[0]) == {"check", "level", "what", "remedy"}
    ill = examined(tmp_path, *chosen, MEDIA_ROOT="/proc/nowhere")
    assert ill.returncode == 1
    assert "bad   storage: /proc/nowhere cannot be used" in ill.stdout
    assert "      -> Change its owner" in ill.stdout
    assert "Traceback" not in ill.stdout + ill.stderr


def test_every_check_is_asked(db: None) -> None:
    assert {name for name, _finding in doctor.examine()} >= {"python", "engine", "models", "clocks", "disk", "tickets"}


def test_a_wrong_setting_is_a_line_and_a_status(tmp_path: Path) -> None:
    done = examined(tmp_path, DEBUG="?")
    assert done.returncode == 1
    assert "bad   settings: DEBUG must be yes or no" in done.stdout
    told = json.loads(examined(tmp_path, "--json", DEBUG="?").stdout)
    assert (told["check"], told["level"]) == ("settings", "bad")


def test_a_check_that_there_is_not_is_named(tmp_path: Path) -> None:
    assert "there is no check dreams; there are: python," in examined(tmp_path, "--only", "dreams").stderr


# The machine


def test_a_package_in_another_version_is_named(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    lock.write_text("# comment\nDjango==1.0\nno-such-package==2.0\n")
    finding = machine.packages_match_the_lock(lock)
    assert finding.level == "bad"
    assert "Django" in finding.what
    assert "no-such-package missing" in finding.what


def test_the_packages_here_are_the_locks() -> None:
    assert machine.packages_match_the_lock().level == "ok"


def test_the_engine_is_tried_in_a_process_of_its_own() -> None:
    assert only(machine.engine_starts)[:1] == ("ok",)
    assert only(machine.models_load)[1] == "models load; back ends: exemplar, neural"


def test_the_device_is_named_and_one_that_is_missing_too(settings: Settings, db: None) -> None:
    settings.ENGINE_DEVICE = "cpu"
    assert only(machine.device_is_there) == ("ok", "networks run on cpu", "")
    settings.ENGINE_DEVICE = "fake"
    assert only(machine.device_is_there)[:2] == ("warn", "networks run on the processor, which poses as a card")
    settings.ENGINE_DEVICE = "cuda:93"
    level, what, remedy = only(machine.device_is_there)
    assert level == "bad"
    assert "ENGINE_DEVICE=cuda:93" in what
    assert remedy


def test_a_card_without_a_worker_is_missed_where_others_have_one(settings: Settings, db: None) -> None:
    settings.WORKER_NAME = "box"
    assert found(house.cards_are_used(2)) == [], "this machine renders nothing"
    seen("gpu", host="box-0", device="cuda:0: NVIDIA L4")
    seen("gpu", host="box-cpu", device="cpu")
    seen("gpu", host="boxer", device="cuda:0: NVIDIA L4")
    assert only(house.cards_are_used(2))[:2] == ("warn", "1 of the 2 cards of this machine have a worker")
    seen("gpu", host="box-1", device="cuda:0: NVIDIA L4")
    assert found(house.cards_are_used(2)) == []


def test_a_checkpoint_is_opened_as_a_render_would_open_it(settings: Settings, tmp_path: Path) -> None:
    assert found(machine.checkpoint_loads) == []
    settings.WAV2LIP_CHECKPOINT = checkpoints.painting(tmp_path / "good.pth", 0.5)
    level, what, _remedy = only(machine.checkpoint_loads)
    assert level == "ok"
    assert "rules out commercial use" in what
    (tmp_path / "bad.pth").write_bytes(b"no checkpoint")
    settings.WAV2LIP_CHECKPOINT = tmp_path / "bad.pth"
    level, what, remedy = only(machine.checkpoint_loads)
    assert level == "bad"
    assert "cannot be read as one" in what
    assert "published 96-pixel network" in remedy


def test_an_enhancer_is_asked_once_as_a_render_would(settings: Settings, tmp_path: Path) -> None:
    assert found(machine.enhancer_loads) == []
    settings.ENHANCER_MODEL, settings.ENHANCER_SIZE = restorers.saved(restorers.Sharpen(1.0), tmp_path / "s.ts"), 64
    level, what, _remedy = only(machine.enhancer_loads)
    assert level == "ok"
    assert "rule out commercial use" in what
    settings.ENHANCER_MODEL = restorers.saved(restorers.Reaching(str(tmp_path / "made")), tmp_path / "r.ts")
    level, what, _remedy = only(machine.enhancer_loads)
    assert level == "bad"
    assert "torch.from_file" in what
    assert not (tmp_path / "made").exists()


def test_the_trackers_weights_are_looked_at_where_it_is_asked_for(settings: Settings, tmp_path: Path) -> None:
    assert found(machine.tracker_loads) == []
    settings.TRACKER, settings.FACE_ALIGNMENT_WEIGHTS = "face-alignment", tmp_path
    level, what, remedy = only(machine.tracker_loads)
    assert level == "bad"
    assert "s3fd-619a316812.pth" in what
    assert "FACE_ALIGNMENT_WEIGHTS" in remedy


def test_missing_system_libraries_are_recognised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "LIBRARIES", "raise ImportError('libGL.so.1: cannot open shared object file')")
    assert machine.engine_starts().remedy == "sudo apt-get install -y libgl1 libglib2.0-0"


def test_a_model_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    script = "from rendering.engine.face.models import Net; Net('no_such_model.tflite')"
    monkeypatch.setattr(machine, "MODELS", script)
    level, what, _remedy = only(machine.models_load)
    assert level == "bad"
    assert "no_such_model.tflite is missing" in what


def test_a_disk_without_room_is_bad_and_one_with_little_is_a_warning(settings: Settings) -> None:
    settings.DISK_KEEP_FREE_BYTES = disk.space().free * 2
    assert found(machine.disks_have_room)[0][0] == "bad"
    settings.DISK_KEEP_FREE_BYTES = disk.space().free - 10**9
    assert found(machine.disks_have_room)[0][0] == "warn"


# Settings


def test_a_key_that_others_can_read_is_noticed(tmp_path: Path, settings: Settings) -> None:
    settings.VAR_DIR = tmp_path
    (tmp_path / "secret_key").write_text("x")
    (tmp_path / "secret_key").chmod(0o644)
    assert only(house.settings_fit)[2] == "chmod 600 var/secret_key"
    (tmp_path / "secret_key").chmod(0o600)
    assert only(house.settings_fit) == ("ok", "settings: local", "")


PUBLIC = {
    "HEYGEM_ENV": "production",
    "ALLOWED_HOSTS": "heygem.example.com",
    "BEHIND_PROXY": "yes",
    "EMAIL_URL": "smtp://mail.example.com",
    "DATABASE_URL": "postgresql://u@127.0.0.1/x",
    "SECRET_KEY": "k9Qw2-Zr8_Ty4uP1sDf6gHj3lXc7vBn5mAe0oIi2Rr4Tt6Yy8Uu1",
}


@pytest.mark.parametrize(
    ("given", "level", "sentence"),
    [
        ({}, "ok   ", "settings: production"),
        ({"BEHIND_PROXY": "no"}, "bad  ", "everybody is sent to https for ever"),
        (
            {"X_ACCEL": "yes", "BEHIND_PROXY": "no", "HTTPS_REDIRECT": "no"},
            "bad  ",
            "X_ACCEL leaves sending media to nginx",
        ),
        ({"EMAIL_URL": ""}, "warn ", "letters go to the log"),
        ({"EMAIL_URL": "", "EMAIL_VERIFICATION": "mandatory"}, "bad  ", "people must confirm their address"),
        ({"SIGNUP_OPEN": "yes"}, "warn ", "anybody may sign up"),
        ({"DATABASE_URL": "sqlite:////tmp/x.sqlite3"}, "warn ", "production on SQLite"),
        ({"METRICS_TOKEN": "short"}, "warn ", "METRICS_TOKEN is short"),
        ({"X_ACCEL": "yes", "S3_BUCKET": "media", "S3_REGION": "eu-west-1"}, "warn ", "X_ACCEL does nothing"),
    ],
    ids=lambda value: ",".join(value) if isinstance(value, dict) else None,
)
def test_settings_that_do_not_go_together(tmp_path: Path, given: dict[str, str], level: str, sentence: str) -> None:
    done = examined(tmp_path, "--only", "settings", **(PUBLIC | given))
    assert f"{level} {sentence}" in done.stdout, done.stdout + done.stderr
    assert done.returncode == (level == "bad  ")


# The database


def test_a_migrated_database_is_well(db: None) -> None:
    assert house.database_is_current().level == "ok"
    assert found(house.database_answers)[0][0] == "ok"


def test_an_empty_database_waits_for_migrations_and_breaks_no_other_check(tmp_path: Path) -> None:
    done = examined(
        tmp_path, *(word for name in ("migrations", "clocks", "workers", "tickets") for word in ("--only", name))
    )
    assert done.returncode == 1
    assert "migrations: " in done.stdout
    assert "-> ./heygem manage migrate" in done.stdout
    assert done.stdout.count("-> First make the database work.") == 3


@pytest.mark.postgres
@pytest.mark.parametrize(
    ("address", "remedy"),
    [
        ("postgresql://heygem@127.0.0.1:{free}/x", "Start the server, and check host and port"),
        ("postgresql://heygem@127.0.0.1:{port}/absent", "Make it: createdb"),
        ("postgresql://nobody@127.0.0.1:{port}/postgres", "Make it: createdb (or createuser)"),
    ],
    ids=["no server", "no database", "no user"],
)
def test_a_database_that_cannot_be_used_is_told_with_what_to_do(
    tmp_path: Path, postgres: Server, address: str, remedy: str
) -> None:
    url = address.format(port=postgres.port, free=free_port())
    done = examined(tmp_path, "--only", "database", "--only", "tickets", DATABASE_URL=url)
    assert done.returncode == 1
    assert done.stdout.startswith("bad   database: ")
    assert remedy in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.postgres
def test_postgresql_is_named_with_its_version(tmp_path: Path, postgres: Server) -> None:
    url = postgres.url("postgres")
    assert "ok    database: PostgreSQL 1" in examined(tmp_path, "--only", "database", DATABASE_URL=url).stdout


def test_several_machines_on_sqlite_are_bad(db: None) -> None:
    if connection.vendor != "sqlite":
        pytest.skip("this test run uses another database")
    seen("gpu", "one")
    assert found(house.database_answers)[0][0] == "ok"
    seen("gpu", "two")
    level, what, remedy = found(house.database_answers)[0]
    assert (level, what) == ("bad", "several machines (one, two) share one SQLite database")
    assert "PostgreSQL" in remedy


def test_sqlite_on_a_network_disk_is_bad(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    if connection.vendor != "sqlite":
        pytest.skip("this test run uses another database")
    monkeypatch.setattr(house, "_file_system", lambda _file: "nfs4")
    assert found(house.database_answers)[0][:2] == ("bad", "SQLite on a network disk (nfs4) loses data")


def test_the_file_system_of_a_file_is_known() -> None:
    assert house._file_system(Path("/proc/self/status")) == "proc"


def test_a_machine_whose_clock_is_ahead_is_named(db: None) -> None:
    assert only(house.clocks_agree)[0] == "ok"
    seen("gpu", "fast", last_seen_at=timezone.now() + timedelta(minutes=3))
    assert only(house.clocks_agree)[1].startswith("the clock of fast is ahead")


@pytest.mark.parametrize(("off", "level"), [(5.0, "warn"), (-60.0, "bad")])
def test_a_server_whose_clock_is_off_is_told(db: None, monkeypatch: pytest.MonkeyPatch, off: float, level: str) -> None:
    import time

    monkeypatch.setattr(connection, "vendor", "postgresql")
    monkeypatch.setattr(house, "can_be_asked", lambda: True)
    monkeypatch.setattr(house, "database_time", lambda: time.time() + off)
    finding = only(house.clocks_agree)
    assert finding[0] == level
    assert f"{off:+.0f} s off" in finding[1]


# Storage


def test_a_folder_that_cannot_be_written_is_bad(settings: Settings) -> None:
    settings.MEDIA_ROOT = Path("/proc/nowhere")
    assert only(storage.storage_works)[0] == "bad"


def test_the_folder_is_left_as_it_was(media: Path) -> None:
    assert only(storage.storage_works)[0] == "ok"
    assert not [path for path in media.rglob("*") if path.is_file()]


def test_a_bucket_is_written_to_and_browsers_may_send_to_it(s3: Faults, settings: Settings) -> None:
    assert only(storage.storage_works)[:2] == (
        "ok",
        f"storage: the bucket {settings.S3_BUCKET} (written, read, removed)",
    )
    settings.CSRF_TRUSTED_ORIGINS = ["https://heygem.example.com"]
    assert only(storage.browsers_reach_the_bucket)[0] == "ok"


def test_a_bucket_without_cors_rules_is_told_with_the_origin(s3: Faults, settings: Settings) -> None:
    endpoint.client(s3.url).delete_bucket_cors(Bucket=settings.S3_BUCKET)
    settings.CSRF_TRUSTED_ORIGINS = ["https://heygem.example.com"]
    s3.mode = "500"  # moto answers every origin by itself; a server without rules lets nobody in
    level, _what, remedy = only(storage.browsers_reach_the_bucket)
    assert (level, remedy) == (
        "bad",
        "Let the bucket's CORS rules allow PUT, GET and HEAD from https://heygem.example.com.",
    )


def test_a_bucket_that_is_not_there_and_a_storage_that_is_away(tmp_path: Path, s3_server: int) -> None:
    given = endpoint.variables(f"http://127.0.0.1:{s3_server}", "no-such-bucket")
    done = examined(tmp_path, "--only", "storage", **given)
    assert done.returncode == 1
    assert "Make the bucket S3_BUCKET" in done.stdout
    away = examined(
        tmp_path,
        "--only",
        "storage",
        "--only",
        "browsers",
        **given | {"S3_ENDPOINT": f"http://127.0.0.1:{free_port()}"},
    )
    assert "Start the storage, and check S3_ENDPOINT" in away.stdout
    assert "does not answer" in away.stdout


def test_several_machines_with_a_folder_are_a_warning(db: None, settings: Settings) -> None:
    assert found(storage.storage_is_shared) == []
    seen("gpu", "one")
    seen("gpu", "two")
    assert only(storage.storage_is_shared)[0] == "warn"


# Workers


def test_clusters_that_are_away_and_workers_put_aside_are_told(db: None) -> None:
    seen("gpu", state="quarantined", engine="1.0")
    seen("gpu", "other", state="paused", engine="2.0")
    told = " ".join(what for level, what, _remedy in found(house.workers_are_heard) if level == "warn")
    assert "no worker of the cluster worker was heard of lately" in told
    assert "box/gpu is quarantined" in told
    assert "other/gpu is paused" in told
    assert "engines of several versions are at work: 1.0, 2.0" in told


def test_tickets_that_nobody_takes_are_bad(db: None, team: Team) -> None:
    assert only(house.tickets_are_taken)[0] == "ok"
    seen("gpu")
    new_job(team)
    OrmQ.objects.update(lock=timezone.now() - timedelta(minutes=5))
    assert only(house.tickets_are_taken)[0] == "bad"


def test_a_stuck_cluster_of_this_machine_is_named(db: None, settings: Settings) -> None:
    idle = timezone.now() - timedelta(minutes=2)
    seen("worker", settings.WORKER_NAME, pid=os.getpid(), last_seen_at=idle, idle_since=idle)
    OrmQ.objects.create(key="worker", payload="-", lock=idle)
    assert only(house.tickets_are_taken)[1] == "clusters of this machine that let work wait: worker"
