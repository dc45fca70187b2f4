"""The installation: its settings, database, storage and workers."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from django.conf import settings
from django.db import DatabaseError, connection
from django.db.models import Q
from django.utils import timezone

from heygem_site.doctor.findings import BAD, OK, WARN, Finding
from heygem_site.health import waiting_migrations
from rendering import workers
from rendering.execution.catalogue import is_card
from rendering.models import WorkerNode
from rendering.selectors import numbers

LEAST_POSTGRESQL = 140000
SKEW_S, WORST_SKEW_S = 2.0, 15.0
"""Clocks that differ by more than this confuse people, and leases."""
HEARD = timedelta(days=1)
NETWORK_DISKS = ("nfs", "cifs", "smb", "9p", "fuse.sshfs", "ceph", "glusterfs")


def hosts_heard() -> set[str]:
    """Machines whose workers were heard of in the last day."""
    heard = WorkerNode.objects.filter(last_seen_at__gte=timezone.now() - HEARD)
    return set(heard.order_by().values_list("host", flat=True))


# Settings


def settings_fit() -> Iterator[Finding]:
    """Each setting is right by itself, or the start had stopped; here is what does not go together."""
    key = settings.VAR_DIR / "secret_key"
    found = []
    if key.exists() and key.stat().st_mode & 0o077:
        found.append(Finding(WARN, "others on this machine can read var/secret_key", "chmod 600 var/secret_key"))
    found += [*_public_settings(), *_media_settings()]
    if settings.METRICS_TOKEN and len(settings.METRICS_TOKEN) < 16:
        found.append(Finding(WARN, "METRICS_TOKEN is short enough to be guessed", "openssl rand -hex 24"))
    yield from found or [Finding(OK, f"settings: {settings.HEYGEM_ENV}")]


def _public_settings() -> Iterator[Finding]:
    letters = not settings.EMAIL_BACKEND.endswith("console.EmailBackend")
    if settings.ACCOUNT_EMAIL_VERIFICATION == "mandatory" and not letters:
        remedy = "Set EMAIL_URL to your mail server, or EMAIL_VERIFICATION=none."
        yield Finding(BAD, "people must confirm their address, and no letters are sent", remedy)
    if not settings.PRODUCTION:
        return
    if settings.SECURE_SSL_REDIRECT and not settings.BEHIND_PROXY:
        remedy = "Set BEHIND_PROXY=yes and let the proxy send X-Forwarded-Proto (deploy/nginx)."
        yield Finding(BAD, "everybody is sent to https for ever: the proxy that ends TLS is not believed", remedy)
    if not letters and settings.ACCOUNT_EMAIL_VERIFICATION != "mandatory":
        remedy = "Set EMAIL_URL: forgotten passwords need a letter."
        yield Finding(WARN, "letters go to the log instead of people", remedy)
    if settings.SIGNUP_OPEN and settings.ACCOUNT_EMAIL_VERIFICATION == "none":
        yield Finding(WARN, "anybody may sign up, with any address", "Set EMAIL_VERIFICATION=mandatory.")
    if settings.DATABASES["default"]["ENGINE"].endswith("sqlite3"):
        remedy = (
            "Good for one machine and few people at once. For more: a backup, DATABASE_URL=postgresql://..., restore."
        )
        yield Finding(WARN, "production on SQLite", remedy)


def _media_settings() -> Iterator[Finding]:
    if settings.X_ACCEL and settings.S3_BUCKET:
        yield Finding(WARN, "X_ACCEL does nothing with S3_BUCKET: browsers fetch from the bucket", "Unset X_ACCEL.")
    elif settings.X_ACCEL and not settings.BEHIND_PROXY:
        remedy = "Put nginx before the site (deploy/nginx) and set BEHIND_PROXY=yes, or unset X_ACCEL."
        yield Finding(BAD, "X_ACCEL leaves sending media to nginx, and the site is not behind a proxy", remedy)


# Database


def database_answers() -> Iterator[Finding]:
    """Reachable, of a version that works, and not where it must not lie."""
    try:
        connection.ensure_connection()
    except DatabaseError as error:
        reason = " ".join(str(error).split())[:200]
        yield Finding(BAD, f"database: {reason}", _database_remedy(reason))
        return
    if connection.vendor == "postgresql":
        have = connection.cursor().connection.info.server_version
        told = f"PostgreSQL {have // 10000}.{have % 10000}"
        old = have < LEAST_POSTGRESQL
        yield (
            Finding(BAD, f"database: {told}", "Use PostgreSQL 14 or newer.")
            if old
            else Finding(OK, f"database: {told}")
        )
        return
    file = Path(connection.settings_dict["NAME"])
    yield from _sqlite(file)


def _database_remedy(reason: str) -> str:
    if "password authentication" in reason or "no password" in reason:
        return "The user or the password in DATABASE_URL is wrong."
    if "does not exist" in reason:
        return "Make it: createdb (or createuser) on the server, as DATABASE_URL names it."
    if "refused" in reason or "timeout" in reason or "resolve" in reason or "No such file" in reason:
        return "Start the server, and check host and port in DATABASE_URL, and the firewall between."
    return "Check DATABASE_URL and that the server runs."


def _sqlite(file: Path) -> Iterator[Finding]:
    disk = _file_system(file)
    if disk.startswith(NETWORK_DISKS):
        remedy = "Move HEYGEM_VAR to a disk of this machine, or use PostgreSQL."
        yield Finding(BAD, f"SQLite on a network disk ({disk}) loses data", remedy)
        return
    if not can_be_asked():
        yield Finding(OK, "database: SQLite")
    elif len(hosts := hosts_heard()) > 1:
        remedy = "Use PostgreSQL: make a backup, set DATABASE_URL=postgresql://... on every machine, restore."
        yield Finding(BAD, f"several machines ({', '.join(sorted(hosts))}) share one SQLite database", remedy)
    else:
        yield Finding(OK, "database: SQLite")


def _file_system(file: Path) -> str:
    """What kind of file system ``file`` lies on, from /proc/mounts; empty when that is not known."""
    try:
        lines = Path("/proc/mounts").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    mounts = {point: kind for _device, point, kind, *_ in (line.split() for line in lines)}
    folders = [str(folder) for folder in file.absolute().parents]
    return next((mounts[folder] for folder in folders if folder in mounts), "")


def can_be_asked() -> bool:
    """Whether the tables of today are there."""
    try:
        return not waiting_migrations()
    except DatabaseError:
        return False


def database_is_current() -> Finding:
    try:
        waiting = waiting_migrations()
    except DatabaseError:
        return Finding(WARN, "migrations: cannot be asked", "First make the database work.")
    if waiting:
        return Finding(
            BAD, f"migrations: {len(waiting)} wait", "./heygem manage migrate (./heygem up does it by itself)"
        )
    return Finding(OK, "migrations: all made")


def database_time() -> float:
    """Seconds since 1970 by the database server's clock."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT extract(epoch FROM clock_timestamp())")
        return float(cursor.fetchone()[0])


