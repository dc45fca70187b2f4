"""One try at something that is claimed, reported and handed on like an analysis: what every such try has in common."""

from __future__ import annotations

import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from projects import trace
from projects.models import Footage, MediaBlob, MouthModel, Team, TeamBase
from projects.problems import HeyGemError
from projects.services import analysis, blobs, disk
from projects.storage import StorageUnavailable
from rendering.engine.errors import EngineError
from rendering.execution import outage
from rendering.execution.child import EngineChild
from rendering.execution.outage import Lease
from rendering.execution.patience import patiently
from rendering.execution.stopping import WorkerStopping
from rendering.execution.upkeep import Upkeep

log = logging.getLogger("heygem.analysis")

T = TypeVar("T")
WRITE_S = 0.5
"""Progress is written at most twice a second."""


class Try(ABC):
    """Whatever happens, :meth:`run` hands the thing on: usable, refused, waiting again, or somebody else's."""

    def __init__(self, claim: analysis.Claim, child: EngineChild, upkeep: Upkeep) -> None:
        self.claim, self.child, self.upkeep = claim, child, upkeep
        self.progress: tuple[str, int] | None = None
        """Heard from the engine, not yet written."""
        self.last_step: tuple[str, int] = ("", -1)
        self.stage, self.percent = "", 0
        """As written last."""
        self.written_at = 0.0
        self.lease = Lease(analysis.LeaseLost)

    def run(self) -> str:
        try:
            item = self.lease.surely(self.claim.item)
            trace.note(team=team_of(item).public_id)
            log.info("%s %s: attempt %s", self.claim.kind, item.public_id, self.claim.attempt)
            told = self.see_to(item)
        except analysis.LeaseLost:
            return f"{self.claim.kind} {self.claim.pk}: lease lost"
        log.info("%s %s: %s", self.claim.kind, item.public_id, told)
        return f"{self.claim.kind} {item.public_id}: {told}"

    def see_to(self, item: analysis.Item) -> str:
        """What became of it, in words. Raises ``LeaseLost``."""
        try:
            self.work_at(item)
        except WorkerStopping as stopped:
            self.lease.surely(lambda: analysis.put_back(self.claim))
            return str(stopped) or "given back"
        except EngineError as error:
            return self._fail(error)
        except StorageUnavailable as error:
            return f"{error.code} ({error}), {self._give_back(error.code)}"
        except (OSError, HeyGemError) as error:
            log.exception("%s %s: what is needed or made cannot be stored", self.claim.kind, item.public_id)
            code = disk.DISK_FULL if disk.is_full(error) else "io_error"
            return self._fail(EngineError(code, f"{type(error).__name__}: {error}"))
        return "done"

    @abstractmethod
    def work_at(self, item: Any) -> None:
        """Have the engine do it and keep what it makes."""

    def _fail(self, error: EngineError) -> str:
        log.warning("%s: %s\n%s", self.claim.kind, error, self.child.log_tail())
        if error.failure.kind == "permanent":
            self.lease.surely(lambda: analysis.refuse(self.claim, code=error.code))
            return f"refused, {error.code}"
        # A machine's fault three times over is told as what it is to the reader: the engine does not survive this file.
        code = analysis.SPENT_CODE if error.failure.kind == "suspect" else error.code
        return f"{error.code}, {self._give_back(code)}"

    def _give_back(self, code: str) -> str:
        again = self.lease.surely(lambda: analysis.give_back(self.claim, code=code))
        return "waits again" if again else "refused"

    # Files

    def stored(self, team: Team, path: Path, content_type: str) -> MediaBlob | None:
        """None for what the engine did not make."""
        if not path.exists() or not path.stat().st_size:
            return None
        with outage.spare(path) as put_back:

            def store() -> MediaBlob:
                put_back()
                return blobs.store(team, path, content_type, move=True, hear=self.hear_store)

            return self.patiently(store)

    def patiently(self, step: Callable[[], T]) -> T:
        return patiently(lambda: self.lease.surely(step), since=lambda: self.lease.since, poll=self.poll)

    # Progress

    def hear_fetch(self, done: int, total: int) -> None:
        self.hear("fetch", done, total)

    def hear_store(self, done: int, total: int) -> None:
        self.hear("publish", done, total)

    def hear(self, stage: str, done: int, total: int) -> None:
        """The engine's progress. Only a step that it had not reported yet counts as such."""
        if (stage, done) != self.last_step:
            self.last_step = (stage, done)
            self.progress = (stage, int(100 * min(max(done / total, 0.0), 1.0)) if total > 0 else 0)
        self.poll()

    def poll(self) -> None:
        self.lease.meanwhile(self.look)

    def look(self) -> None:
        """Write what was heard, if it is time."""
        self.write()
        self.upkeep()

    def write(self) -> None:
        now = time.monotonic()
        if self.progress is not None and now - self.written_at >= WRITE_S:
            (self.stage, self.percent), self.written_at = self.progress, now
            self.lease.extend(lambda: analysis.report(self.claim, stage=self.stage, percent=self.percent))
            self.progress = None


def team_of(item: analysis.Item) -> Team:
    if isinstance(item, TeamBase):
        return item.team
    if isinstance(item, MouthModel):
        return item.footage.presenter.team
    return item.presenter.team if isinstance(item, Footage) else item.script_version.script.team
