"""Learning a mouth model on a machine that renders, while it has nothing to render or when one has waited long."""

from __future__ import annotations

import json
import logging
import os
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from django.conf import settings

from projects import trace
from projects.models import MediaBlob, MouthModel
from projects.problems import HeyGemError
from projects.services import analysis, blobs, work
from projects.storage import Damaged
from rendering import events, queue, training, workers
from rendering.engine.contract import (
    MOUTHS_CHECKPOINT,
    MOUTHS_NETWORK,
    MOUTHS_PICTURE,
    MOUTHS_PROGRESS,
    MOUTHS_REPORT,
)
from rendering.engine.errors import EngineError
from rendering.execution import outage
from rendering.execution.child import EngineChild
from rendering.execution.live_log import LiveLog
from rendering.execution.looking import WRITE_S, Try, team_of
from rendering.execution.stopping import WorkerStopping
from rendering.execution.upkeep import Upkeep
from rendering.models import WorkerNode
from rendering.services import mouths_kept
from rendering.tickets import MOST_WAITING

log = logging.getLogger("heygem.analysis")

CHECK_S = 0.5
"""How often it is looked whether this is still wanted, and whether a render waits."""
SHOW_S = 1.0
"""How often what the engine shows of it is looked at."""
WAITS_S = 2.0
"""A render that waits for so long is taken by nobody else."""
NEXT_S = 5.0
"""After so much longer the next training gives way to it, if the one before did not, or could not."""
LONGEST_S = 3 * 3600.0
"""Then it goes on with another ticket: one may not take longer than django-q2 allows."""


class GivesWay(WorkerStopping):
    """Something else goes first: put it back, the attempt does not count."""


def run_next(node: WorkerNode, child: EngineChild, upkeep: Upkeep, *, only_pressing: bool = False) -> str | None:
    """Learn one mouth model, if there is one for this machine. Returns what became of it; None: there is none."""
    claim = training.claim_next(node, only_pressing=only_pressing)
    if claim is None:
        return None
    with trace.working_for():
        return Training(claim, workers.at_service(node) or node, child, upkeep).run()


