"""A PostgreSQL server of our own, for as long as the tests run: in a temporary folder, on a free local port."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

USER = "heygem"
BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))


def binaries() -> Path | None:
    """The newest server's programs; None when there is no server on this machine."""
    if BINARIES and (BINARIES[-1] / "initdb").exists():
        return BINARIES[-1]
    found = shutil.which("initdb")
    return Path(found).parent if found else None


def free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])


class Server:
    """Run by the user ``postgres`` when we are root, because PostgreSQL refuses to be."""

    def __init__(self, bin_folder: Path, folder: Path, connections: int = 60, *, keeps: bool = False) -> None:
        self.bin, self.folder, self.port = bin_folder, folder, free_port()
        self.connections, self.keeps = connections, keeps
        self.account = "postgres" if os.getuid() == 0 else None
        if self.account is not None:
            entry = pwd.getpwnam(self.account)
            os.chown(folder, entry.pw_uid, entry.pw_gid)
        folder.chmod(0o755)

    def run(self, program: str, *words: str) -> None:
        subprocess.run(
            [self.bin / program, *words], user=self.account, cwd=self.folder, check=True, stdout=subprocess.DEVNULL
        )

    def start(self) -> None:
        data = str(self.folder / "data")
        self.run("initdb", "-D", data, "-U", USER, "--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C.UTF-8")
        self.start_again()

    def start_again(self) -> None:
        """After :meth:`stop`, on the same port, with the same data."""
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self.folder}"
        fast = "-c fsync=off -c full_page_writes=off"
        fast += "" if self.keeps else " -c synchronous_commit=off"
        many = f"-c max_connections={self.connections}"
        log, data = str(self.folder / "log"), str(self.folder / "data")
        self.run("pg_ctl", "-D", data, "-l", log, "-w", "-o", f"{options} {fast} {many}", "start")

    def stop(self, how: str = "immediate") -> None:
        self.run("pg_ctl", "-D", str(self.folder / "data"), "-m", how, "-w", "stop")

    def signal(self, number: int) -> None:
        """To every process of the server: SIGSTOP makes it silent, SIGCONT lets it go on."""
        for pid in self.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def processes(self) -> list[int]:
        """The main process first, so that it starts no others while they are stopped."""
        main = int((self.folder / "data" / "postmaster.pid").read_text().split()[0])
        children = Path(f"/proc/{main}/task/{main}/children").read_text().split()
        return [main, *map(int, children)]

    def new_database(self, name: str, template: str = "template0") -> str:
        """Its address for ``DATABASE_URL``."""
        place = ("-h", "127.0.0.1", "-p", str(self.port), "-U", USER)
        self.run("createdb", *place, "-T", template, name)
        return self.url(name)

    def url(self, name: str) -> str:
        return f"postgresql://{USER}@127.0.0.1:{self.port}/{name}"


@contextmanager
def running(bin_folder: Path, connections: int = 60, *, keeps: bool = False) -> Iterator[Server]:
    """``keeps``: what was committed is there after the server was killed."""
    with tempfile.TemporaryDirectory(prefix="heygem-pg-") as folder:
        server = Server(bin_folder, Path(folder), connections, keeps=keeps)
        server.start()
        try:
            yield server
        finally:
            server.stop()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """A PostgreSQL server; ``new_database(name)`` gives an address for ``DATABASE_URL``."""
    bin_folder = binaries()
    if bin_folder is None:
        pytest.skip("PostgreSQL's server binaries are not on this machine (Debian: postgresql)")
    with running(bin_folder) as server:
        yield server
