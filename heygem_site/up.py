"""``./heygem up``: from a fresh folder to a running site, with no question asked."""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import importlib
import io
import logging
import os
import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path

from heygem_site import env, secret_key
from heygem_site.processes import Command, Log, Supervisor, parse_procfile, wants_colour

ROOT = Path(__file__).resolve().parent.parent
DEMO_PATIENCE_S = 45.0
BAR = "─" * 72


class RefusedError(Exception):
    """Why the site is not started, in a sentence."""


def arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./heygem up", description="Run the site on this machine until Ctrl-C.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (0.0.0.0: every network)")
    parser.add_argument("--port", type=int, default=8000, help="port to listen on")
    parser.add_argument("--no-demo", action="store_true", help="do not make the demo presenter and its videos")
    options = parser.parse_args(argv)
    if not 0 < options.port < 65536:
        parser.error("--port must be between 1 and 65535")
    return options


@contextlib.contextmanager
def only_one(path: Path, address: str) -> Iterator[None]:
    """Holds the lock of this folder. Raises ``RefusedError`` with the address of the one that runs already."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a+", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            found = lock.read().strip() or "its address is not known yet"
            sentence = f"Another ./heygem up is already running here ({found}). Stop it first, or use it."
            raise RefusedError(sentence) from None
        lock.truncate(0)
        lock.write(f"process {os.getpid()}, {address}\n")
        lock.flush()
        try:
            yield
        finally:
            lock.truncate(0)


def check_port(host: str, port: int) -> None:
    """Raises ``RefusedError`` when nothing can listen there."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except PermissionError:
            raise RefusedError(f"Port {port} is reserved for the system. Choose one above 1023 with --port.") from None
        except socket.gaierror:
            raise RefusedError(f"There is no address {host} on this machine (--host).") from None
        except OSError as error:
            if error.errno == 99:  # EADDRNOTAVAIL
                raise RefusedError(f"There is no address {host} on this machine (--host).") from None
            raise RefusedError(
                f"Port {port} is taken by another program. Choose another: ./heygem up --port {port + 1}"
            ) from None


def own_addresses(host: str) -> list[str]:
    """The names under which people reach a site that listens on ``host``."""
    names = ["localhost", "127.0.0.1", "[::1]", f"[{host}]" if ":" in host else host]
    if host in {"0.0.0.0", "::"}:  # noqa: S104 - compared, not bound
        names = [*names[:3], socket.gethostname()]
        with contextlib.suppress(OSError):
            names += [str(info[4][0]) for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)]
        with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect(("192.0.2.1", 9))  # sends nothing: asks which of our addresses would be used
            names.append(probe.getsockname()[0])
    return list(dict.fromkeys(names))


