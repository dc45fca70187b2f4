"""How often somebody may ask: told in headers, counted over all web processes, and without a sign-in by address."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connections
from django.test import Client

from projects.models import RequestCount
from projects.services import rates
from tests.cast import browser
from tests.site.test_api import PRESENTERS, assert_problem, post, program

SPENDER = """
import django, sys
django.setup()
from projects.services import rates
print(sum(not rates.spend(name="reading", who="7", limit=50).is_spent for _ in range(40)))
"""


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """A clock that stands still until a test moves it."""
    now = {"s": 1_800_000_000.0}
    monkeypatch.setattr(rates.time, "time", lambda: now["s"])
    return now


def test_who_asks_too_often_is_told_to_wait(bob: User, settings: Any, clock: dict[str, float]) -> None:
    settings.API_RATES = settings.API_RATES | {"reading": 2}
    client = program(bob)
    answers = [client.get(PRESENTERS) for _ in range(3)]
    assert [answer.headers.get("RateLimit") for answer in answers] == [
        *('"reading";r=1;t=61', '"reading";r=0;t=61', '"reading";r=0;t=61'),
    ]
    assert answers[0]["RateLimit-Policy"] == '"reading";q=2;w=60'
    assert "Retry-After" not in answers[1]
    assert_problem(answers[2], 429, "too_many_requests")
    assert answers[2]["Retry-After"] == "61"
    clock["s"] += 61
    assert client.get(PRESENTERS).status_code == 200


def test_who_changes_too_often_may_still_look(bob: User, team: Any, settings: Any, clock: dict[str, float]) -> None:
    settings.API_RATES = settings.API_RATES | {"changing": 1}
    client, body = program(bob), {"team": team.public_id, "name": "Ada"}
    assert [post(client, PRESENTERS, body).status_code for _ in range(2)] == [201, 429]
    assert client.get(PRESENTERS).status_code == 200
    answer = client.post("/uploads/", headers={"Tus-Resumable": "1.0.0"})
    assert_problem(answer, 429, "too_many_requests")
    assert answer["Retry-After"]


def test_a_browser_that_uploads_is_not_counted(bob: User, settings: Any) -> None:
    settings.API_RATES = settings.API_RATES | {"changing": 1}
    client = browser(bob)
    assert {client.post("/uploads/", headers={"Tus-Resumable": "1.0.0"}).status_code for _ in range(3)} == {400}


def test_bad_tokens_are_counted_by_the_address_they_come_from(db: None, settings: Any, clock: dict[str, float]) -> None:
    settings.API_RATES = settings.API_RATES | {"anonymous": 2}
    guesser = Client(headers={"Authorization": "Bearer hg_x_y"})
    codes = [guesser.get(PRESENTERS).json()["code"] for _ in range(2)]
    codes += [guesser.post("/uploads/").json()["code"], Client().get(PRESENTERS).json()["code"]]
    assert codes == ["bad_token", "bad_token", "too_many_requests", "too_many_requests"]
    assert Client(REMOTE_ADDR="192.0.2.7").get(PRESENTERS).json()["code"] == "signed_out"
    assert Client().get("/api/v1/schema/").status_code == 429


def test_the_description_is_there_for_everybody_but_not_without_end(db: None, settings: Any) -> None:
    settings.API_RATES = settings.API_RATES | {"anonymous": 1}
    assert [Client().get("/api/v1/schema/").status_code for _ in range(2)] == [200, 429]


@pytest.mark.django_db(transaction=True)
def test_two_processes_count_together(settings: Any) -> None:
    database = connections.databases["default"]
    if not database["ENGINE"].endswith("sqlite3"):
        pytest.skip("other processes are given the tests' SQLite file; threads below count on every database")
    environment = os.environ | {
        "DJANGO_SETTINGS_MODULE": "heygem_site.settings",
        "DATABASE_URL": f"sqlite:///{database['NAME']}",
    }
    command = [sys.executable, "-c", SPENDER]
    running = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) for _ in range(2)]
    granted = [int(process.communicate(timeout=60)[0]) for process in running]
    # A minute may end between them; then each has counted in its own.
    assert sum(granted) == 50 or RequestCount.objects.get().count < 50


@pytest.mark.django_db(transaction=True)
def test_threads_never_count_past_each_other(clock: dict[str, float]) -> None:
    def spend(_number: int) -> bool:
        try:
            return not rates.spend(name="reading", who="7", limit=25).is_spent
        finally:
            connections.close_all()

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(spend, range(40))) == 25


def test_a_host_whose_clock_is_behind_counts_into_the_newer_window(db: None, clock: dict[str, float]) -> None:
    rates.spend(name="reading", who="7", limit=9)
    clock["s"] -= 60
    assert rates.spend(name="reading", who="7", limit=9).left == 7


def test_counts_of_those_who_are_gone_are_forgotten(db: None, clock: dict[str, float]) -> None:
    rates.spend(name="reading", who="7", limit=9)
    clock["s"] += 3 * 3600
    rates.spend(name="reading", who="8", limit=9)
    assert rates.clean() == 1
    assert RequestCount.objects.get().who == "reading:8"
