"""``./heygem doctor``: looks at everything the site stands on, and says what to do about what is wrong."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LEAST_FREE_GB = 2
ENGINE_PROBE = """
import json, torch, cv2, av
from rendering.engine.contract import ENGINE_VERSION
cuda = torch.cuda.is_available()
print(json.dumps({"engine": ENGINE_VERSION, "device": torch.cuda.get_device_name(0) if cuda else "CPU"}))
"""


@dataclass(frozen=True)
class Finding:
    level: str
    """``ok``, ``warn`` (works, but look) or ``bad`` (does not work)."""
    what: str
    remedy: str = ""


def python_is_right() -> Finding:
    have = "{}.{}.{}".format(*sys.version_info[:3])
    if sys.version_info[:2] == (3, 11):
        return Finding("ok", f"Python {have}")
    return Finding("bad", f"Python {have}", "HeyGem is tested on 3.11: remove .venv and set HEYGEM_PYTHON to one.")


def packages_match_the_lock(lock: Path = ROOT / "requirements.txt") -> Finding:
    """Every pinned package in its pinned version."""
    wrong = []
    lines = lock.read_text(encoding="utf-8").splitlines()
    pins = [line.split("==") for line in lines if "==" in line and not line.startswith("#")]
    for name, wanted in pins:
        try:
            have = version(name)
        except PackageNotFoundError:
            have = "missing"
        if have.split("+")[0] != wanted.strip():
            wrong.append(f"{name} {have} (wanted {wanted.strip()})")
    if wrong:
        return Finding("bad", f"packages: {', '.join(wrong[:5])}", "Remove .venv/heygem-lock and run ./heygem again.")
    return Finding("ok", f"{len(pins)} packages as in the lock")


def secret_key_is_safe() -> Finding:
    from django.conf import settings

    key = settings.VAR_DIR / "secret_key"
    if key.exists() and key.stat().st_mode & 0o077:
        return Finding("warn", "others on this machine can read var/secret_key", "chmod 600 var/secret_key")
    return Finding("ok", f"settings: {settings.HEYGEM_ENV}")


def database_is_current() -> Finding:
    from django.db import DatabaseError, connection
    from django.db.migrations.executor import MigrationExecutor

    try:
        executor = MigrationExecutor(connection)
        waiting = len(executor.migration_plan(executor.loader.graph.leaf_nodes()))
    except DatabaseError as error:
        return Finding("bad", f"database: {str(error).splitlines()[0]}", "Check DATABASE_URL and that the server runs.")
    if waiting:
        return Finding("warn", f"database: {waiting} migrations wait", "./heygem up makes them.")
    return Finding("ok", f"database: {connection.vendor}, migrated")


def media_is_writable() -> Finding:
    from django.conf import settings

    if not os.access(settings.MEDIA_ROOT, os.W_OK | os.X_OK):
        return Finding("bad", f"nothing can be written to {settings.MEDIA_ROOT}", "Change its owner, or MEDIA_ROOT.")
    return Finding("ok", f"media: {settings.MEDIA_ROOT}")


def disk_has_room() -> Finding:
    from django.conf import settings

    free = shutil.disk_usage(settings.MEDIA_ROOT if settings.MEDIA_ROOT.exists() else ROOT).free / 1e9
    if free < LEAST_FREE_GB:
        return Finding("warn", f"{free:.1f} GB free for media", "Make room, or move MEDIA_ROOT to a larger disk.")
    return Finding("ok", f"{free:.0f} GB free for media")


def engine_starts() -> Finding:
    """In a process of its own: the engine's libraries never load into the site."""
    done = subprocess.run(  # noqa: S603 - our own probe
        [sys.executable, "-c", ENGINE_PROBE], cwd=ROOT, capture_output=True, text=True, timeout=180, check=False
    )
    if done.returncode == 0:
        found = json.loads(done.stdout.strip().splitlines()[-1])
        return Finding("ok", f"engine {found['engine']} on {found['device']}")
    last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
    if "libGL" in last or "libgthread" in last or "libglib" in last:
        return Finding("bad", f"engine: {last}", "sudo apt-get install -y libgl1 libglib2.0-0")
    return Finding("bad", f"engine: {last}", "Remove .venv/heygem-lock and run ./heygem again.")


def clusters_work() -> Finding:
    from django.db import DatabaseError

    try:
        stuck = list(importlib.import_module("rendering.workers").stuck_clusters())
    except DatabaseError:
        return Finding("warn", "clusters: cannot be asked", "First make the database work.")
    if stuck:
        return Finding("warn", f"clusters that let work wait: {', '.join(stuck)}", "Start them: ./heygem up")
    return Finding("ok", "no work waits for a cluster that does not take it")


CHECKS: tuple[Callable[[], Finding], ...] = (
    python_is_right,
    packages_match_the_lock,
    secret_key_is_safe,
    database_is_current,
    media_is_writable,
    disk_has_room,
    engine_starts,
    clusters_work,
)


def main() -> int:
    import django
    from django.core.exceptions import ImproperlyConfigured

    from heygem_site import secret_key

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "heygem_site.settings")
    secret_key.ensure()
    try:
        django.setup()
    except ImproperlyConfigured as reason:
        print(f"bad   settings: {reason}")
        return 1
    worst = 0
    for check in CHECKS:
        finding = check()
        print(f"{finding.level:<5} {finding.what}")
        if finding.remedy:
            print(f"      -> {finding.remedy}")
        worst = max(worst, finding.level == "bad")
    return int(worst)


if __name__ == "__main__":
    sys.exit(main())
