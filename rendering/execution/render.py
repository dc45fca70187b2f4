"""What a ticket of the ``gpu`` cluster does: claim one job, let the engine render it, hand in the video.

When there is none, a mouth model may be learnt (``learn``).
"""

from __future__ import annotations

import contextlib
import functools
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from projects import trace
from projects.models import MediaBlob, MouthModel, TeamBase
from projects.problems import HeyGemError
from projects.services import blobs, disk, work
from projects.storage import Damaged, StorageUnavailable
from rendering import capabilities, queue, states, tickets, training, workers
from rendering.engine.contract import RENDER_STAGES
from rendering.engine.errors import EngineError
from rendering.execution import asked, learn, outage, stopping
from rendering.execution.child import EngineChild
from rendering.execution.live_log import LiveLog
from rendering.execution.node import this_worker, unfit, warm_engine
from rendering.execution.outage import Lease
from rendering.execution.patience import patiently
from rendering.execution.stopping import WorkerStopping
from rendering.execution.upkeep import Upkeep
from rendering.fingerprint import fingerprint
from rendering.models import WorkerNode, ability
from rendering.services import mouths

log = logging.getLogger("heygem.render")

T = TypeVar("T")
WRITE_S = 0.5
"""Progress is written at most twice a second."""
CHECK_S = 0.3
"""Whether the job is still wanted is looked at somewhat more often."""
SHARE = {"prepare": 2, "listen": 3, "lip-sync": 6, "compose": 85, "check": 4}
"""Percent of a job that each of the engine's stages takes, as measured on short takes; longer ones compose more."""
FETCH, PUBLISH = "fetch", "publish"
"""The first stage and the last, ours: the files are brought here, and the video is stored."""
NOTHING = "nothing to do"


@outage.told
def run_ticket() -> str:
    """Render one job, or learn one mouth model, or nothing.

    Returns what became of it, for django-q2's log; always returns in time.
    """
    if stopping.requested():
        return "stopped"
    node = this_worker("gpu")
    if not queue.startable() and not training.is_wanted(node):  # an engine is not started for nothing
        return _leave_to_others()
    if reason := unfit(node):
        tickets.pass_on()
        return reason
    upkeep = Upkeep(node)
    try:
        child = warm_engine(node, upkeep)
    except WorkerStopping:
        return "stopped"
    told = _learn(node, child, upkeep) or _render(node, child, upkeep) or learn.run_next(node, child, upkeep)
    if told is None:
        return _leave_to_others()
    outage.quietly(queue.reap)
    return told


def _leave_to_others() -> str:
    if queue.startable() or training.tickets_wanted():  # by a worker with other abilities
        tickets.pass_on()
    else:
        queue.reap()
    return NOTHING


class _Turn:
    """Whose turn it is in this process: after a training that went before renders, a render goes first."""

    renders = False


def _learn(node: WorkerNode, child: EngineChild, upkeep: Upkeep) -> str | None:
    """What goes before renders; None: nothing does now."""
    if _Turn.renders:
        return None
    told = learn.run_next(node, child, upkeep, only_pressing=True)
    _Turn.renders = told is not None
    return told


def _render(node: WorkerNode, child: EngineChild, upkeep: Upkeep) -> str | None:
    """None: there is nothing that this worker may render now."""
    _Turn.renders = False
    claim = _claim(node)
    if claim is None:
        return None
    outage.quietly(queue.top_up)  # so that the whole farm is at work at once when much arrives
    with trace.working_for(job=claim.job.public_id, team=claim.job.team.public_id):
        return Attempt(claim, node, child, upkeep).run()


def _claim(node: WorkerNode) -> queue.Claim | None:
    try:
        return queue.claim_next(node)
    except outage.AWAY:
        # It may have been granted all the same, and nobody would work on it.
        with contextlib.suppress(states.LeaseLost):
            Lease(states.LeaseLost).surely(lambda: queue.give_back_all(node))
        raise


