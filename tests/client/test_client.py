"""The client against a site that breaks off, refuses, redirects and asks for patience."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from heygem_client import Damaged, HeyGem, HeyGemError, NotAllowed, NotFound, SignedOut, TooMany, Unreachable, transport
from heygem_client.answers import Presenter
from heygem_client.command import main
from heygem_client.config import site_of
from heygem_client.transport import Transport

PRESENTER = {
    **{"id": "p1", "team": "t1", "name": "Ada", "notes": "", "archived_at": None},
    "created_at": "2026-01-02T03:04:05Z",
}
Do = Callable[[BaseHTTPRequestHandler], None]


class Script:
    """What the site does, request by request; the last act is done for all that follow."""

    def __init__(self) -> None:
        self.acts: list[Do] = []
        self.heard: list[tuple[str, str, dict[str, str], bytes]] = []
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def named(self, header: str) -> list[str | None]:
        return [headers.get(header.lower()) for _method, _path, headers, _body in self.heard]


def say(status: int = 200, body: Any = None, *, content_type: str = "application/json", **headers: str) -> Do:
    data = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else b""

    def do(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in {"Content-Type": content_type, "Content-Length": str(len(data)), **headers}.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        if handler.command != "HEAD":
            handler.wfile.write(data)

    return do


def problem(status: int, code: str, **headers: str) -> Do:
    told = {"code": code, "title": "No.", "detail": "Do otherwise.", "status": status}
    return say(status, told, content_type="application/problem+json", **headers)


def hang_up(handler: BaseHTTPRequestHandler) -> None:
    """The line breaks without an answer."""
    handler.close_connection = True


@pytest.fixture
def scripted() -> Iterator[Script]:
    script = Script()

    class Handler(BaseHTTPRequestHandler):
        def do(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            script.heard.append((self.command, self.path, headers, body))
            act = script.acts[0] if len(script.acts) == 1 else script.acts.pop(0)
            act(self)

        do_GET = do_POST = do_PATCH = do_HEAD = do_DELETE = do  # noqa: N815 - the names that are called

        def log_message(self, *args: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    script.port = server.server_address[1]
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield script
    server.shutdown()
    server.server_close()


class Patience:
    """Sleeps without sleeping."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    def __call__(self, seconds: float) -> None:
        self.slept.append(seconds)


@pytest.fixture
def patience() -> Patience:
    return Patience()


@pytest.fixture
def site(scripted: Script, patience: Patience) -> HeyGem:
    return HeyGem(scripted.url, "hg_t", transport=Transport(scripted.url, "hg_t", sleep=patience))


def test_lists_are_read_page_by_page_as_far_as_they_are_wanted(site: HeyGem, scripted: Script) -> None:
    def page(number: int, following: str | None) -> Do:
        return say(200, {"next": following, "results": [{**PRESENTER, "id": f"p{number}"}]})

    # Behind a proxy the site may call itself otherwise; the token goes to the address that was given.
    scripted.acts = [page(1, "http://inside:8000/api/v1/presenters/?cursor=c2&limit=200"), page(2, None)]
    rows = site.presenters(search="ada", archived=False)
    assert next(rows).id == "p1"
    assert len(scripted.heard) == 1
    assert [row.id for row in rows] == ["p2"]
    assert scripted.heard[0][1] == "/api/v1/presenters/?limit=200&search=ada&archived=false"
    assert scripted.heard[1][1] == "/api/v1/presenters/?cursor=c2&limit=200"
    assert scripted.named("Authorization") == ["Bearer hg_t"] * 2


def test_a_creation_that_is_tried_again_keeps_its_key(site: HeyGem, scripted: Script) -> None:
    scripted.acts = [hang_up, problem(503, "x"), problem(409, "key_in_flight"), say(201, PRESENTER)]
    made = site.create_presenter(team="t1", name="Ada")
    assert made == site_presenter()
    keys = scripted.named("Idempotency-Key")
    assert len(keys) == 4
    assert len(set(keys)) == 1
    assert re.fullmatch(r"[0-9a-f-]{36}", keys[0] or "")
    scripted.acts = [say(201, PRESENTER)]
    site.create_presenter(team="t1", name="Ada", key="mine")
    assert scripted.named("Idempotency-Key")[-1] == "mine"
    assert scripted.named("Idempotency-Key")[0] != "mine"


