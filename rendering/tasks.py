"""What tickets call: fetch by id, call the service, nothing else."""

from __future__ import annotations

from rendering import queue
from rendering.execution import analyse as analyser
from rendering.execution import render as renderer
from rendering.services import exports, mouths, retention, tally, upkeep


def render() -> str:
    """A machine may render one job now."""
    return renderer.run_ticket()


def analyse() -> str:
    """A machine may look at one footage or take now."""
    return analyser.run_ticket()


def keep_house() -> str:
    """Once a day."""
    return str(upkeep.keep_house())


def export(export_id: int) -> None:
    exports.build_export(export_id)


def reap() -> None:
    """Once a minute: take back what was lost with its worker, and count what has ended."""
    analyser.reap()
    retention.make_room()
    exports.resume()
    queue.tidy()
    mouths.tidy()
    mouths.consider_all()
    queue.reap()
    tally.advance()
