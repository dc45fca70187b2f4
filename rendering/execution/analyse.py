"""What an analysis ticket of the ``worker`` cluster does: claim footage or a take, have the engine look, keep it.

When nobody waits for either, a team's own base model is next (``teach``).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from django.conf import settings

from projects import trace
from projects.models import AudioTake, Footage, MouthModel, TeamBase
from projects.services import analysis, blobs, work
from projects.services.waking import wake_analysers
from rendering import capabilities, events, tickets, workers
from rendering.engine.alignment.weights import BUNDLED
from rendering.engine.supplied import TRACKER
from rendering.execution import outage
from rendering.execution.looking import Try
from rendering.execution.node import this_worker, unfit, warm_engine
from rendering.execution.stopping import WorkerStopping
from rendering.execution.teach import teach
from rendering.execution.upkeep import Upkeep
from rendering.models import WorkerNode
from rendering.services import bases, batches, deliverables

log = logging.getLogger("heygem.analysis")

CLUSTER = "worker"


@outage.told
def run_ticket() -> str:
    """Look at one thing, or none. Returns what became of it, for django-q2's log; always returns in time."""
    node = this_worker(CLUSTER)
    if not analysis.is_waiting():  # an engine is not started for nothing
        return "nothing to do"
    if reason := unfit(node):
        tickets.wake_later(settings.ANALYSIS_TASK, cluster=CLUSTER)
        return reason
    upkeep = Upkeep(node)
    try:
        child = warm_engine(node, upkeep)
    except WorkerStopping:
        return "stopped"
    claim = _claim(node, child.info)
    if claim is None:
        if analysis.is_waiting():  # an analyser of another kind shall have it
            tickets.wake_later(settings.ANALYSIS_TASK, cluster=CLUSTER)
        return "nothing to do"
    with trace.working_for():
        told = Look(claim, child, upkeep).run()
    outage.quietly(top_up)
    return told


def _claim(node: WorkerNode, told: Mapping[str, Any]) -> analysis.Claim | None:
    """What is next for a machine whose engine has ``told`` so of itself.

    Footage is followed again as it was before while there is a machine that does: that videos become out of date is
    not left to chance where machines differ.
    """
    if not is_of_use(told["engine"]):
        return analysis.claim_for_analysis(("take",))
    if TRACKER in told["refused"]:
        return analysis.claim_for_analysis(("take", "base"))
    others = workers.other_trackers(node, told["tracker"])
    left = {"" if name == BUNDLED else name for name in others}
    return analysis.claim_for_analysis(("take", "footage", "base"), followed_otherwise=left)


def is_of_use(engine: str) -> bool:
    """Whether any worker renders what this version of the engine analyses; while none has said what it has, it is."""
    render_with = capabilities.live_engines(heard=True)
    return engine in render_with or not render_with


def reap() -> int:
    """Take back what lost analysers held. Returns how many are refused now: their attempts are spent."""
    refused = analysis.reap()
    for item in refused:
        if isinstance(item, Footage | AudioTake):
            deliverables.material_settled(item)
        elif isinstance(item, MouthModel):
            events.mouths_settled(item)
    top_up()
    return len(refused)


def top_up() -> None:
    """A ticket, if something waits and none does: a ticket may have been lost with its worker."""
    if analysis.is_waiting() and not tickets.waiting(CLUSTER):
        wake_analysers()


class Look(Try):
    """One try at footage, a take or a team's base."""

    def see_to(self, item: analysis.Item) -> str:
        if not isinstance(item, Footage | AudioTake):
            return super().see_to(item)
        outage.quietly(lambda: deliverables.touch_material(item))
        told = super().see_to(item)
        outage.quietly(lambda: deliverables.material_settled(item))
        return told

    def work_at(self, item: Footage | AudioTake | TeamBase) -> None:
        if isinstance(item, TeamBase):
            with work.folder() as around:
                teach(self, item, around)
        elif isinstance(item, Footage):
            self._prepare(item)
            outage.quietly(lambda: bases.consider(item.presenter.team))
        else:
            self._measure(item)

    def _prepare(self, footage: Footage) -> None:
        with work.folder() as around, self._at_hand(footage) as path:
            folder = around / "analysis"
            options = {"preview": True, "face": footage.chosen_face}
            args = {"footage": str(path), "out": str(folder), "options": options}
            found = self.child.run("prepare", args, report=self.hear, poll=self.poll)
            findings = list(found["findings"])
            refused = [finding["code"] for finding in findings if finding["level"] == "refused"]
            refused_with = (refused or ["bad_media"])[0] if found["verdict"] == "refused" else ""
            poster = self.stored(footage.presenter.team, folder / "poster.jpg", "image/jpeg")
            filmstrip = self.stored(footage.presenter.team, folder / "filmstrip.jpg", "image/jpeg")
            preview = self.stored(footage.presenter.team, folder / "preview.mp4", "video/mp4")
            packed = around / "analysis.zip"
            if not refused_with:
                blobs.pack(folder, packed)
            finish = partial(
                analysis.finish_footage,
                self.claim,
                measured=_footage_fields(found),
                findings=findings,
                refused_with=refused_with,
                packed=self.stored(footage.presenter.team, packed, "application/zip"),
                poster=poster,
                filmstrip=filmstrip,
                preview=preview,
            )
            self.lease.surely(finish)

    @contextmanager
    def _at_hand(self, item: Footage | AudioTake) -> Iterator[Path]:
        """The file on this machine. What came straight into the storage is read here for the first time."""
        with ExitStack() as held:
            path = self.patiently(lambda: held.enter_context(blobs.on_disk(item.blob, hear=self.hear_fetch)))
            if blobs.is_unread(item.blob):
                item.blob.sha256 = blobs.digest(path)
                # In this order: what a lost worker leaves undone is done again, for the blob is still unread then.
                self.lease.surely(lambda: batches.know_material(item))
                item.blob = self.lease.surely(lambda: blobs.settle(item.blob))
                self.lease.surely(lambda: self.claim.update(blob=item.blob))
            yield path

    def _measure(self, take: AudioTake) -> None:
        with self._at_hand(take) as path:
            found = self.child.run("take", {"audio": str(path), "limits": {}}, report=self.hear, poll=self.poll)
        findings = list(found["findings"])
        refused = [finding["code"] for finding in findings if finding["level"] == "refused"]
        if refused:
            self.lease.surely(lambda: analysis.refuse(self.claim, code=refused[0], findings=findings))
            return
        kept = ("duration_s", "loudness_lufs", "peak_dbfs", "waveform", "speech_spans")
        measured = {name: found[name] for name in kept}
        self.lease.surely(lambda: analysis.finish_take(self.claim, measured=measured, findings=findings))


def _footage_fields(found: dict[str, Any]) -> dict[str, Any]:
    """Columns of ``Footage`` from the engine's ``PreparedFootage``."""
    same = ("width", "height", "fps", "duration_s", "has_audio", "speech_spans")
    figures = {**found["figures"], "frames": found["frames"]}
    if found["offset_ms"] is not None:
        figures["offset_ms"] = found["offset_ms"]
    return {
        **{name: found[name] for name in same},
        "tier": found["tier"] or "",
        "figures": figures,
        "faces": found["faces"],
        "presenter_face": found["presenter"],
        "analysis_engine": found["engine"],
        "analysis_tracker": found.get("tracker", ""),
    }
