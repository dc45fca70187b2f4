"""An S3 endpoint of our own (moto's server, a process), and a small proxy before it that can be told to fail."""

from __future__ import annotations

import http.client
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from pytest_django.fixtures import Settings

from heygem_site import env
from tests.postgres import free_port

ACCESS, SECRET = "test-access", "test-secret"
CORS = {
    "CORSRules": [
        {
            "AllowedMethods": ["GET", "HEAD", "PUT"],
            "AllowedOrigins": ["*"],
            "AllowedHeaders": ["*"],
            "MaxAgeSeconds": 3600,
        }
    ]
}


@dataclass(eq=False)
class Faults(ThreadingHTTPServer):
    """``url`` leads to the endpoint behind it, as long as ``mode`` is ``ok``."""

    behind: int
    """Port of the real endpoint."""
    mode: str = "ok"
    """``ok``, ``500``, ``hang`` (no answer at all) or ``cut``: bodies end half-way, ``cuts`` times."""
    cuts: int = 0
    asked: list[str] = field(default_factory=list)
    """Every request that came: method and path."""

    daemon_threads = True

    def __post_init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Relay)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Relay(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Faults

    def _relay(self) -> None:
        faults = self.server
        faults.asked.append(f"{self.command} {self.path}")
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if faults.mode == "hang":
            time.sleep(60)
        if faults.mode == "500":
            self.send_response(500)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        line = http.client.HTTPConnection("127.0.0.1", faults.behind, timeout=30)
        line.request(self.command, self.path, body, dict(self.headers))
        answer = line.getresponse()
        content = answer.read()
        self.send_response_only(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in {"transfer-encoding", "connection", "content-length"}:
                self.send_header(name, value)
        length = answer.headers.get("Content-Length", "0") if self.command == "HEAD" else str(len(content))
        self.send_header("Content-Length", length)
        self.end_headers()
        if faults.mode == "cut" and faults.cuts > 0 and self.command == "GET":
            faults.cuts -= 1
            self.wfile.write(content[: len(content) // 2])
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
            return
        self.wfile.write(content)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = do_OPTIONS = _relay  # noqa: N815 - the base class's names

    def log_message(self, *_: Any) -> None:
        """Quiet."""


@contextmanager
def serving(log: Path) -> Iterator[int]:
    """Moto's server; its port."""
    port = free_port()
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=log.open("wb"),
        stderr=subprocess.STDOUT,
    )
    try:
        until = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5)
                break
            except (urllib.error.URLError, OSError):
                assert time.monotonic() < until, log.read_text()
                assert server.poll() is None, log.read_text()
                time.sleep(0.1)
        yield port
    finally:
        server.terminate()
        server.wait()


def client(url: str) -> Any:
    import boto3  # most sessions never need it

    return boto3.client(
        "s3", endpoint_url=url, aws_access_key_id=ACCESS, aws_secret_access_key=SECRET, region_name="us-east-1"
    )


def make_bucket(url: str, name: str) -> None:
    client(url).create_bucket(Bucket=name)
    client(url).put_bucket_cors(Bucket=name, CORSConfiguration=CORS)


def variables(url: str, bucket: str) -> dict[str, str]:
    """The environment of a site that keeps its files there."""
    return {
        "S3_BUCKET": bucket,
        "S3_ENDPOINT": url,
        "S3_ACCESS_KEY": ACCESS,
        "S3_SECRET_KEY": SECRET,
        "S3_PREFIX": "site",
    }


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with serving(tmp_path_factory.mktemp("s3") / "log") as port:
        yield port


@pytest.fixture
def s3(
    s3_server: int, settings: Settings, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[Faults]:
    """The site keeps its files in an empty bucket, behind a proxy that can be told to fail."""
    with Faults(s3_server) as faults:
        bucket = f"test-{free_port()}-{time.monotonic_ns()}"
        make_bucket(faults.url, bucket)
        for name, value in variables(faults.url, bucket).items():
            monkeypatch.setenv(name, value)
        settings.STORAGES = {**settings.STORAGES, "default": env.storage()}
        settings.S3_BUCKET, settings.S3_ORIGIN = bucket, env.s3_origin()
        faults.asked.clear()
        yield faults
        faults.shutdown()
