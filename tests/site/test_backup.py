"""``./heygem backup`` and ``./heygem restore``, on whole installations of their own."""

from __future__ import annotations

import fcntl
import gzip
import json
import sqlite3
import subprocess
import sys
import tarfile
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.db import transaction
from django.utils import timezone

from heygem_site.backup import BackupError
from heygem_site.backup.archive import ABOUT, LISTING, MANIFEST, Reader, Writer
from projects.models import MediaHold, Team
from projects.services import blobs, media_hold
from tests import factories, s3
from tests.rendering.sites import ROOT, Site
from tests.sites import Kind, NewSite

FURNISH = """
from datetime import timedelta
from django.utils import timezone
from django.contrib.sessions.backends.db import SessionStore
from projects.models import *
from projects.services import uploads
from rendering import queue, states
from rendering.cells import CellKey
from rendering.models import *
from rendering.services import batches, exports
from tests import factories
from tests.rendering import making
alice = factories.user("alice")
team = factories.team("Älicé's team 视频", owner=alice)
project = making.ready_project(team)
cells = [CellKey(row.public_id, column.public_id, "en")
         for row in project.presenters.all() for column in project.scripts.all()]
batches.start_batch(actor=alice, project=project, cells=cells)
version = making.succeed_next()
making.fail_next()
running = making.claim_next().job
exports.create_export(actor=alice, project=project, versions=[version])
Export.objects.update(state="running", done=1)
uploads.start(actor=alice, team=team, purpose="footage", name="half.mp4", size=9, target={})
seen = factories.blob(team, b"being looked at")
factories.footage(project.presenters.first(), state="running", attempts=1, blob=seen, **factories.leased())
SessionStore().save()
KeyedRequest.objects.create(user=alice, key="k", asked="x")
told = {"team": team.public_id, "running": running.public_id, "version": version.public_id}
"""
"""Something in every state."""

LOOK = """
import hashlib, json
from projects.models import *
from projects.services import blobs
from rendering.models import *
from heygem_site.backup import database
from django.contrib.sessions.models import Session
from django_q.models import OrmQ
def seen(model):
    names = [field.attname for field in database.columns(model)]
    rows = model._base_manager.values_list(*names)
    return sorted(json.dumps(row, default=str, sort_keys=True) for row in rows)
told = {
    "tables": {name: seen(model) for name, model in database.tables().items()},
    "bytes": {blob.sha256: hashlib.sha256(b"".join(blobs.read(blob))).hexdigest() for blob in MediaBlob.objects.all()
              if blobs.is_stored(blob)},
    "jobs": {job.public_id: [job.state, job.attempts, job.lease_token] for job in RenderJob.objects.all()},
    "tries": sorted(RenderAttempt.objects.values_list("outcome", flat=True)),
    "footage": sorted(Footage.objects.values_list("state", flat=True)),
    "exports": list(Export.objects.values_list("state", "done")),
    "uploads": Upload.objects.count(),
    "sessions": Session.objects.count(),
    "tickets": sorted(set(OrmQ.objects.values_list("key", flat=True))),
}
"""