def site_presenter() -> Presenter:
    from heygem_client.answers import read

    return read(Presenter, PRESENTER)


def test_what_may_have_happened_is_not_done_twice(site: HeyGem, scripted: Script) -> None:
    scripted.acts = [hang_up]
    with pytest.raises(Unreachable):
        site.retry_batch("b1")
    assert len(scripted.heard) == 1


def test_the_site_s_wish_to_wait_is_honoured(
    site: HeyGem, scripted: Script, patience: Patience, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripted.acts = [problem(429, "too_many_requests", Retry_After="7"), say(200, PRESENTER)]
    assert site.presenter("p1").name == "Ada"
    assert patience.slept == [7.0]
    scripted.acts = [problem(429, "too_many_requests", Retry_After="3600")]
    with pytest.raises(TooMany) as refused:
        site.presenter("p1")
    assert refused.value.code == "too_many_requests"
    assert patience.slept == [7.0], "an hour is told, not waited for"


@pytest.mark.parametrize("strange", ["soon", "-5", "9" * 400, "Wed, 21 Oct 99999999999999999999 07:28:00 GMT"])
def test_a_strange_wish_to_wait_is_no_more_than_an_error(
    site: HeyGem, scripted: Script, patience: Patience, strange: str
) -> None:
    scripted.acts = [problem(429, "too_many_requests", Retry_After=strange)]
    with pytest.raises(TooMany):
        site.presenter("p1")
    assert all(pause < 60 for pause in patience.slept)


def test_pauses_grow(site: HeyGem, scripted: Script, patience: Patience) -> None:
    scripted.acts = [problem(503, "x")]
    with pytest.raises(HeyGemError, match=r"No\. Do otherwise\."):
        site.presenter("p1")
    assert len(patience.slept) == transport.TRIES - 1
    assert all(0.25 * 2**number <= pause <= 0.5 * 2**number for number, pause in enumerate(patience.slept))


@pytest.mark.parametrize(
    ("status", "kind"), [(401, SignedOut), (403, NotAllowed), (404, NotFound), (418, HeyGemError), (500, HeyGemError)]
)
def test_refusals_are_exceptions_with_the_site_s_words(
    site: HeyGem, scripted: Script, status: int, kind: type[HeyGemError]
) -> None:
    scripted.acts = [problem(status, "why")]
    with pytest.raises(kind, match=r"No\. Do otherwise\.") as refused:
        site.presenter("p1")
    assert refused.value.problem.status == status  # type: ignore[attr-defined]
    assert len(scripted.heard) == 1


def test_something_else_than_heygem_is_told_so(site: HeyGem, scripted: Script) -> None:
    scripted.acts = [say(200, b"<html>hello</html>", content_type="text/html")]
    with pytest.raises(HeyGemError, match="is this the address of a HeyGem site"):
        site.me()
    scripted.acts = [say(404, b"<html>nginx</html>", content_type="text/html")]
    with pytest.raises(NotFound, match="404"):
        site.me()


# Uploads


class Tus:
    """The other side of an upload, which loses the line now and then."""

    def __init__(self, size: int, *, breaks: list[int]) -> None:
        self.size, self.breaks, self.data = size, breaks, b""

    def __call__(self, handler: BaseHTTPRequestHandler) -> None:
        created = {"HeyGem-Created-Id": "f1"} if len(self.data) == self.size else {}
        if handler.command == "POST":
            say(201, Location="/uploads/u1/")(handler)
        elif handler.command == "HEAD":
            say(200, Upload_Offset=str(len(self.data)), **created)(handler)
        else:
            raise AssertionError

    def patch(self, handler: BaseHTTPRequestHandler, body: bytes) -> None:
        if int(handler.headers["Upload-Offset"]) != len(self.data):
            problem(409, "upload_conflict")(handler)
        elif self.breaks:
            self.data += body[: self.breaks.pop(0)]
            handler.close_connection = True
        else:
            self.data += body
            created = {"HeyGem-Created-Id": "f1"} if len(self.data) == self.size else {}
            say(204, Upload_Offset=str(len(self.data)), **created)(handler)


def test_an_upload_goes_on_where_the_line_broke_and_where_another_run_left_it(
    site: HeyGem, scripted: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from heygem_client import uploads

    monkeypatch.setattr(uploads, "CHUNK", 1000)
    content = bytes(range(256)) * 10
    path = tmp_path / "Ada's film.mp4"
    path.write_bytes(content)
    tus = Tus(len(content), breaks=[300, 0])

    def act(handler: BaseHTTPRequestHandler) -> None:
        if handler.command == "PATCH":
            tus.patch(handler, scripted.heard[-1][3])
        else:
            tus(handler)

    scripted.acts = [act]
    heard: list[int] = []
    told = {"purpose": "footage", "team": "t1", "presenter": "p1"}
    assert uploads.upload(site.transport, path, told, hear=lambda done, total: heard.append(done)) == "f1"
    assert tus.data == content
    assert heard == sorted(heard)
    assert heard[-1] == len(content)
    again: list[int] = []
    assert uploads.upload(site.transport, path, told, hear=lambda done, total: again.append(done)) == "f1"
    keys = {key for key in scripted.named("Idempotency-Key") if key}
    assert len(keys) == 1, "the same file for the same purpose is the same upload"
    assert again == [len(content)], "nothing was sent twice"


def test_an_upload_that_is_refused_says_why_at_once(site: HeyGem, scripted: Script, tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"x")
    scripted.acts = [problem(413, "file_too_large")]
    with pytest.raises(HeyGemError) as refused:
        site.upload_footage(path, presenter=site_presenter())
    assert refused.value.code == "file_too_large"  # type: ignore[attr-defined]
    assert len(scripted.heard) == 1


# Downloads


def _download(site: HeyGem, target: Path, content: bytes, *, sha256: str = "") -> Path:
    from heygem_client import downloads

    return downloads.download(
        site.transport,
        "/media/b1/v1.mp4?download",
        target,
        sha256=sha256 or hashlib.sha256(content).hexdigest(),
        size=len(content),
        hear=lambda done, total: None,
    )


def ranged(content: bytes, *, stops: list[int]) -> Do:
    """Serves ranges, and hangs up in the middle as often as there are ``stops``."""

    def do(handler: BaseHTTPRequestHandler) -> None:
        wanted = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range", ""))
        first = int(wanted.group(1)) if wanted else 0
        handler.send_response(206 if wanted else 200)
        handler.send_header("Content-Length", str(len(content) - first))
        handler.end_headers()
        handler.wfile.write(content[first : first + stops.pop(0)] if stops else content[first:])
        handler.close_connection = True

    return do


def test_a_download_goes_on_where_it_broke_and_appears_only_when_it_is_whole(
    site: HeyGem, scripted: Script, tmp_path: Path
) -> None:
    content = bytes(range(256)) * 4000
    scripted.acts = [ranged(content, stops=[300_000, 400_000])]
    target = tmp_path / "videos" / "Ada.mp4"
    assert _download(site, target, content).read_bytes() == content
    assert [path.name for path in target.parent.iterdir()] == ["Ada.mp4"]
    assert scripted.named("Range") == [None, "bytes=300000-", "bytes=700000-"]
    assert scripted.named("If-Range")[1] == f'"{hashlib.sha256(content).hexdigest()}"'
    _download(site, target, content)
    assert len(scripted.heard) == 3, "what is there and right is not fetched again"


def test_another_run_goes_on_and_a_server_without_ranges_begins_anew(
    site: HeyGem, scripted: Script, tmp_path: Path
) -> None:
    content = b"moving pictures" * 100
    part = tmp_path / "Ada.mp4.part"
    part.write_bytes(content[:700])
    scripted.acts = [ranged(content, stops=[])]
    assert _download(site, tmp_path / "Ada.mp4", content).read_bytes() == content
    assert scripted.named("Range") == ["bytes=700-"]
    part.write_bytes(b"something older")
    scripted.acts = [say(200, content, content_type="video/mp4")]
    assert _download(site, tmp_path / "Other.mp4", content).read_bytes() == content
    part = tmp_path / "Third.mp4.part"
    part.write_bytes(content)
    scripted.acts = [say(416, b"", Content_Range=f"bytes */{len(content)}")]
    assert _download(site, tmp_path / "Third.mp4", content).read_bytes() == content


def test_damaged_bytes_never_become_a_video(site: HeyGem, scripted: Script, tmp_path: Path) -> None:
    scripted.acts = [say(200, b"not what was promised", content_type="video/mp4")]
    with pytest.raises(Damaged):
        _download(site, tmp_path / "Ada.mp4", b"what was promised ...")
    assert list(tmp_path.glob("Ada*")) == []


def test_the_token_does_not_follow_a_redirect_to_another_host(site: HeyGem, scripted: Script, tmp_path: Path) -> None:
    content = b"moving pictures"
    elsewhere = f"http://localhost:{scripted.port}/bucket/key?signature=s"
    scripted.acts = [say(302, b"", Location=elsewhere), ranged(content, stops=[])]
    (tmp_path / "Ada.mp4.part").write_bytes(content[:6])
    assert _download(site, tmp_path / "Ada.mp4", content).read_bytes() == content
    assert scripted.named("Authorization") == ["Bearer hg_t", None]
    assert scripted.named("Range") == ["bytes=6-"] * 2
    assert scripted.named("If-Range")[1] is None


# The command


@pytest.fixture
def environment(scripted: Script, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Script:
    for name in ("HEYGEM_TOKEN_FILE", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("HEYGEM_URL", scripted.url)
    monkeypatch.setenv("HEYGEM_TOKEN", "hg_t")
    monkeypatch.setattr(transport, "FIRST_PAUSE_S", 0.0)
    return scripted


PROGRESS = {
    "batch": {
        **{"id": "b1", "team": "t1", "project": "x", "preset_name": "-", "preset": {}},
        "created_at": "2026-01-02T03:04:05Z",
    },
    **{"total": 2, "done": 1, "failed": 1, "cancelled": 0, "running": 0, "queued": 0, "held": 0, "percent": 100},
    **{"eta_s": None, "is_finished": True},
}


@pytest.mark.parametrize(
    ("act", "code"),
    [
        (say(200, {**PROGRESS, "failed": 0, "done": 2}), 0),
        (say(200, PROGRESS), 1),
        (problem(404, "not_found"), 1),
        (problem(401, "bad_token"), 3),
        (problem(403, "not_allowed"), 3),
        (hang_up, 4),
    ],
)
def test_exit_codes_tell_what_became_of_it(
    environment: Script, act: Do, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    environment.acts = [act]
    assert main(["status", "b1", "--json"]) == code
    out, _err = capsys.readouterr()
    if out:
        assert json.loads(out)["batch"]["id"] == "b1"


def test_wrong_arguments_are_told_with_2(environment: Script) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["upload", "no such file.mp4"])
    assert ended.value.code == 2
    assert environment.heard == []


def test_the_site_and_the_token_come_from_the_environment_or_a_file(tmp_path: Path) -> None:
    env = {"XDG_CONFIG_HOME": str(tmp_path)}
    with pytest.raises(HeyGemError, match="HEYGEM_URL and HEYGEM_TOKEN"):
        site_of(env)
    (tmp_path / "heygem-client.toml").write_text('url = "https://a"\ntoken = "hg_file"\n')
    assert site_of(env) == ("https://a", "hg_file")
    (tmp_path / "token").write_text("hg_other\n")
    assert site_of(env | {"HEYGEM_TOKEN_FILE": str(tmp_path / "token")}) == ("https://a", "hg_other")
    assert site_of(env | {"HEYGEM_URL": "https://b", "HEYGEM_TOKEN": "hg_env"}) == ("https://b", "hg_env")
