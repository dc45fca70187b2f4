"""The claim among very many jobs, by many workers at once. ``benchmarks/bench_claim.py`` measures it."""

from __future__ import annotations

import re

import pytest

from tests.sites import Kind, NewSite

pytestmark = [pytest.mark.qcluster]

BOTH = pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])


@pytest.mark.postgres
def test_eight_claimers_at_once_claim_each_of_two_hundred_jobs_exactly_once(new_site: NewSite) -> None:
    site = new_site("postgres")
    ids = [site.call("order", team=team, modes=["ok"] * 50) for team in "ABCD"]
    granted = site.call("claim_all", claimers=8)
    assert len(granted) == 200
    assert set(granted) == {job for of_team in ids for job in of_team}


@BOTH
def test_one_team_alone_keeps_every_claimer_busy(new_site: NewSite, kind: Kind) -> None:
    site = new_site(kind)
    ids = site.call("order", team="A", modes=["ok"] * 40)
    assert sorted(site.call("claim_all", claimers=4)) == sorted(ids)


@BOTH
def test_however_many_claim_at_once_a_team_never_runs_more_than_it_may(new_site: NewSite, kind: Kind) -> None:
    told = new_site(kind).call("claim_within_limits", claimers=8, teams=3, jobs=30, limit=2)
    assert told["most"] <= 2
    assert (told["attempts"], told["ended"]) == (90, 90)


@BOTH
def test_the_claim_steps_through_indexes_and_never_reads_every_job(new_site: NewSite, kind: Kind) -> None:
    """With 10,000 jobs of 100 teams waiting and 5,000 done."""
    plans = new_site(kind).call("explain_claim", teams=100, waiting=100, finished=50)
    for name, plan in plans.items():
        assert "job_next_of_team" in plan, plan
        assert "job_running_by_team" in plan, plan
        assert "Seq Scan on rendering_renderjob" not in plan, f"{name}: {plan}"
        scans = re.findall(r"SCAN (?:rendering_renderjob|U0)\b(?! USING (?:COVERING )?INDEX job_next_of_team).*", plan)
        assert scans == [], f"{name}: {plan}"