def clocks_agree() -> Iterator[Finding]:
    """This machine's with the database's, and the other machines' with this one's."""
    remedy = "Let every machine keep time: apt-get install chrony."
    if not can_be_asked():
        yield Finding(WARN, "clocks: cannot be compared", "First make the database work.")
        return
    off = 0.0
    if connection.vendor == "postgresql":
        before = time.time()
        off = database_time() - (before + time.time()) / 2
        if abs(off) > SKEW_S:
            level = BAD if abs(off) > WORST_SKEW_S else WARN
            yield Finding(level, f"the database server's clock is {off:+.0f} s off this machine's", remedy)
    ahead = WorkerNode.objects.filter(last_seen_at__gt=timezone.now() + timedelta(seconds=WORST_SKEW_S))
    for host in sorted(set(ahead.values_list("host", flat=True))):
        yield Finding(WARN, f"the clock of {host} is ahead: its workers were heard of in the future", remedy)
    if abs(off) <= SKEW_S and not ahead.exists():
        yield Finding(OK, f"clocks agree (within {max(abs(off), 0.1):.1f} s)")


# Workers


def workers_are_heard() -> Iterator[Finding]:
    if not can_be_asked():
        yield Finding(WARN, "workers: cannot be asked", "First make the database work.")
        return
    for cluster in numbers.clusters_away():
        remedy = f"./heygem up starts it; on a machine of its own: systemctl start heygem-{cluster}"
        yield Finding(WARN, f"no worker of the cluster {cluster} was heard of lately", remedy)
    heard = list(WorkerNode.objects.filter(last_seen_at__gte=timezone.now() - workers.SEEN_RECENTLY).order_by("name"))
    for node in heard:
        if node.state == WorkerNode.State.QUARANTINED:
            remedy = "Read the log of its last attempts on the farm page, mend the machine, activate it there."
            yield Finding(WARN, f"{node} is quarantined: its last jobs failed in suspect ways", remedy)
        elif node.state != WorkerNode.State.ACTIVE:
            yield Finding(WARN, f"{node} is {node.get_state_display().lower()}", "Activate it on the farm page.")
    engines = {node.engine for node in heard if node.engine}
    if len(engines) > 1:
        told = ", ".join(sorted(engines))
        yield Finding(WARN, f"engines of several versions are at work: {told}", "Fine while upgrading; finish it.")
    yield Finding(OK, f"{len(heard)} workers heard of")


def cards_are_used(cards: int) -> Iterator[Finding]:
    """That as many renderers of this machine are at work on cards as it has, ``cards``."""
    if not can_be_asked():
        return
    here = Q(host=settings.WORKER_NAME) | Q(host__startswith=f"{settings.WORKER_NAME}-")
    nodes = [node for node in WorkerNode.objects.filter(here, cluster="gpu") if workers.is_heard(node)]
    used = sum(is_card(node.device) for node in nodes)
    if used and used < cards:
        remedy = "One for each: heygem-gpu@0, heygem-gpu@1 and so on; with ./heygem up, GPU_DEVICES=cuda:0,cuda:1."
        yield Finding(WARN, f"{used} of the {cards} cards of this machine have a worker", remedy)


def tickets_are_taken() -> Finding:
    if not can_be_asked():
        return Finding(WARN, "tickets: cannot be asked", "First make the database work.")
    if stuck := workers.stuck_clusters():
        remedy = "Restart it: ./heygem up does so by itself; elsewhere systemctl restart heygem-<cluster>"
        return Finding(BAD, f"clusters of this machine that let work wait: {', '.join(stuck)}", remedy)
    if numbers.work_is_left_lying():
        return Finding(
            BAD, "jobs wait, workers are there, and nobody comes", "Restart the gpu cluster, then look at its log."
        )
    return Finding(OK, "no work waits for a cluster that does not take it")