def tell(site: Site, script: str) -> Any:
    """What ``told`` is after ``script`` has run on the site."""
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            f"import django\ndjango.setup()\n{script}\nimport json\nprint(json.dumps(told, default=str))",
        ],
        cwd=ROOT,
        env={**site.env, "DJANGO_SETTINGS_MODULE": "heygem_site.settings", "HEYGEM_VAR": str(site.folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def run(site: Site, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", *words],
        cwd=ROOT,
        env={**site.env, "HEYGEM_VAR": str(site.folder)},
        capture_output=True,
        text=True,
        check=False,
    )


def good(site: Site, *words: str) -> str:
    done = run(site, *words)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def refused(site: Site, *words: str) -> str:
    """The one sentence."""
    done = run(site, *words)
    assert done.returncode == 1, done.stdout
    assert "Traceback" not in done.stderr
    return done.stderr.strip().splitlines()[-1]


ROUTES = [
    ("sqlite", "sqlite"),
    pytest.param("postgres", "postgres", marks=pytest.mark.postgres),
    pytest.param("sqlite", "postgres", marks=pytest.mark.postgres),
]


@pytest.mark.parametrize(("source", "target"), ROUTES)
def test_an_installation_comes_back_as_it_was(new_site: NewSite, tmp_path: Path, source: Kind, target: Kind) -> None:
    old, new, file = new_site(source), new_site(target), tmp_path / "backup.tar"
    made = tell(old, FURNISH)
    before = tell(old, LOOK)
    assert f"{file}: " in good(old, "backup", str(file))
    assert tell(old, LOOK)["tables"] == before["tables"], "a backup changes nothing"
    assert file.stat().st_mode & 0o077 == 0, "it holds what people keep"
    said = good(new, "restore", str(file))
    assert "Waiting again: 1 jobs, 1 analyses, 1 exports." in said
    assert "1 unfinished uploads" in said
    after = tell(new, LOOK)
    assert len(before["bytes"]) >= 5
    assert after["bytes"] == before["bytes"]
    changed = {name for name, rows in after["tables"].items() if rows != before["tables"][name]}
    moved_on = {"rendering_renderjob", "rendering_renderattempt", "rendering_export", "rendering_workernode"}
    moved_on |= {"projects_footage", "projects_upload", "django_q_schedule", "rendering_deliverable", "rendering_board"}
    assert changed <= moved_on
    assert {name: len(rows) for name, rows in after["tables"].items() if name != "projects_upload"} == {
        name: len(rows) for name, rows in before["tables"].items() if name != "projects_upload"
    }
    assert before["jobs"][made["running"]][:2] == ["running", 1]
    assert after["jobs"][made["running"]] == ["queued", 0, None]
    assert ("running" in before["tries"], "running" in after["tries"]) == (True, False)
    assert (before["footage"].count("running"), after["footage"].count("running")) == (1, 0)
    assert (after["exports"], after["uploads"], after["sessions"]) == ([["waiting", 0]], 0, 0)
    assert after["tickets"] == ["gpu", "worker"]
    # New rows get numbers of their own, and work goes on.
    grown = tell(
        new,
        "from tests.rendering import making\nfrom rendering.models import *\n"
        "told = [making.succeed_next().number, RenderVersion.objects.count()]",
    )
    assert grown == [1, 2]


def test_what_is_written_meanwhile_is_in_it_whole_or_not_at_all(new_site: NewSite, tmp_path: Path) -> None:
    """A writer makes pairs of rows, one pair for one transaction; no backup ever holds half a pair."""
    site, other = new_site(), new_site()
    tell(site, FURNISH)
    writer = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import django\ndjango.setup()\n"
            "from django.db import transaction\nfrom projects.models import Team, Presenter\n"
            "n = 0\nprint('ready', flush=True)\n"
            "while True:\n"
            "    n += 1\n"
            "    with transaction.atomic():\n"
            "        team = Team.objects.create(name=f'pair {n}')\n"
            "        Presenter.objects.create(team=team, name=f'pair {n}')\n",
        ],
        cwd=ROOT,
        env={**site.env, "DJANGO_SETTINGS_MODULE": "heygem_site.settings"},
        stdout=subprocess.PIPE,
    )
    assert writer.stdout is not None
    try:
        writer.stdout.readline()
        for number in range(2):
            good(site, "backup", str(tmp_path / f"{number}.tar"))
    finally:
        writer.kill()
        writer.communicate()
    numbers = []
    for number in range(2):
        good(other, "restore", str(tmp_path / f"{number}.tar"), *(["--replace"] if number else []))
        told = tell(
            other,
            "from projects.models import *\ntold = [Team.objects.filter(name__startswith='pair').count(),"
            "Presenter.objects.filter(name__startswith='pair').count()]",
        )
        assert told[0] == told[1]
        numbers.append(told[0])
    assert numbers[1] > numbers[0], "the writer wrote while the backups were made"


