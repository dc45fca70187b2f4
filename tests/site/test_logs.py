"""What the log says of an event, in lines and in JSON, and what errors tell a Sentry server."""

from __future__ import annotations

import gzip
import json
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from pytest_django.fixtures import Settings

from heygem_site import accounts, logs
from heygem_site.version import VERSION
from projects import trace
from projects.models import Project, Team
from rendering.execution import node, render
from rendering.models import RenderJob
from tests.cast import browser
from tests.rendering import making, sites

ROOT = Path(__file__).resolve().parents[2]


class Collector(logging.Handler):
    """Every record as the installation would write it in JSON."""

    def __init__(self) -> None:
        super().__init__()
        self.addFilter(logs.Context())
        self.setFormatter(logs.OneObject())
        self.told: list[dict[str, Any]] = []
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.told.append(json.loads(self.format(record)))
        self.lines.append(logs.OneLine().format(record))

    def about(self, logger: str) -> list[dict[str, Any]]:
        return [record for record in self.told if record["logger"] == logger]


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    monkeypatch.setattr(trace, "_process", {})
    monkeypatch.setattr(node, "_node", None)
    handler, root = Collector(), logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    yield handler
    root.removeHandler(handler)
    root.setLevel(level)


def test_a_request_s_record_says_who_asked_for_what(collector: Collector, alice: User, project: Project) -> None:
    address = reverse("rendering:board", args=[project.public_id])
    answer = browser(alice).get(address, headers={"X-Request-ID": "from-a-proxy"})
    (record,) = collector.about("heygem.request")
    assert record["message"].startswith(f"GET {address} 200 ")
    assert record["level"] == "info"
    assert record["request"] == answer["X-Request-ID"] == "from-a-proxy"
    assert record["user"] == str(alice.pk)
    assert record["team"] == project.team.public_id
    assert (record["method"], record["route"], record["path"]) == ("GET", "rendering:board", address)
    assert record["status"] == 200
    assert record["ms"] > 0
    assert record["time"].endswith("+00:00")


def test_what_one_request_was_about_is_not_told_of_the_next(collector: Collector, alice: User, team: Team) -> None:
    browser(alice).get(reverse("projects:presenters", args=[team.public_id]))
    Client().get("/accounts/login/")
    first, second = collector.about("heygem.request")
    assert first["team"] == team.public_id
    assert not {"team", "user"} & second.keys()
    assert logs.context() == {}


def test_a_log_line_is_no_reason_to_look_anybody_up(
    collector: Collector, alice: User, django_assert_num_queries: Any
) -> None:
    client = browser(alice)
    with django_assert_num_queries(1):  # the database is asked whether it answers, and nothing else
        client.get("/healthz")


@pytest.mark.django_db(transaction=True)
def test_every_record_of_a_job_names_job_team_and_worker(
    collector: Collector, team: Team, alice: User, settings: Settings
) -> None:
    from rendering.cells import CellKey
    from rendering.execution.child import engine
    from rendering.services import batches

    settings.ENGINE_COMMAND = [sys.executable, "-m", "tests.fake_engine"]
    settings.BASE_DIR = sites.ROOT
    project = making.ready_project(team, rows=1, columns=1)
    cell = CellKey(project.presenters.get().public_id, project.scripts.get().public_id, "en")
    batches.start_batch(actor=alice, project=project, cells=[cell])
    try:
        told = render.run_ticket()
    finally:
        engine().stop()
    job = RenderJob.objects.get()
    assert told.startswith(f"{job.public_id}: version 1")
    records = collector.about("heygem.render")
    assert len(records) == 2
    for record in records:
        assert (record["job"], record["team"]) == (job.public_id, team.public_id)
        assert record["worker"].endswith("/gpu")
    assert any(f"[job={job.public_id} team={team.public_id} worker=" in line for line in collector.lines)
    assert "job" not in logs.context()


def test_a_traceback_belongs_to_its_record(collector: Collector) -> None:
    try:
        raise ValueError("no such thing")
    except ValueError:
        logging.getLogger("heygem.test").exception("failed\nin two lines")
    (record,) = collector.about("heygem.test")
    assert record["message"] == "failed\nin two lines"
    assert record["traceback"].endswith("ValueError: no such thing")
    assert collector.lines[0].count("\n") > 2


@pytest.mark.parametrize(
    "text",
    [
        "connecting to postgresql://heygem:hunter2@db.example.com/heygem",
        "asked with Authorization: Bearer hunter2",
        "fetched https://s3.example.com/media/a?X-Amz-Signature=hunter2&X-Amz-Date=1",
        "opened /media/a?token=hunter2",
    ],
)
def test_keys_and_passwords_that_a_library_quotes_are_left_out(collector: Collector, text: str) -> None:
    logging.getLogger("library").error(text)
    assert "hunter2" not in collector.told[0]["message"]
    assert "hunter2" not in collector.lines[0]
    assert "…" in collector.lines[0]


