"""nginx, as ``deploy/nginx/heygem.conf`` sets it up, really in front of the site."""

from __future__ import annotations

import base64
import gzip
import hashlib
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.rendering.sites import environment, manage
from tests.site.front import NAME, Front, serving
from tests.site.test_deploy import tool

ROOT = Path(__file__).resolve().parents[2]
SEED = """
from tests import factories
from projects.models import ApiToken, MediaBlob
from projects.services import tokens
user, team = factories.user("alice"), factories.team("A")
from projects.models import Membership, Role
Membership.objects.get_or_create(team=team, user=user, defaults={"role": Role.OWNER})
blob = factories.blob(team, bytes(range(256)) * 4000, "video/mp4")
print(tokens.create_token(actor=user, name="-", scope=ApiToken.Scope.WRITE)[1], team.public_id, blob.public_id)
"""


class Site:
    def __init__(self, front: Front, token: str, team: str, blob: str) -> None:
        self.front, self.team, self.blob = front, team, blob
        self.key = {"Authorization": f"Bearer {token}"}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    program = tool("nginx", "nginx-light")
    folder = tmp_path_factory.mktemp("front")
    (folder / "media").mkdir()
    proxied = {"X_ACCEL": "yes", "BEHIND_PROXY": "yes", "HTTPS_REDIRECT": "yes", "SECURE_COOKIES": "yes"}
    env = environment(folder, f"sqlite:///{folder / 'db.sqlite3'}", ALLOWED_HOSTS=NAME, HSTS_SECONDS=3600, **proxied)
    manage(env, "migrate", "--verbosity=0")
    seeded = subprocess.run(
        [sys.executable, "manage.py", "shell", "-v", "0", "-c", SEED],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert seeded.returncode == 0, seeded.stderr
    with serving(folder, program, env) as front:
        yield Site(front, *seeded.stdout.split()[-3:])


def test_a_page_comes_small_with_each_header_once(site: Site) -> None:
    status, headers, body = site.front.ask("GET", "/accounts/login/", {"Accept-Encoding": "gzip"})
    assert status == 200
    assert b"<form" in gzip.decompress(body)
    for name in ("Content-Security-Policy", "Strict-Transport-Security", "X-Frame-Options", "X-Content-Type-Options"):
        assert len(headers.get_all(name, [])) == 1, name
    assert "Secure" in headers["Set-Cookie"]
    assert len(headers["X-Request-ID"]) == 32


def test_an_address_that_lets_somebody_in_is_in_no_log(site: Site) -> None:
    opening = ("/invitations/SECRET/", "/accounts/once/SECRET/", "/accounts/password/reset/key/1-SECRET/")
    asked = [site.front.ask("GET", path)[0] for path in (*opening, "/accounts/confirm-email/SECRET/", "/plain/")]
    assert len(asked) == 5
    for name in ("access.log", "gunicorn.log"):
        told = (site.front.folder / name).read_text()
        assert "SECRET" not in told
        assert "/plain/" in told


def test_a_video_is_sent_in_part_by_nginx_to_who_may_see_it(site: Site) -> None:
    path = f"/media/{site.blob}/clip.mp4"
    status, headers, body = site.front.ask("GET", path, {**site.key, "Range": "bytes=256-511"})
    assert (status, body) == (206, bytes(range(256)))
    assert headers["Content-Range"] == "bytes 256-511/1024000"
    assert headers["Content-Type"] == "video/mp4"
    for name in ("Content-Security-Policy", "Strict-Transport-Security", "X-Content-Type-Options"):
        assert len(headers.get_all(name, [])) == 1, name
    assert headers["Content-Security-Policy"].startswith("default-src 'none'")
    again = site.front.ask("GET", path, {**site.key, "If-None-Match": headers["ETag"]})
    assert again[0] == 304
    assert site.front.ask("GET", path, {**site.key, "Range": "bytes=2000000-"})[0] == 416
    assert site.front.ask("GET", path)[0] == 302
    assert site.front.ask("GET", f"/internal-media/blobs/{site.team}/{site.blob}", site.key)[0] == 404


def test_an_upload_of_fifty_megabytes_in_pieces_arrives_whole(site: Site) -> None:
    """More than nginx takes elsewhere, in two pieces, the second of them 42 MB in one request."""
    content = random.Random(7).randbytes(50_000_000)
    said = {"filename": "long.mp4", "purpose": "footage", "team": site.team}
    metadata = ",".join(f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in said.items())
    tus = {**site.key, "Tus-Resumable": "1.0.0"}
    status, headers, body = site.front.ask(
        "POST", "/uploads/", {**tus, "Upload-Length": str(len(content)), "Upload-Metadata": metadata}
    )
    assert status == 201, body
    place = headers["Location"]
    kind = {"Content-Type": "application/offset+octet-stream"}
    first = 8 << 20
    status, headers, _ = site.front.ask("PATCH", place, {**tus, **kind, "Upload-Offset": "0"}, content[:first])
    assert (status, headers["Upload-Offset"]) == (204, str(first))
    status, headers, _ = site.front.ask("PATCH", place, {**tus, **kind, "Upload-Offset": str(first)}, content[first:])
    assert (status, headers["Upload-Offset"]) == (204, str(len(content)))
    assert headers["HeyGem-Created-Id"]
    assert hashlib.sha256(content).hexdigest() in _stored(site)
    page = site.front.ask(
        "POST", "/api/v1/presenters/", {**site.key, "Content-Type": "application/json"}, content[: 17 << 20]
    )
    assert page[0] == 413


def _stored(site: Site) -> set[str]:
    folder = site.front.folder / "media" / "blobs" / site.team
    return {hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*") if path.is_file()}


def test_people_do_not_notice_that_one_of_two_web_hosts_is_away(site: Site) -> None:
    assert [site.front.ask("GET", "/accounts/login/")[0] for _ in range(4)] == [200] * 4


def test_only_the_sites_own_name_is_answered(site: Site) -> None:
    assert site.front.plainly("/healthz")[0] == 200
    status, headers = site.front.plainly("/projects/?a=b")
    assert (status, headers["Location"]) == (301, f"https://{NAME}/projects/?a=b")
    with pytest.raises(OSError, match=r"closed|reset|response"):
        site.front.plainly("/", host="somebody.example.org")


def test_numbers_are_for_the_inside_alone() -> None:
    text = (ROOT / "deploy/nginx/heygem.conf").read_text()
    block = text.partition("location = /metrics {")[2].partition("}")[0]
    assert "deny all;" in block