def test_an_installation_in_use_is_replaced_only_when_that_is_said(new_site: NewSite, tmp_path: Path) -> None:
    old, new, file = new_site(), new_site(), tmp_path / "backup.tar"
    made = tell(old, FURNISH)
    good(old, "backup", str(file))
    tell(new, "from tests import factories\nfactories.team('Another', owner=factories.user('zoe'))\ntold = 0")
    assert "This installation is not empty." in refused(new, "restore", str(file))
    said = good(new, "restore", str(file), "--replace")
    assert tell(
        new, "from projects.models import *\ntold = list(Team.objects.values_list('public_id', flat=True))"
    ) == [made["team"]]
    (kept,) = new.folder.glob("*.before-*")
    assert str(kept) in said
    with sqlite3.connect(kept) as before:
        assert before.execute("SELECT name FROM projects_team").fetchall() == [("Another",)]
    before.close()


def flip_a_bit(content: bytes) -> bytes:
    place = content.index(b"moving")
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


def test_what_is_not_a_whole_backup_is_refused_and_nothing_is_touched(new_site: NewSite, tmp_path: Path) -> None:
    site, file, broken = new_site(), tmp_path / "backup.tar", tmp_path / "broken.tar"
    tell(site, FURNISH + "blob = factories.blob(team, b'moving pictures ' * 9000)\n")
    good(site, "backup", str(file))
    before, content = tell(site, LOOK), file.read_bytes()
    changes = {
        "The file ends before it should": [content[: len(content) // 2], content[:-20_000], content[:-11_000]],
        "The backup is damaged": [flip_a_bit(content)],
        "is not a backup of HeyGem": [b"something else", b""],
        "is damaged at its very beginning": [content[:1000]],
    }
    for sentence, contents in changes.items():
        for changed in contents:
            broken.write_bytes(changed)
            with pytest.raises(BackupError, match=sentence):
                Reader(broken)
    broken.write_bytes(flip_a_bit(content))
    assert "is not what was written. Nothing was changed." in refused(site, "restore", str(broken), "--replace")
    assert tell(site, LOOK) == before


def unchanged(name: str, content: bytes) -> bytes:
    return content


def rewritten(file: Path, to: Path, change: Callable[[str, bytes], bytes] = unchanged, **about: Any) -> Path:
    """The same backup with another ``about.json``, its files as ``change`` makes them."""
    with to.open("wb") as sink, Reader(file) as reader:
        writer = Writer(sink)
        writer.add_json(ABOUT, {**reader.about, **about})
        for name in reader.manifest["files"]:
            if name != ABOUT:
                content = change(name, reader.open(name).read())
                writer.add(name, len(content), iter([content]))
        writer.close()
    return to


def test_a_backup_that_names_files_outside_of_the_storage_is_refused(new_site: NewSite, tmp_path: Path) -> None:
    site, file = new_site(), tmp_path / "backup.tar"
    tell(site, FURNISH + "blob = factories.blob(team, b'moving pictures ' * 9000)\n")
    good(site, "backup", str(file))
    before = tell(site, LOOK)

    def strayed(name: str, content: bytes) -> bytes:
        if name != LISTING:
            return content
        path, *rest = json.loads(gzip.decompress(content).splitlines()[0])
        return gzip.compress(json.dumps([f"../../{path}", *rest]).encode())

    made = rewritten(file, tmp_path / "strange.tar", strayed)
    assert "names a file outside of the storage" in refused(site, "restore", str(made), "--replace")
    assert tell(site, LOOK) == before


def test_a_backup_of_a_newer_version_says_which_to_install(new_site: NewSite, tmp_path: Path) -> None:
    site, file = new_site(), tmp_path / "backup.tar"
    good(site, "backup", str(file))
    with Reader(file) as reader:
        migrations = [*reader.about["migrations"], "rendering.0999_dreams"]
    newer = rewritten(file, tmp_path / "newer.tar", version="9.1", migrations=migrations)
    assert "made by HeyGem 9.1, which is newer than this one" in refused(site, "restore", str(newer))
    assert "format 7" in refused(site, "restore", str(rewritten(file, tmp_path / "other.tar", format=7)))


OLD = """
import gzip, json
from pathlib import Path
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.recorder import MigrationRecorder
from heygem_site.backup import archive, database
executor = MigrationExecutor(connection)
then = [node for node in executor.loader.graph.leaf_nodes() if node[0] not in ("projects", "rendering")]
then += [("projects", "0002_footage_preview"), ("rendering", "0002_attempt_ended")]
executor.migrate(then)
apps = executor.loader.project_state(then).apps
team = apps.get_model("projects", "Team").objects.create(name="From the past", public_id="past")
apps.get_model("projects", "Presenter").objects.create(team=team, name="Ada", public_id="ada")
folder = Path("{folder}")
rows = database.dump(folder, lambda *_: None, apps)
applied = sorted(".".join(step) for step in MigrationRecorder(connection).applied_migrations())
with open("{folder}/old.tar", "wb") as sink:
    writer = archive.Writer(sink)
    about = {{"format": 1, "version": "0.9", "made_at": "then", "migrations": applied}}
    writer.add_json("about.json", about)
    for table in sorted(rows):
        writer.add_file(f"database/{{table}}.jsonl.gz", folder / f"{{table}}.jsonl.gz")
    with gzip.open(folder / "media.jsonl.gz", "wt"): pass
    writer.add_file("media.jsonl.gz", folder / "media.jsonl.gz")
    writer.close()
told = rows["projects_presenter"]
"""


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def test_a_backup_of_an_older_version_is_brought_up_to_date(new_site: NewSite, tmp_path: Path, kind: Kind) -> None:
    past, site = new_site(), new_site(kind)
    past.env["DATABASE_URL"] = f"sqlite:///{tmp_path / 'past.sqlite3'}"
    assert tell(past, OLD.format(folder=tmp_path)) == 1
    said = good(site, "restore", str(tmp_path / "old.tar"))
    assert "brought from 0.9 to " in said
    assert tell(site, "from projects.models import *\ntold = Presenter.objects.get().team.name") == "From the past"
    assert "No migrations to apply" in good(site, "migrate")
    assert "No changes detected" in good(site, "makemigrations", "--check", "--dry-run")


def test_a_site_that_runs_is_not_exchanged_under_its_feet(new_site: NewSite, tmp_path: Path) -> None:
    site, file = new_site(), tmp_path / "backup.tar"
    good(site, "backup", str(file))
    with (site.folder / "up.lock").open("a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "The site runs here." in refused(site, "restore", str(file))
    cluster = site.cluster("worker")
    site.call("nodes")
    for _ in range(100):
        if site.call("nodes"):
            break
    assert "is at work. Stop it first" in refused(site, "restore", str(file))
    cluster.stop()


@pytest.mark.postgres
def test_a_database_that_others_are_connected_to_is_not_exchanged(new_site: NewSite, tmp_path: Path) -> None:
    site, file = new_site("postgres"), tmp_path / "backup.tar"
    good(site, "backup", str(file))
    with psycopg.connect(site.env["DATABASE_URL"]):
        assert "1 other connections to this database are open." in refused(site, "restore", str(file))
    good(site, "restore", str(file))


@pytest.mark.postgres
def test_a_restore_that_fails_half_way_leaves_everything(new_site: NewSite, tmp_path: Path) -> None:
    """A row that points at nothing passes every checksum; the database refuses it when all is loaded."""
    site, file = new_site("postgres"), tmp_path / "backup.tar"
    tell(site, FURNISH)
    good(site, "backup", str(file))
    before = tell(site, LOOK)
    broken = tmp_path / "broken.tar"
    with broken.open("wb") as sink, Reader(file) as reader:
        writer = Writer(sink)
        for name in reader.manifest["files"]:
            content = reader.open("database/projects_presenter.jsonl.gz" if "projects_team.js" in name else name).read()
            if "projects_team.js" in name:
                continue  # nothing for the presenters to belong to
            writer.add(name, len(content), iter([content]))
        writer.close()
    assert "The database refuses: " in refused(site, "restore", str(broken), "--replace")
    assert tell(site, LOOK) == before


def test_a_file_that_the_storage_lost_is_told(new_site: NewSite, tmp_path: Path) -> None:
    site, new, file = new_site(), new_site(), tmp_path / "backup.tar"
    tell(site, FURNISH)
    lost, changed = sorted((site.folder / "media" / "blobs").glob("*/*"))[:2]
    changed.chmod(0o600)
    changed.write_bytes(bytes(changed.stat().st_size))
    lost.unlink()
    done = run(site, "backup", str(file))
    assert done.returncode == 3
    assert "1 stored files are missing from the storage" in done.stderr
    assert "1 stored files are damaged" in done.stderr
    assert "1 stored files were missing when the backup was made." in good(new, "restore", str(file))


def test_a_folder_gets_a_file_with_the_time_and_no_half_file_is_left(new_site: NewSite, tmp_path: Path) -> None:
    site, folder = new_site(), tmp_path / "kept"
    folder.mkdir()
    good(site, "backup", str(folder), "--quiet")
    (made,) = folder.iterdir()
    assert made.name.startswith("heygem-20")
    assert "cannot be written: No such file or directory" in refused(site, "backup", str(folder / "absent" / "x.tar"))
    (site.folder / "media" / "blobs").mkdir(exist_ok=True)
    assert list(folder.iterdir()) == [made]


def test_a_pipe_gets_the_same(new_site: NewSite, tmp_path: Path) -> None:
    site, file = new_site(), tmp_path / "piped.tar"
    with file.open("wb") as sink:
        done = subprocess.run(
            [sys.executable, "manage.py", "backup", "-"],
            cwd=ROOT,
            env={**site.env, "HEYGEM_VAR": str(site.folder)},
            stdout=sink,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    with Reader(file) as reader:
        assert reader.about["media"] == "copied"
    with tarfile.open(file) as tar:
        assert tar.getnames()[0] == ABOUT
        assert tar.getnames()[-1] == MANIFEST


def test_object_storage_is_listed_or_copied(new_site: NewSite, tmp_path: Path, s3_server: int) -> None:
    url = f"http://127.0.0.1:{s3_server}"
    for bucket in ("backup-old", "backup-new"):
        s3.make_bucket(url, bucket)
    old, beside, new = (new_site(**s3.variables(url, f"backup-{name}")) for name in ("old", "old", "new"))
    tell(old, FURNISH)
    before, listed, copied = tell(old, LOOK), tmp_path / "listed.tar", tmp_path / "copied.tar"
    assert "7 files are in the storage" in good(old, "backup", str(listed))
    good(old, "backup", str(copied), "--with-media")
    with Reader(listed) as small, Reader(copied) as large:
        assert (small.about["media"], large.about["media"]) == ("listed", "copied")
        assert (len(small.names("media")), len(large.names("media"))) == (0, 7)
    good(beside, "restore", str(listed))
    assert tell(beside, LOOK)["bytes"] == before["bytes"]
    assert "7 stored files are neither in the backup nor in" in refused(new, "restore", str(listed))
    good(new, "restore", str(copied))
    assert tell(new, LOOK)["bytes"] == before["bytes"]


# Holding what is being copied


@pytest.mark.django_db(transaction=True)
def test_nothing_is_removed_while_a_backup_copies(team: Team) -> None:
    blob = factories.blob(team, b"nobody needs it")
    type(blob).objects.update(created_at=timezone.now() - timedelta(days=9))
    with media_hold.held():
        assert blobs.delete_unreferenced() == 0
        with pytest.raises(media_hold.HeldError), media_hold.held():
            pass
        assert blobs.is_stored(blob)
    assert blobs.delete_unreferenced() == 1


@pytest.mark.django_db(transaction=True)
def test_a_backup_that_died_holds_nothing_up_for_long(team: Team) -> None:
    MediaHold.objects.create(pk=1, until=timezone.now() - timedelta(seconds=1))
    with transaction.atomic():
        assert not media_hold.is_held()


@pytest.mark.django_db(transaction=True)
def test_a_long_backup_renews_its_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(media_hold, "RENEWED_S", 0.01)
    renewed = threading.Event()
    known = media_hold._set
    monkeypatch.setattr(media_hold, "_set", lambda until: (known(until), renewed.set()))
    with media_hold.held():
        renewed.clear()
        assert renewed.wait(10)


def test_an_entry_that_is_shorter_than_it_said_is_an_error(tmp_path: Path) -> None:
    with (tmp_path / "x.tar").open("wb") as sink, pytest.raises(OSError, match="unexpected end of data"):
        Writer(sink).add("media/x", 100, iter([b"short"]))


def test_a_reader_of_nothing_says_so(tmp_path: Path) -> None:
    with pytest.raises(BackupError, match="There is no file"):
        Reader(tmp_path / "absent")
