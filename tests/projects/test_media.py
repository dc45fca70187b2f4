"""Media over HTTP: ranges, conditions, names in any script, and who may fetch."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from projects.media import media_url
from tests import factories
from tests.cast import browser

CONTENT = bytes(range(256)) * 8


@pytest.fixture
def blob(team):
    return factories.blob(team, CONTENT)


@pytest.fixture
def url(blob):
    return media_url(blob, "clip.mp4")


def body(response) -> bytes:
    return b"".join(response.streaming_content) if response.streaming else response.content


def test_the_whole_file(alice, url, blob):
    answer = browser(alice).get(url)
    assert (answer.status_code, answer["Content-Length"], answer["Accept-Ranges"]) == (200, "2048", "bytes")
    assert (answer["Content-Type"], answer["ETag"]) == ("video/mp4", f'"{blob.sha256}"')
    assert body(answer) == CONTENT


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=100-199", 100, 199),
        ("bytes=2000-", 2000, 2047),
        ("bytes=2000-99999", 2000, 2047),
        ("bytes=-48", 2000, 2047),
        ("bytes=-99999", 0, 2047),
    ],
)
def test_a_range_is_sent_exactly(alice, url, asked, first, last):
    answer = browser(alice).get(url, headers={"Range": asked})
    assert answer.status_code == 206
    assert answer["Content-Range"] == f"bytes {first}-{last}/2048"
    assert answer["Content-Length"] == str(last - first + 1)
    assert body(answer) == CONTENT[first : last + 1]


@pytest.mark.parametrize("asked", ["bytes=2048-", "bytes=9999-10000", "bytes=-0"])
def test_a_range_beyond_the_end_is_unsatisfiable(alice, url, asked):
    answer = browser(alice).get(url, headers={"Range": asked})
    assert (answer.status_code, answer["Content-Range"]) == (416, "bytes */2048")


@pytest.mark.parametrize(
    "asked",
    ["bytes=5-2", "bytes=a-b", "lines=1-2", "bytes=0-1,5-6", "bytes=-", "bytes=²-3", f"bytes={'9' * 5000}-"],
)
def test_what_is_not_one_good_range_gets_the_whole_file(alice, url, asked):
    answer = browser(alice).get(url, headers={"Range": asked})
    assert answer.status_code == 200
    assert body(answer) == CONTENT


def test_a_range_holds_only_for_the_same_file(alice, url, blob):
    client = browser(alice)
    modified = client.head(url)["Last-Modified"]
    for condition, status in [
        (f'"{blob.sha256}"', 206),
        ('"another"', 200),
        (f'W/"{blob.sha256}"', 200),
        (modified, 206),
        ("Mon, 01 Jan 2001 00:00:00 GMT", 200),
        ("nonsense", 200),
    ]:
        answer = client.get(url, headers={"Range": "bytes=0-9", "If-Range": condition})
        assert (condition, answer.status_code) == (condition, status)


def test_head_tells_and_sends_nothing(alice, url):
    answer = browser(alice).head(url)
    assert (answer.status_code, answer["Content-Length"]) == (200, "2048")
    assert body(answer) == b""


def test_an_unchanged_file_is_not_sent_again(alice, url, blob):
    answer = browser(alice).get(url, headers={"If-None-Match": f'"x", W/"{blob.sha256}"', "Range": "bytes=0-1"})
    assert (answer.status_code, body(answer)) == (304, b"")


@pytest.mark.parametrize("name", ["晨间 新闻 (最终).mp4", 'a"b\\c.mp4', "Ünïcödé.mp4", "clip; x=1.mp4"])
def test_names_in_any_script_survive_the_download(alice, blob, name):
    answer = browser(alice).get(media_url(blob, name, download=True))
    disposition = answer["Content-Disposition"]
    assert disposition.startswith("attachment;")
    if not name.isascii():
        assert disposition.endswith(f"filename*=utf-8''{quote(name, safe='')}") or quote(name) in disposition
    else:
        assert name.replace("\\", "\\\\").replace('"', '\\"') in disposition


def test_what_a_browser_should_not_open_is_only_ever_saved(alice, team):
    page = factories.blob(team, b"<script>alert(1)</script>", "text/html")
    answer = browser(alice).get(media_url(page, "page.html"))
    assert answer["Content-Disposition"].startswith("attachment")
    assert "default-src 'none'" in answer["Content-Security-Policy"]
    assert answer["X-Content-Type-Options"] == "nosniff"


def test_only_the_team_fetches(charlie, victor, url):
    assert browser(charlie).get(url).status_code == 404
    assert browser().get(url)["Location"].startswith("/accounts/login/")
    assert browser(victor).get(url).status_code == 200
    assert browser(victor).post(url).status_code == 405


def test_behind_nginx_the_file_is_handed_over(alice, url, blob, settings):
    settings.X_ACCEL = True
    answer = browser(alice).get(url, headers={"Range": "bytes=0-1"})
    assert (answer.status_code, answer["X-Accel-Redirect"]) == (200, f"/internal-media/{blob.path}")
    assert body(answer) == b""


def test_a_file_the_disk_lost_is_not_found(alice, url, blob):
    factories.path_of(blob).unlink()
    assert browser(alice).get(url).status_code == 404
