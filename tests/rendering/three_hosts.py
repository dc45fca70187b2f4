"""A farm on one machine: three worker hosts, each in a network of its own, and a fourth with the database and S3.

The hosts share nothing but ``DATABASE_URL`` and the bucket: each has its own address, name, cache, key folder and disk.
Needs root, ``ip netns``, PostgreSQL's server binaries and moto. ``benchmarks/three_hosts.py`` runs it by hand.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests import postgres
from tests.rendering.sites import ROOT, environment

HOSTS = ("host1", "host2", "host3")
CORE = "core"
CORE_ADDRESS = "10.98.0.1"
PG_PORT, MOTO_PORT, S3_PORT = 5432, 5000, 9000
BUCKET = "farm"


def missing() -> str:
    """What this machine lacks for it; empty when it lacks nothing."""
    if os.getuid() != 0:
        return "only root makes network namespaces"
    if shutil.which("ip") is None or shutil.which("runuser") is None:
        return "ip (iproute2) or runuser is not on this machine"
    if postgres.binaries() is None:
        return "PostgreSQL's server binaries are not on this machine (Debian: postgresql)"
    probe = f"hgprobe{os.getpid()}"
    try:
        ip("netns", "add", probe)
        ip("-n", probe, "link", "add", "bridge", "type", "bridge")
        ip("-n", probe, "link", "add", "one", "type", "veth", "peer", "name", "other")
    except subprocess.CalledProcessError as error:
        return f"this machine makes no networks: {error.stderr.strip()}"
    finally:
        subprocess.run(["ip", "netns", "del", probe], capture_output=True, check=False)
    return ""


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


class Network:
    """Namespaces joined by a bridge in ``core``."""

    def __init__(self) -> None:
        self.prefix = f"hg{os.getpid()}-"

    def inside(self, host: str) -> list[str]:
        """What to put before a command that is to run on ``host``."""
        return ["ip", "netns", "exec", self.prefix + host]

    def make(self) -> None:
        self.sweep()
        for host in (CORE, *HOSTS):
            ip("netns", "add", self.prefix + host)
            ip("-n", self.prefix + host, "link", "set", "lo", "up")
        core = ["-n", self.prefix + CORE]
        ip(*core, "link", "add", "bridge", "type", "bridge")
        ip(*core, "address", "add", f"{CORE_ADDRESS}/24", "dev", "bridge")
        ip(*core, "link", "set", "bridge", "up")
        for number, host in enumerate(HOSTS):
            there = ["-n", self.prefix + host]
            ip(*core, "link", "add", host, "type", "veth", "peer", "name", "eth0", "netns", self.prefix + host)
            ip(*core, "link", "set", host, "master", "bridge", "up")
            ip(*there, "address", "add", f"10.98.0.{11 + number}/24", "dev", "eth0")
            ip(*there, "link", "set", "eth0", "up")

    def cut(self, host: str) -> None:
        ip("-n", self.prefix + CORE, "link", "set", host, "down")

    def join(self, host: str) -> None:
        ip("-n", self.prefix + CORE, "link", "set", host, "up")

    def processes(self, host: str) -> list[int]:
        done = subprocess.run(["ip", "netns", "pids", self.prefix + host], capture_output=True, text=True, check=False)
        return [int(word) for word in done.stdout.split()]

    def kill(self, host: str) -> None:
        """Everything that runs on ``host``, at once."""
        while pids := self.processes(host):
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.05)

    def sweep(self) -> None:
        """Remove what a run that was killed left behind."""
        listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout
        for pid in {found[1] for found in re.finditer(r"^hg(\d+)-core\b", listed, re.MULTILINE)}:
            if not Path(f"/proc/{pid}").exists():
                left = Network()
                left.prefix = f"hg{pid}-"
                left.remove()

    def remove(self) -> None:
        for host in (*HOSTS, CORE):
            self.kill(host)
            subprocess.run(["ip", "netns", "del", self.prefix + host], capture_output=True, check=False)


class Database(postgres.Server):
    """PostgreSQL on ``core``. What was committed is committed: a restart loses nothing."""

    def __init__(self, network: Network, folder: Path) -> None:
        bin_folder = postgres.binaries()
        assert bin_folder is not None
        folder.mkdir()
        super().__init__(bin_folder, folder)
        self.network = network
        self.data = str(folder / "data")

    def run(self, program: str, *words: str) -> None:
        inside = [*self.network.inside(CORE), "runuser", "-u", "postgres", "--", str(self.bin / program), *words]
        subprocess.run(inside, cwd=self.folder, check=True, stdout=subprocess.DEVNULL)

    def make(self) -> None:
        self.run(
            "initdb",
            "-D",
            self.data,
            "-U",
            postgres.USER,
            "--auth=trust",
            "--no-sync",
            "--locale=C.UTF-8",
            "-E",
            "UTF8",
        )
        with open(f"{self.data}/pg_hba.conf", "a", encoding="ascii") as rules:
            rules.write("host all all 10.98.0.0/24 trust\n")
        self.up()
        self.run("createdb", "-h", CORE_ADDRESS, "-U", postgres.USER, "heygem")

    def up(self) -> None:
        options = (
            f"-p {PG_PORT} -c listen_addresses={CORE_ADDRESS} -c unix_socket_directories={self.folder} -c fsync=off"
        )
        self.run("pg_ctl", "-D", self.data, "-l", str(self.folder / "log"), "-w", "-o", options, "start")

    def down(self) -> None:
        """As if its process was killed."""
        self.run("pg_ctl", "-D", self.data, "-m", "immediate", "-w", "stop")


@dataclass(frozen=True)
class Fault:
    """What was done to the farm. Times in UTC; ``host`` empty: to all of it."""

    kind: str
    host: str
    begin: datetime
    end: datetime

    def touches(self, host: str, begin: datetime, end: datetime) -> bool:
        return self.host in ("", host) and begin <= self.end and end >= self.begin


@dataclass
class Farm:
    """Start it with :func:`running`."""

    folder: Path
    network: Network
    database: Database
    env: dict[str, str]
    faults: list[Fault] = field(default_factory=list)
    cut_since: dict[str, datetime] = field(default_factory=dict)
    _scenes: subprocess.Popen[str] | None = None

    @property
    def fault_flag(self) -> Path:
        return self.folder / "s3-is-ill"

    def popen(self, host: str, *words: str, log: str, **env: str) -> subprocess.Popen[bytes]:
        with (self.folder / log).open("ab") as sink:
            return subprocess.Popen(
                [*self.network.inside(host), sys.executable, *words],
                cwd=ROOT,
                env=self.env | env,
                stdout=sink,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def start_host(self, host: str) -> None:
        own = self.folder / host
        own.mkdir(exist_ok=True)
        for kind in ("gpu", "worker"):
            self.popen(
                host, "manage.py", "cluster", kind, log=f"{host}-{kind}.log", WORKER_NAME=host, Q_CLUSTER_NAME=kind,
                CACHE_ROOT=str(own / "cache"), HEYGEM_VAR=str(own / "var"), MEDIA_ROOT=str(own / "media"),
                TMPDIR=str(self.folder / host),
            )  # fmt: skip

    def call(self, scene: str, **args: Any) -> Any:
        """A function of ``tests.rendering.scenes``, on ``core``."""
        if self._scenes is None:
            self._scenes = subprocess.Popen(
                [*self.network.inside(CORE), sys.executable, "-m", "tests.rendering.remote"],
                cwd=ROOT,
                env=self.env,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        assert self._scenes.stdin is not None
        assert self._scenes.stdout is not None
        self._scenes.stdin.write(json.dumps({"scene": scene, "args": args}) + "\n")
        self._scenes.stdin.flush()
        answer = self._scenes.stdout.readline()
        assert answer, f"the scene {scene} failed, see above"
        return json.loads(answer)

    # What is done to it

    def cut(self, host: str) -> None:
        self.cut_since[host] = datetime.now(UTC)
        self.network.cut(host)

    def join(self, host: str) -> None:
        self.network.join(host)
        self.faults.append(Fault("cut off", host, self.cut_since.pop(host), datetime.now(UTC)))

    def kill(self, host: str) -> None:
        begin = datetime.now(UTC)
        self.network.kill(host)
        self.faults.append(Fault("killed", host, begin, datetime.max.replace(tzinfo=UTC)))

    def restart_database(self, seconds: float) -> None:
        begin = datetime.now(UTC)
        self.database.down()
        time.sleep(seconds)
        self.database.up()
        self.faults.append(Fault("database restarted", "", begin, datetime.now(UTC)))

    def break_s3(self, seconds: float) -> None:
        begin = datetime.now(UTC)
        self.fault_flag.touch()
        time.sleep(seconds)
        self.fault_flag.unlink()
        self.faults.append(Fault("S3 answers 500", "", begin, datetime.now(UTC)))

    def close(self) -> None:
        if self._scenes is not None:
            self._scenes.communicate()
        self.network.remove()

    def logs(self) -> str:
        return "\n".join(
            f"== {log.name}\n{log.read_text(errors='replace')}" for log in sorted(self.folder.glob("*.log"))
        )


@contextlib.contextmanager
def running(**env: object) -> Iterator[Farm]:
    """A farm whose hosts have been started."""
    with tempfile.TemporaryDirectory(prefix="heygem-farm-") as name:
        Path(name).chmod(0o755)  # PostgreSQL is another user
        with _running(Path(name), **env) as farm:
            yield farm


@contextlib.contextmanager
def _running(folder: Path, **env: object) -> Iterator[Farm]:
    network = Network()
    farm: Farm | None = None
    try:
        network.make()
        database = Database(network, folder / "postgres")
        url = f"postgresql://{postgres.USER}@{CORE_ADDRESS}:{PG_PORT}/heygem?connect_timeout=2&tcp_user_timeout=3000"
        s3 = {"S3_ENDPOINT": f"http://{CORE_ADDRESS}:{S3_PORT}", "S3_BUCKET": BUCKET}
        keys = {"S3_ACCESS_KEY": "farm", "S3_SECRET_KEY": "not a secret"}
        (folder / CORE).mkdir()
        own = {"CACHE_ROOT": folder / CORE / "cache", "HEYGEM_VAR": folder / CORE / "var"}
        farm = Farm(folder, network, database, environment(folder / CORE, url, **s3, **keys, **own, **env))
        database.make()
        farm.popen(CORE, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(MOTO_PORT), log="moto.log")
        line = ("-m", "tests.rendering.faulty_line", CORE_ADDRESS, str(S3_PORT), "127.0.0.1", str(MOTO_PORT))
        farm.popen(CORE, *line, str(farm.fault_flag), log="line.log")
        manage_inside(farm, "migrate", "--verbosity=0")
        farm.call("make_bucket", name=BUCKET)
        for host in HOSTS:
            farm.start_host(host)
        yield farm
    finally:
        if farm is not None:
            farm.close()
        else:
            network.remove()


def manage_inside(farm: Farm, *words: str) -> None:
    done = subprocess.run(
        [*farm.network.inside(CORE), sys.executable, "manage.py", *words],
        cwd=ROOT, env=farm.env, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@dataclass(frozen=True, kw_only=True)
class Plan:
    """When what happens: shares of the batch that must be done, and seconds."""

    cut: float = 0.1
    kill: float = 0.3
    restart: float = 0.45
    s3: float = 0.6
    join: float = 0.75
    database_s: float = 2.0
    s3_s: float = 4.0


def render_all(farm: Farm, footage: Path, takes: list[Path], plan: Plan, *, within_s: float) -> dict[str, Any]:
    """Order a batch, do to the farm what ``plan`` says while it works, wait for the end. What became of every job."""
    until = time.monotonic() + within_s
    farm.call("order_batch", footage=str(footage), takes=[str(take) for take in takes])
    wanted = len(takes)
    began = time.monotonic()
    steps = [
        (plan.cut, lambda: farm.cut("host1"), "host1"),
        (plan.kill, lambda: farm.kill("host2"), "host2"),
        (plan.restart, lambda: farm.restart_database(plan.database_s), ""),
        (plan.s3, lambda: farm.break_s3(plan.s3_s), ""),
        (plan.join, lambda: farm.join("host1"), ""),
    ]
    while True:
        now = farm.call("progress")
        done = now["states"].get("succeeded", 0)
        # A host is struck while it works, so that there is something to lose.
        if steps and done >= steps[0][0] * wanted and (not steps[0][2] or steps[0][2] in now["running"]):
            steps.pop(0)[1]()
        elif done == wanted or now["states"].get("failed") or now["states"].get("cancelled"):
            break
        assert time.monotonic() < until, f"{now}\n{farm.logs()}"
        time.sleep(0.2)
    assert not steps, f"the batch ended before everything was done to the farm: {now}\n{farm.logs()}"
    return {**farm.call("report"), "seconds": round(time.monotonic() - began, 1)}


def unexplained(found: dict[str, Any], faults: list[Fault], *, slack_s: float) -> list[str]:
    """Attempts that say something that did not happen, one sentence each. ``slack_s``: a lease, and a look at it."""
    wrong = []
    slack = timedelta(seconds=slack_s)
    for job in found["jobs"]:
        outcomes = [attempt["outcome"] for attempt in job["attempts"]]
        if outcomes.count("succeeded") != 1 or outcomes[-1:] != ["succeeded"]:
            wrong.append(f"{job['job']}: {job['state']} after {outcomes}")
        if [attempt["number"] for attempt in job["attempts"]] != list(range(1, len(outcomes) + 1)):
            wrong.append(f"{job['job']}: attempts are not numbered one by one")
        for attempt in job["attempts"]:
            begin, end = (
                datetime.fromisoformat(attempt[name] or "2000-01-01T00:00:00+00:00") for name in ("begin", "end")
            )
            if end < begin or not attempt["host"]:
                wrong.append(f"{job['job']}: attempt {attempt['number']} has no end or no host")
            touching = [fault for fault in faults if fault.touches(attempt["host"], begin, end)]
            kinds = {fault.kind for fault in touching}
            told = (attempt["outcome"], attempt["code"])
            if told == ("succeeded", ""):
                true = not any(fault.kind == "killed" and end > fault.begin + slack for fault in touching)
            elif attempt["outcome"] == "lost":
                true = bool(kinds & {"cut off", "killed", "database restarted"})
            else:
                true = attempt["outcome"] in ("failed", "returned") and bool(kinds)
            if not true:
                wrong.append(f"{job['job']}: attempt {attempt} while {kinds or 'nothing happened'}")
    return wrong


def table(found: dict[str, Any]) -> str:
    """Attempts by host, outcome and code."""
    counted = Counter(
        (attempt["host"], attempt["outcome"], attempt["code"]) for job in found["jobs"] for attempt in job["attempts"]
    )
    lines = ["| Host | Outcome | Code | Attempts |", "|---|---|---|---|"]
    lines += [f"| {' | '.join(key)} | {number} |" for key, number in sorted(counted.items())]
    return "\n".join(lines)