class Attempt:
    """One try at one job."""

    def __init__(self, claim: queue.Claim, node: WorkerNode, child: EngineChild, upkeep: Upkeep) -> None:
        self.job, self.token = claim.job, claim.token
        self.node, self.child, self.upkeep = node, child, upkeep
        self.progress: tuple[str, int] | None = None
        """Heard from the engine, not yet written."""
        self.last_step: tuple[str, int] = ("", -1)
        self.written_at = self.checked_at = 0.0
        self.lease = Lease(states.LeaseLost)
        keep = functools.partial(states.write_log, self.job, node)
        self.live_log = LiveLog(keep, child.log_fd, f"job {self.job.public_id}")

    def run(self) -> str:
        """Whatever happens, the job is handed on: done, failed, waiting again, or somebody else's."""
        job = self.job
        log.info("job %s: attempt %s of %s", job.public_id, job.attempts, job.max_attempts)
        try:
            told = self._render()
        except states.LeaseLost:
            told = "lease lost"
            outage.quietly(lambda: asked.make_way(self.node, job))
        log.info("job %s: %s", job.public_id, told)
        return f"{job.public_id}: {told}"

    def _render(self) -> str:
        try:
            with work.folder(self.token.hex) as folder, contextlib.ExitStack() as held:
                request = self._request(folder, held)
                try:
                    result = self.child.run("render", request, report=self._hear, poll=self._poll)
                finally:
                    self.live_log.write()
                self.lease.surely(lambda: self._write((PUBLISH, 99)))
                finished = self._store(result)
                version = self.lease.surely(lambda: states.succeed(self.job, self.token, finished))
        except states.CancelRequested:
            self.lease.surely(lambda: states.cancelled(self.job, self.token))
            return "cancelled"
        except WorkerStopping:
            self.lease.surely(lambda: states.give_back(self.job, self.token))
            return "given back"
        except outage.AWAY:  # while something was only read: nobody would work on it until the lease is over
            self.lease.surely(lambda: states.give_back(self.job, self.token))
            return "given back: the database was away"
        except EngineError as error:
            return self._fail(error.code, error.failure.kind, error.detail)
        except StorageUnavailable as error:
            return self._fail(error.code, "transient", error.detail)
        except (OSError, HeyGemError) as error:
            log.exception("job %s: the video cannot be stored", self.job.public_id)
            code = disk.DISK_FULL if disk.is_full(error) else "io_error"
            return self._fail(code, "transient", f"{type(error).__name__}: {error}")
        outage.quietly(lambda: workers.note_success(self.node, self.job))
        return f"version {version.number}"

    def _fail(self, code: str, kind: states.Kind, detail: str) -> str:
        state = self.lease.surely(lambda: states.fail(self.job, self.token, code, kind=kind, detail=detail))
        if kind == "suspect":
            outage.quietly(lambda: workers.note_failure(self.node, self.job))
        return f"{code} ({detail}), now {state}" if detail else f"{code}, now {state}"

    def _request(self, folder: Path, held: contextlib.ExitStack) -> dict[str, Any]:
        """The engine's ``RenderRequest``. Its files stay on this machine until ``held`` is closed."""
        footage, take = self.job.footage, self.job.take
        if footage.analysis is None:  # let go since the job was claimed: it will be made again
            raise FileNotFoundError("the analysis is no longer kept")
        blobs.note_use(footage.analysis)
        base = self._learnt("base", self.job.base, held)
        model = self._learnt("mouths", self.job.mouths, held)
        return {
            "footage": str(self._fetched(blobs.on_disk, footage.blob, held)),
            "analysis": str(self._fetched(blobs.unpacked, footage.analysis, held)),
            "audio": str(self._fetched(blobs.on_disk, take.blob, held)),
            "out": str(folder / "video.mp4"),
            "poster": str(folder / "poster.jpg"),
            "options": self.job.options,
            "text": take.script_version.text,
            "language": take.script_version.language,
            **({"base": str(base)} if base is not None else {}),
            **({"mouths": str(model)} if model is not None else {}),
        }

    def _learnt(self, what: str, model: TeamBase | MouthModel | None, held: contextlib.ExitStack) -> Path | None:
        """The folder of the team's own base model or the presenter's mouth model; None: the job has none, or it is gone
        or damaged, and the work is done without."""
        if model is None or model.blob is None:
            return None
        blobs.note_use(model.blob)
        try:
            return self._fetched(blobs.unpacked, model.blob, held)
        except FileNotFoundError:
            log.warning("job %s: the %s %s is not stored any more", self.job.public_id, what, model.public_id)
        except Damaged as error:
            log.warning("job %s: the %s %s cannot be read: %s", self.job.public_id, what, model.public_id, error)
            if isinstance(model, MouthModel):
                self.lease.surely(lambda: mouths.damaged(model=model))
        return None

    def _fetched(self, how: Callable[..., Any], blob: MediaBlob, held: contextlib.ExitStack) -> Path:
        return self._patiently(lambda: held.enter_context(how(blob, hear=self._hear_fetch)))

    def _store(self, result: dict[str, Any]) -> states.Finished:
        video = self._stored(Path(result["video"]), "video/mp4")
        picture = Path(result["video"]).with_name("poster.jpg")
        poster = self._stored(picture, "image/jpeg") if picture.exists() else None
        same = ("engine", "tier", "width", "height", "fps", "duration_s", "quality", "seconds")
        used, weights, drawn_with = (str(result.get(name, "")) for name in ("base", "weights", "mouths"))
        drawn_by = str(result.get("backend", ""))
        return states.Finished(
            video=video,
            poster=poster or self.job.footage.poster,
            base=used,
            weights=weights,
            tracker=self.job.footage.analysis_tracker,
            mouths=drawn_with,
            drawn_by=drawn_by,
            instead=self._instead(drawn_by, str(result.get("instead", ""))),
            fingerprint=self._fingerprint(used, weights, drawn_with),
            **{name: result[name] for name in same},
        )

    def _instead(self, drawn_by: str, instead: str) -> str:
        """Code of why no mouth model drew, where one was asked for or the footage had one. The engine, which was given
        none, does not know why there is none."""
        job = self.job
        if drawn_by == training.NEURAL or not (job.batch.automatic or instead == mouths.NONE):
            return instead
        why = self.lease.surely(lambda: mouths.lacking(job.footage))
        if job.batch.automatic and not instead:
            return why if why in (mouths.NOT_GOOD, mouths.STALE) else ""
        return why or instead

    def _fingerprint(self, used: str, weights: str, mouths_used: str) -> str:
        """Of another video than the job may have asked for: a model that it names could not be used, somebody chose
        another face since, another tracker followed it, or this machine's checkpoint is another one than was known of.
        Else empty."""
        job = self.job
        looked = job.footage.chosen_face or job.footage.analysis_tracker
        asked = (job.base.identity if job.base else "", job.mouths.identity if job.mouths else "")
        weighted = weights or ability(job.options) in capabilities.NEEDS_WEIGHTS
        if not looked and not weighted and (used, mouths_used) == asked:
            return ""
        return fingerprint(job.footage, job.take, job.options, base=used, weights=weights, mouths=mouths_used)

    def _stored(self, path: Path, content_type: str) -> MediaBlob:
        with outage.spare(path) as put_back:

            def store() -> MediaBlob:
                put_back()
                return blobs.store(self.job.team, path, content_type, move=True, hear=self._hear_store)

            return self._patiently(store)

    def _patiently(self, step: Callable[[], T]) -> T:
        return patiently(lambda: self.lease.surely(step), since=lambda: self.lease.since, poll=self._poll)

    def _hear_fetch(self, done: int, total: int) -> None:
        self._hear(FETCH, done, total)
        self._poll()

    def _hear_store(self, done: int, total: int) -> None:
        """Bytes that have arrived in the storage."""
        if (PUBLISH, done) != self.last_step:
            self.last_step, self.progress = (PUBLISH, done), (PUBLISH, 99)
        self._poll()

    def _hear(self, stage: str, done: int, total: int) -> None:
        """The engine's progress. Only a step that it had not reported yet counts as such."""
        if (stage, done) != self.last_step:
            self.last_step = (stage, done)
            self.progress = (stage, overall(stage, done, total))

    def _poll(self) -> None:
        self.lease.meanwhile(self._look)

    def _look(self) -> None:
        """Write what was heard, if it is time; look whether the job is still wanted."""
        now = time.monotonic()
        if self.progress is not None and now - self.written_at >= WRITE_S:
            self._write(self.progress)
        elif now - self.checked_at >= CHECK_S:
            self.checked_at = now
            states.check(self.job, self.token)
        self.live_log()
        self.upkeep()

    def _write(self, progress: tuple[str, int]) -> None:
        self.written_at = self.checked_at = time.monotonic()
        self.lease.extend(lambda: states.report(self.job, self.token, *progress))
        self.progress = None


def overall(stage: str, done: int, total: int) -> int:
    """Percent of the whole job, 0..99, from progress within one of the engine's stages; 0 before and 99 after them."""
    if stage == FETCH:
        return 0
    before = 0
    for name in RENDER_STAGES:
        if name == stage:
            break
        before += SHARE[name]
    within = SHARE.get(stage, 0) * min(max(done / total, 0.0), 1.0) if total > 0 else 0.0
    return min(int(before + within), 99)