class Training(Try):
    """One try at a mouth model."""

    def __init__(self, claim: analysis.Claim, node: WorkerNode, child: EngineChild, upkeep: Upkeep) -> None:
        super().__init__(claim, child, upkeep)
        self.node = node
        self.began = self.checked_at = self.shown_at = self.kept_at = time.monotonic()
        self.waits_since: float | None = None
        """Since when a render waits that this machine could do."""
        self.is_over = False
        """What is left to do is to hand it on."""
        self.out = Path()
        self.step = 0
        self.kept_step = 0
        """What can be gone on from."""
        self.picture = self.checkpoint = 0
        """When the files that were kept last were written."""

    def _fail(self, error: EngineError) -> str:
        told = super()._fail(error)
        model = MouthModel.objects.select_related("footage__presenter").filter(pk=self.claim.pk).first()
        if model is not None and not model.is_being_made:
            outage.quietly(lambda: events.mouths_settled(model))
        return told

    def work_at(self, model: MouthModel) -> None:
        self.team = team_of(model)
        self.diary = Diary(self.claim, model, self.node)
        self.log = LiveLog(self.diary, self.child.log_fd, f"mouths {model.public_id}")
        with work.folder() as around, ExitStack() as held:
            self.out = around / "mouths"
            args = self._args(model, held)
            self.checkpoint = _written(self.out / MOUTHS_CHECKPOINT)
            try:
                learnt = self.child.run("mouths", args, report=self.hear, poll=self.poll)
            except (WorkerStopping, EngineError) as ended:
                self.is_over = True
                self.lease.surely(self._keep_checkpoint)
                self._note_end(ended)
                raise
            finally:
                self.log.write()
            self.is_over = True
            self._keep(model, learnt)

    def _note_end(self, ended: WorkerStopping | EngineError) -> None:
        """For who reads the log: what went wrong, or that nothing did and what is kept."""
        self.log.write()
        kept = f"kept up to step {self.kept_step}" if self.kept_step else "nothing is kept yet"
        why = ended.code if isinstance(ended, EngineError) else f"{str(ended) or 'given back'}, {kept}"
        self.lease.surely(lambda: self.diary.add(why))

    def _args(self, model: MouthModel, held: ExitStack) -> dict[str, Any]:
        """The engine's ``MouthsRequest``. Its files stay on this machine until ``held`` is closed."""
        engine = self.child.info["engine"]
        begun = self.lease.surely(lambda: mouths_kept.begin(self.claim, model, engine=engine))
        packed = begun.footage.analysis
        if packed is None:  # let go since it was claimed: it will be made again
            raise FileNotFoundError("the analysis is no longer kept")
        blobs.note_use(packed)
        self.out.mkdir()
        if begun.checkpoint is not None:
            self._go_on_from(begun.checkpoint, model.checkpoint_step)
        film = begun.footage.blob
        args: dict[str, Any] = {
            "footage": str(self.patiently(lambda: held.enter_context(blobs.on_disk(film, hear=self.hear_fetch)))),
            "analysis": str(self.patiently(lambda: held.enter_context(blobs.unpacked(packed, hear=self.hear_fetch)))),
            "out": str(self.out),
            "max_size": settings.MOUTHS_SIZE,
            "steps": settings.MOUTHS_STEPS or None,
            "max_seconds": settings.MOUTHS_SECONDS or None,
        }
        if (initial := begun.initial) is not None:
            try:
                folder = self.patiently(lambda: held.enter_context(blobs.unpacked(initial, hear=self.hear_fetch)))
                args["initial"] = str(folder)
            except (FileNotFoundError, Damaged) as error:
                log.warning("mouths %s: what it was to begin with cannot be read: %s", model.public_id, error)
        return args

    def _go_on_from(self, checkpoint: MediaBlob, step: int) -> None:
        try:
            self.patiently(lambda: blobs.unpack(checkpoint, self.out, self.hear_fetch))
        except OSError as error:
            log.warning("mouths %s: begins anew, its checkpoint cannot be read: %s", self.claim.pk, error)
            self.lease.surely(lambda: self.diary.add("begins anew, its checkpoint cannot be read"))
        else:
            self.kept_step = step
            self.lease.surely(lambda: self.diary.add(f"goes on at step {step}"))

    def _keep(self, model: MouthModel, learnt: dict[str, Any]) -> None:
        self.lease.surely(self._keep_picture)
        blob = None
        if learnt["passed"]:
            packed = self._packed(MOUTHS_NETWORK, MOUTHS_REPORT)
            blob = self.stored(self.team, packed, "application/zip")
            if blob is None:
                raise EngineError("io_error", "the mouth model came out empty")
        self.lease.surely(lambda: mouths_kept.finish(self.claim, model, learnt=learnt, blob=blob))

    def _packed(self, *names: str) -> Path:
        """An archive of these files as they are now: the engine replaces its files, and never changes them.

        Raises ``FileNotFoundError``.
        """
        with tempfile.TemporaryDirectory(dir=self.out.parent) as folder:
            for name in names:
                os.link(self.out / name, Path(folder, name))
            packed = self.out.with_name(f"{names[0]}.zip")
            blobs.pack(Path(folder), packed)
        return packed

    # Meanwhile

    def look(self) -> None:
        self.write()
        now = time.monotonic()
        if self.is_over:
            return
        if now - self.checked_at >= CHECK_S:
            self.checked_at = now
            self._check(now)
        if now - self.shown_at >= SHOW_S:
            self.shown_at = now
            self._keep_figures()
            self._keep_picture()
        if now - self.kept_at >= settings.MOUTHS_CHECKPOINT_SECONDS:
            self._keep_checkpoint()
            self.kept_at = time.monotonic()
        self.log()
        self.upkeep()

    def _check(self, now: float) -> None:
        """Raises ``LeaseLost`` when nobody wants it any more, and ``GivesWay``."""
        place = training.place(self.claim, waiting=queue.count_startable(self.node, most=MOST_WAITING))
        if place is None:
            self.waits_since = None
        elif self.waits_since is None:
            self.waits_since = now
        elif now - self.waits_since >= WAITS_S + NEXT_S * place:
            raise GivesWay("gave way to a render")
        if now - self.began >= LONGEST_S:
            raise GivesWay("goes on with another ticket")

    def _keep_figures(self) -> None:
        try:
            told = json.loads((self.out / MOUTHS_PROGRESS).read_text())
        except FileNotFoundError:
            return
        if told["step"] != self.step:
            self.step = told["step"]
            mouths_kept.keep_figures(self.claim, told)

    def _keep_picture(self) -> None:
        written = _written(self.out / MOUTHS_PICTURE)
        if written == self.picture:
            return
        copy = self.out.with_name("picture.jpg")
        os.link(self.out / MOUTHS_PICTURE, copy)
        if (blob := self._stored_if_possible(copy, "image/jpeg")) is not None:
            self.lease.surely(lambda: mouths_kept.keep_picture(self.claim, blob))
        self.picture = written

    def _keep_checkpoint(self) -> None:
        written = _written(self.out / MOUTHS_CHECKPOINT)
        if written == self.checkpoint:
            return
        self._keep_figures()
        try:
            packed = self._packed(MOUTHS_CHECKPOINT)
        except FileNotFoundError:  # the training has ended and needs it no more
            return
        blob = self._stored_if_possible(packed, "application/zip")
        if blob is not None:
            self.lease.surely(lambda: mouths_kept.keep_checkpoint(self.claim, blob, step=self.step))
            self.checkpoint, self.kept_step = written, self.step

    def _stored_if_possible(self, path: Path, content_type: str) -> MediaBlob | None:
        """None where the storage is away or full: the training is worth more than what it shows meanwhile."""
        try:
            return blobs.store(self.team, path, content_type, move=True, hear=self._hear_kept)
        except (OSError, HeyGemError) as error:
            log.warning("mouths %s: %s cannot be stored now: %s", self.claim.pk, path.name, error)
        finally:
            path.unlink(missing_ok=True)
        return None

    def _hear_kept(self, done: int, total: int) -> None:
        """Bytes that arrive in the storage keep the lease."""
        now = time.monotonic()
        if now - self.written_at >= WRITE_S:
            self.written_at = now
            self.lease.extend(lambda: analysis.report(self.claim, stage=self.stage, percent=self.percent))


class Diary:
    """Where the log of a training goes: after what earlier attempts left there."""

    def __init__(self, claim: analysis.Claim, model: MouthModel, node: WorkerNode) -> None:
        self.claim = claim
        begun = f"attempt {claim.attempt} on {node.name}\n"
        self.before, self.end = model.log + begun, model.log_end + len(begun)
        self.told = "", 0
        """What the engine has written of this attempt, as it was handed on last."""

    def __call__(self, text: str, end: int) -> None:
        self.told = text, end
        mouths_kept.write_log(self.claim, self.before + text, self.end + end)

    def add(self, words: str) -> None:
        """A line of our own, before the engine has begun or after it has ended. Raises ``LeaseLost``."""
        text, end = self.told
        mouths_kept.write_log(self.claim, f"{self.before}{text}{words}\n", self.end + end + len(words) + 1)
        self.before, self.end, self.told = f"{self.before}{text}{words}\n", self.end + end + len(words) + 1, ("", 0)


def _written(path: Path) -> int:
    """When a file was written, in nanoseconds; 0: it is not there."""
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0