def environment(options: argparse.Namespace) -> dict[str, str]:
    """What the processes are given: this Python first on PATH, and what the Procfile fills in."""
    given = dict(os.environ)
    given["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{given.get('PATH', '')}"
    given["HOST"] = f"[{options.host}]" if ":" in options.host else options.host
    given["PORT"] = str(options.port)
    given.setdefault("WEB_CONCURRENCY", "2")
    given.setdefault("DJANGO_SETTINGS_MODULE", "heygem_site.settings")
    given["PYTHONUNBUFFERED"] = "1"
    if given.get("HEYGEM_ENV", "local") == "local" and not (
        given.get("ALLOWED_HOSTS") or given.get("ALLOWED_HOSTS_FILE")
    ):
        given["ALLOWED_HOSTS"] = ",".join(own_addresses(options.host))
    return given


def one_each(commands: Sequence[Command], devices: Sequence[str], host: str) -> list[Command]:
    """``commands``, with a ``gpu`` for each of ``devices`` instead of the one; each is a worker of its own name."""
    found = []
    for command in commands:
        if command.name != "gpu" or not devices:
            found.append(command)
            continue
        for device in devices:
            short = device.removeprefix("cuda:")
            mine = {"ENGINE_DEVICE": device, "WORKER_NAME": f"{host}-{short}"}
            found.append(Command(f"gpu-{short}", command.argv, {**command.env, **mine}))
    return found


def prepare_database() -> None:
    """Migrate, and say so when there was anything to do. Raises ``RefusedError`` when it cannot be reached."""
    from django.conf import settings
    from django.core.management import call_command
    from django.db import OperationalError, connection
    from django.db.migrations.executor import MigrationExecutor

    try:
        executor = MigrationExecutor(connection)
        waiting = len(executor.migration_plan(executor.loader.graph.leaf_nodes()))
        if waiting:
            print(f"  database: {waiting} changes to make")
            call_command("migrate", interactive=False, verbosity=0)
    except OperationalError as error:
        reason = str(error).strip().splitlines()[0]
        raise RefusedError(f"The database cannot be used: {reason}. Check DATABASE_URL.") from error
    settings.STATIC_ROOT.mkdir(exist_ok=True)
    if settings.PRODUCTION:
        call_command("collectstatic", interactive=False, verbosity=0)
    name, folder = ("CACHE_ROOT", settings.CACHE_ROOT) if settings.S3_BUCKET else ("MEDIA_ROOT", settings.MEDIA_ROOT)
    folder.mkdir(parents=True, exist_ok=True)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise RefusedError(f"Nothing can be written to {folder}. Change its owner, or set {name}.")


def greeting(address: str, email: str, password: str | None, link: str | None, *, demo_follows: bool) -> str:
    """What a person reads when the site answers."""
    lines = ["", BAR, f"  HeyGem is running: {address}", ""]
    if password:
        lines += [
            f"  Sign in as  {email}",
            f"  password    {password}   (shown this once)",
            f"  or open     {link}",
            "              (signs in once, within the hour)",
        ]
    else:
        lines += [f"  Sign in as {email}. A new one-time link: ./heygem manage one_time_link {email}"]
    if demo_follows:
        lines += ["", "  The demo presenter is still being filmed; its project appears when you reload."]
    return "\n".join([*lines, "", "  Ctrl-C stops everything.", BAR, ""])


def answers(address: str) -> bool:
    """Whether the web process serves by now."""
    try:
        with urllib.request.urlopen(f"{address}/healthz", timeout=2) as response:  # noqa: S310 - our own address
            return response.status == 200
    except urllib.error.HTTPError:
        return True  # it serves; what is wrong with it is in its log
    except OSError:
        return False


def stuck_clusters() -> list[str]:
    """Clusters that let tickets wait. A database that is away is no reason to restart anything."""
    from django.db import DatabaseError, close_old_connections

    close_old_connections()
    try:
        return list(importlib.import_module("rendering.workers").stuck_clusters())
    except DatabaseError:
        logging.getLogger("heygem.up").warning("the database does not answer")
        return []


class Readiness:
    """When to print the address: the site answers, and the demo is in its queue, or takes too long to be waited for."""

    def __init__(self, address: str, *, demo: bool) -> None:
        self.address, self.demo = address, demo
        self.began = time.monotonic()
        self.serves = False

    def __call__(self) -> bool:
        self.serves = self.serves or answers(self.address)
        return self.serves and (not self.demo_is_missing() or time.monotonic() - self.began > DEMO_PATIENCE_S)

    def demo_is_missing(self) -> bool:
        from django.db import DatabaseError

        from rendering.services import demo

        with contextlib.suppress(DatabaseError):  # asked again in a moment
            self.demo = self.demo and not demo.is_made()
        return self.demo


def run(options: argparse.Namespace) -> int:
    began = time.monotonic()
    given = environment(options)
    os.environ.update(given)
    secret_key.ensure()

    import django

    django.setup()
    from django.conf import settings

    prepare_database()
    from heygem_site import accounts, owner

    operator, password = owner.ensure_owner(env.text("HEYGEM_OWNER_EMAIL", default="owner@example.com"))
    inside = f"http://{_reachable(options.host)}:{options.port}"
    public = f"https://{settings.ALLOWED_HOSTS[0].lstrip('.')}" if settings.PRODUCTION else inside
    outside = env.text("SITE_URL", default=public).rstrip("/")
    link = outside + accounts.one_time_path(operator) if password else None
    ready = Readiness(inside, demo=not options.no_demo)
    once = [Command("demo", (sys.executable, "manage.py", "seed_demo"))] if ready.demo_is_missing() else []
    commands = parse_procfile((ROOT / "Procfile").read_text(encoding="utf-8"), given)
    commands = one_each(commands, env.devices("GPU_DEVICES"), settings.WORKER_NAME)
    names = [command.name for command in [*commands, *once]] + ["up"]
    log = Log(sys.stdout, names, colour=wants_colour(sys.stdout, os.environ))
    supervisor = Supervisor(
        commands,
        once=once,
        env=given,
        cwd=ROOT,
        log=log,
        stuck=stuck_clusters,
        is_ready=ready,
        ready=lambda: print(greeting(outside, operator.email, password, link, demo_follows=ready.demo), flush=True),
    )
    print(f"  {settings.HEYGEM_ENV} site, prepared in {time.monotonic() - began:.1f}s; starting", flush=True)
    return supervisor.run()


def _reachable(host: str) -> str:
    if host in {"0.0.0.0", "::"}:  # noqa: S104 - compared, not bound
        return "127.0.0.1" if host == "0.0.0.0" else "[::1]"  # noqa: S104
    return f"[{host}]" if ":" in host else host


def main(argv: Sequence[str] | None = None) -> int:
    from django.core.exceptions import ImproperlyConfigured

    options = arguments(sys.argv[1:] if argv is None else argv)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # a log that is watched through a pipe must not lag behind
    try:
        with only_one(env.var_dir() / "up.lock", f"http://{_reachable(options.host)}:{options.port}"):
            check_port(options.host, options.port)
            return run(options)
    except (RefusedError, ImproperlyConfigured) as reason:
        print(reason, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
