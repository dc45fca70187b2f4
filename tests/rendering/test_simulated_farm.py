"""A farm of fifty workers for two hours, played with a clock of its own (``benchmarks/simulate_farm.py``)."""

from __future__ import annotations

import pytest

from benchmarks.simulate_farm import HOUR, Plan, simulate


@pytest.mark.django_db
def test_a_farm_on_which_machines_die_and_teams_pause_loses_doubles_and_exceeds_nothing() -> None:
    told = simulate(Plan(workers=50, hours=2, jobs=80, teams=12, load=0.6, lives_s=3 * HOUR, transient=0.1, seed=7))
    assert set(told["broken"].values()) == {0}, told["broken"]
    assert sum(told["states"].values()) == told["jobs"] == 80
    assert told["attempts"]["succeeded"] == told["states"]["succeeded"] > 0
    assert told["attempts"].get("lost"), told
    assert told["deaths"] > 2
    by_team = told["waiting_minutes_by_team"]
    assert len(by_team) == 12
    assert sum(team["jobs"] for team in by_team) == told["waiting_minutes"]["all"]["jobs"] > 0