def test_a_token_of_a_program_and_a_link_s_secret_are_in_no_record(
    collector: Collector, db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    Client().get("/api/v1/projects/", headers={"Authorization": "Bearer hg_abcdefgh_sesame"})
    Client().get("/invitations/sesame/")
    Client().post("/accounts/login/", {"login": "alice@example.com", "password": "sesame"})

    def fail(_token: str) -> None:
        raise RuntimeError

    monkeypatch.setattr(accounts, "_holder", fail)
    Client(raise_request_exception=False).get("/accounts/once/sesame/")
    assert len(collector.about("heygem.request")) == 4
    assert any(record["message"] == "Internal Server Error: /accounts/once/…/" for record in collector.told)
    assert "sesame" not in json.dumps(collector.told)


def test_ids_end_with_the_work_they_belong_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace, "_process", {})
    trace.note(team="nobody's")
    with trace.working_for(job="a", team=""):
        trace.note(team="t")
        with trace.working_for(job="b"):
            assert trace.ids() == {"job": "b", "team": "t"}
        assert trace.ids() == {"job": "a", "team": "t"}
    assert trace.ids() == {}
    trace.always(worker="w")
    assert trace.ids() == {"worker": "w"}


def run(tmp_path: Path, script: str, **env: str) -> subprocess.CompletedProcess[str]:
    """``script`` in a process of its own, with the site's own settings."""
    given = sites.environment(tmp_path, f"sqlite:///{tmp_path / 'db.sqlite3'}", HEYGEM_VAR=tmp_path, **env)
    given["DJANGO_SETTINGS_MODULE"] = "heygem_site.settings"
    return subprocess.run(
        [sys.executable, "-c", f"import django\ndjango.setup()\n{script}"],
        cwd=ROOT,
        env=given,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_installation_chooses_the_form(tmp_path: Path) -> None:
    script = "import logging; logging.getLogger('heygem.test').warning('hello')"
    line = run(tmp_path, script).stderr
    assert line.strip().endswith("WARNING heygem.test hello")
    told = json.loads(run(tmp_path, script, LOG_FORMAT="json").stderr)
    assert (told["message"], told["level"]) == ("hello", "warning")
    assert "LOG_FORMAT must be one of line, json" in run(tmp_path, script, LOG_FORMAT="xml").stderr


# Sentry


class Ingest(ThreadingHTTPServer):
    """Plays the server: keeps the events that arrive."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.events: list[dict[str, Any]] = []
        self.raw = ""

    @property
    def dsn(self) -> str:
        return f"http://public@127.0.0.1:{self.server_port}/7"


class Answer(BaseHTTPRequestHandler):
    server: Ingest

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        assert self.path == "/api/7/envelope/"
        lines = body.decode().splitlines()
        self.server.raw += body.decode()
        self.server.events += [
            json.loads(item) for head, item in zip(lines[1::2], lines[2::2], strict=False) if '"event"' in head
        ]
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_args: object) -> None:
        pass


@pytest.fixture
def ingest() -> Iterator[Ingest]:
    with Ingest() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


FAILURE = """
import logging
from django.test import Client
from heygem_site import accounts
def _holder(token):
    secret = "hunter2"
    raise ValueError("nothing for mallory@example.com at postgresql://u:hunter2@db/x")
accounts._holder = _holder
client = Client(raise_request_exception=False, SERVER_NAME="localhost", REMOTE_ADDR="203.0.113.9")
client.cookies["sessionid"] = "hunter2"
client.get("/accounts/once/hunter2/?q=hunter2", headers={"X-Request-ID": "request-1", "User-Agent": "hunter2"})
logging.getLogger("heygem.test").error("could not keep %s", "hunter2.mp4")
"""


def test_an_error_is_sent_without_anything_of_anybody(tmp_path: Path, ingest: Ingest) -> None:
    done = run(tmp_path, FAILURE, SENTRY_DSN=ingest.dsn, SENTRY_ENVIRONMENT="staging")
    assert done.returncode == 0, done.stderr
    failed, told = sorted(ingest.events, key=lambda event: "logentry" in event)
    assert failed["release"] == f"heygem@{VERSION}"
    assert failed["environment"] == "staging"
    assert failed["tags"] == {"request": "request-1"}
    assert failed["exception"]["values"][-1]["type"] == "ValueError"
    assert failed["exception"]["values"][-1]["stacktrace"]["frames"][-1]["function"] == "_holder"
    assert failed["transaction"] == "/accounts/once/{token}/"
    assert told["logentry"] == {"message": "could not keep %s"}
    for part in ("request", "server_name", "breadcrumbs", "extra", "contexts"):
        assert part not in failed
    for secret in ("hunter2", "mallory", "203.0.113.9", "sessionid"):
        assert secret not in ingest.raw, secret


def test_the_library_is_loaded_only_where_it_is_wanted(tmp_path: Path, ingest: Ingest) -> None:
    script = "import sys; import heygem_site.urls; print('sentry_sdk' in sys.modules)"
    assert run(tmp_path, script).stdout.strip() == "False"
    assert run(tmp_path, script, SENTRY_DSN=ingest.dsn).stdout.strip() == "True"


def test_only_the_chosen_share_is_sent(tmp_path: Path, ingest: Ingest) -> None:
    run(tmp_path, FAILURE, SENTRY_DSN=ingest.dsn, SENTRY_SAMPLE_RATE="0")
    assert ingest.events == []


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("SENTRY_DSN", "sentry.example.com", "SENTRY_DSN must be an address that begins with https://."),
        ("SENTRY_DSN", "https://sentry.example.com/1", "SENTRY_DSN must look like https://key@sentry.example.com/1"),
        ("SENTRY_SAMPLE_RATE", "2", "SENTRY_SAMPLE_RATE must be a number from 0 to 1, not '2'."),
    ],
)
def test_a_wrong_setting_stops_the_start_with_a_sentence(tmp_path: Path, name: str, value: str, sentence: str) -> None:
    done = run(tmp_path, "", **{name: value})
    assert done.returncode != 0
    assert sentence in done.stderr
