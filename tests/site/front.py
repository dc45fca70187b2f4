"""nginx with the project's own configuration in front of gunicorn, on free ports of this machine."""

from __future__ import annotations

import contextlib
import http.client
import os
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.postgres import free_port

ROOT = Path(__file__).resolve().parents[2]
NAME = "heygem.example.com"


def certificate(folder: Path) -> Path:
    """A folder with ``fullchain.pem`` and ``privkey.pem`` for :data:`NAME`, signed by itself."""
    subject = ["-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}"]
    files = ["-keyout", str(folder / "privkey.pem"), "-out", str(folder / "fullchain.pem")]
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    subprocess.run(["openssl", "req", "-x509", "-days", "2", *curve, *subject, *files], check=True, capture_output=True)
    return folder


def nginx_configuration(folder: Path, certificates: Path, *, web: str, http: int, https: int) -> Path:
    """``deploy/nginx/heygem.conf`` with its four places filled in, inside a whole configuration. Its path.

    A second web host is named that never answers.
    """
    site = (ROOT / "deploy/nginx/heygem.conf").read_text()
    filled = {
        "server 127.0.0.1:8000 ": f"server {web} ",
        "# server 10.0.0.12:8000 ": f"server 127.0.0.1:{free_port()} ",
        f"/etc/letsencrypt/live/{NAME}/": f"{certificates}/",
        "alias /var/lib/heygem/media/": f"alias {folder}/media/",
        "listen 80": f"listen 127.0.0.1:{http}",
        "listen 443": f"listen 127.0.0.1:{https}",
    }
    for mine, here in filled.items():
        assert mine in site
        site = site.replace(mine, here)
    (folder / "heygem.conf").write_text(site)
    temporary = "\n".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    user = "user root;" if os.getuid() == 0 else ""  # the tests' own files are nobody else's to read
    whole = folder / "nginx.conf"
    whole.write_text(
        f"{user}\nworker_processes 1;\npid {folder}/nginx.pid;\nerror_log {folder}/error.log;\nevents {{}}\n"
        f"http {{\nserver_tokens off;\ninclude /etc/nginx/mime.types;\naccess_log {folder}/access.log;\n{temporary}\n"
        f"include {folder}/heygem.conf;\n}}\n"
    )
    return whole


class Front:
    """Asked over TLS by its name, wherever it listens."""

    def __init__(self, folder: Path, http_port: int, https_port: int) -> None:
        self.folder = folder
        self.http_port, self.https_port = http_port, https_port
        self.context = ssl.create_default_context(cafile=str(folder / "fullchain.pem"))

    def ask(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        connection = http.client.HTTPSConnection(NAME, timeout=60, context=self.context)
        line = socket.create_connection(("127.0.0.1", self.https_port), timeout=60)
        connection.sock = self.context.wrap_socket(line, server_hostname=NAME)
        with contextlib.closing(connection):
            connection.request(method, path, body, dict(headers or {}))
            response = connection.getresponse()
            return response.status, response.headers, response.read()

    def plainly(self, path: str, host: str = NAME) -> tuple[int, http.client.HTTPMessage]:
        """Without TLS. Raises ``OSError`` when the line is closed without an answer."""
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=20)) as connection:
            connection.request("GET", path, headers={"Host": host})
            response = connection.getresponse()
            return response.status, response.headers


@contextlib.contextmanager
def serving(folder: Path, nginx: str, environment: Mapping[str, str]) -> Iterator[Front]:
    """gunicorn with ``environment`` and nginx before it, until the block ends."""
    web, http_port, https_port = free_port(), free_port(), free_port()
    file = nginx_configuration(folder, certificate(folder), web=f"127.0.0.1:{web}", http=http_port, https=https_port)
    gunicorn = [sys.executable, "-m", "gunicorn", "heygem_site.wsgi", "--bind", f"127.0.0.1:{web}", "--threads", "4"]
    with (folder / "gunicorn.log").open("wb") as log:
        processes = [
            subprocess.Popen(gunicorn, cwd=ROOT, env=dict(environment), stdout=log, stderr=log),
            subprocess.Popen([nginx, "-q", "-p", str(folder), "-c", str(file), "-g", "daemon off;"]),
        ]
    front = Front(folder, http_port, https_port)
    try:
        _wait(front, folder)
        yield front
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(20)


def _wait(front: Front, folder: Path) -> None:
    until = time.monotonic() + 30
    while True:
        with contextlib.suppress(OSError):
            if front.ask("GET", "/healthz")[0] == 200:
                return
        assert time.monotonic() < until, (folder / "gunicorn.log").read_text()
        time.sleep(0.1)
