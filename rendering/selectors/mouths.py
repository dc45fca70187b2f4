"""What pages and programs are told of mouth models: which one draws, how far one is, why it waits, what came of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from statistics import median

from django.db.models import F, QuerySet

from projects.models import AnalysisState, Footage, MouthModel, Team
from rendering import capabilities, training
from rendering.fingerprint import ENGINE_VERSION
from rendering.models import WorkerNode
from rendering.selectors.boards import problem_view
from rendering.selectors.shapes import ProblemView
from rendering.services import mouths

LOOKED_BACK = 12
"""Finished trainings that say how long one takes."""
HISTORY = 10
SHARES = {"collect": 5, "train": 90, "measure": 5}
"""Percent of the whole that each of the engine's stages takes."""


class Stand(StrEnum):
    """What there is of footage: the first that is true."""

    RUNNING = "running"
    WAITING = "waiting"
    READY = "ready"
    STALE = "stale"
    NOT_GOOD = "not_good"
    FAILED = "failed"
    NONE = "none"


class Waits(StrEnum):
    """Why nothing is learnt yet."""

    FOOTAGE = "footage"
    PAUSED = "paused"
    NO_MACHINE = "no_machine"
    IDLE_CARD = "idle_card"
    RENDERS_FIRST = "renders_first"
    TURN = "turn"


class Machines:
    """Those that render, as they are when it is first asked."""

    @cached_property
    def nodes(self) -> tuple[WorkerNode, ...]:
        return tuple(capabilities.staying())

    @cached_property
    def able(self) -> tuple[WorkerNode, ...]:
        """Those that can learn. One that has said nothing of itself yet is taken for able."""
        return tuple(node for node in self.nodes if training.can_learn(node) or not node.backends)

    @cached_property
    def have_card(self) -> bool:
        return any(training.has_card(node) for node in self.able)

    @cached_property
    def usual_s(self) -> float | None:
        """Seconds that learning in one go took lately on such machines; None: not known."""
        names = [node.name for node in self.able if training.has_card(node) == self.have_card]
        ended = MouthModel.objects.filter(engine=ENGINE_VERSION, worker__in=names, borrowed=False).exclude(identity="")
        ended = ended.filter(claimed_at=F("started_at"), analysed_at__isnull=False).order_by("-pk")
        times = ended.values_list("started_at", "analysed_at")[:LOOKED_BACK]
        took = [(after - before).total_seconds() for before, after in times if before and after]
        return median(took) if took else None


@dataclass(frozen=True, kw_only=True)
class MouthsView:
    """The mouth model of one piece of footage as a page shows it."""

    footage: Footage
    current: MouthModel | None
    """Draws new renders; None: ``exemplar`` does."""
    newest: MouthModel | None
    """The last that was asked for, whatever became of it."""
    has_stale: bool
    """A good one of another engine, face or tracker is there."""
    kept: int
    """Good ones whose files are kept, the one in use with them: what removing takes."""
    machines: Machines

    @property
    def making(self) -> MouthModel | None:
        return self.newest if self.newest is not None and self.newest.is_being_made else None

    @property
    def stand(self) -> Stand:
        if self.making is not None:
            return Stand.RUNNING if self.making.state == AnalysisState.RUNNING else Stand.WAITING
        if self.current is not None:
            return Stand.READY
        if self.has_stale:
            return Stand.STALE
        if self.newest is None or self.newest.error_code in ("", mouths.REMOVED):
            return Stand.NONE
        return Stand.NOT_GOOD if self.newest.error_code == mouths.NOT_GOOD else Stand.FAILED

    @property
    def shown(self) -> MouthModel | None:
        """Whose picture and figures are shown."""
        if self.making is not None:
            return self.making
        return self.current or (self.newest if self.newest is not None and self.newest.identity else None)

    @cached_property
    def refusal(self) -> ProblemView | None:
        """Why nothing can be learnt from the footage."""
        code = mouths.refusal(self.footage)
        return problem_view(code) if code else None

    @property
    def problem(self) -> ProblemView | None:
        """Why the last one came to nothing."""
        newest = self.newest
        if newest is None or newest.state != AnalysisState.REFUSED or newest.error_code == mouths.REMOVED:
            return None
        return problem_view(newest.error_code)

    @property
    def is_shown(self) -> bool:
        """Footage that cannot be used says so above; it needs no mouth model."""
        return self.footage.is_usable or self.making is not None or self.current is not None

    @property
    def percent(self) -> int:
        return percent_of(self.making) if self.making is not None else 0

    @cached_property
    def waits(self) -> Waits | None:
        return why_waiting(self.making, self.machines) if self.stand == Stand.WAITING and self.making else None

    @property
    def goes_first_at(self) -> datetime | None:
        """When it goes before renders that wait."""
        return self.making.created_at + training.PATIENCE if self.making is not None else None

    @property
    def marks(self) -> list[str]:
        """They change with everything that is shown."""
        newest, current = self.newest, self.current
        made = [] if newest is None else [f"{newest.pk}:{newest.state}:{newest.stage}:{newest.progress}:{newest.step}"]
        made += [] if newest is None else [f"{newest.picture_id}:{newest.eta_s}:{newest.error_code}"]
        return [str(self.stand), f"{current.pk if current else ''}:{self.waits}", *made]


def percent_of(model: MouthModel) -> int:
    """0..99 of the whole, whatever stage it is in. What was interrupted does not begin at nought again."""
    reached = SHARES["collect"] + SHARES["train"] * model.step / model.steps if model.steps else 0.0
    before = 0.0
    for stage, share in SHARES.items():
        if stage == model.stage:
            reached = max(reached, before + share * min(model.progress, 100) / 100)
        before += share
    return min(99, round(reached))


def why_waiting(model: MouthModel, among: Machines) -> Waits:
    """``model`` waits. Its footage's presenter, team and share should be loaded."""
    footage, team = model.footage, model.footage.presenter.team
    if not footage.is_usable or footage.analysis_id is None:
        return Waits.FOOTAGE
    share = getattr(team, "share", None)
    if share is not None and share.paused_at is not None:
        return Waits.PAUSED
    if not among.able:
        return Waits.NO_MACHINE
    if model.automatic:
        return Waits.IDLE_CARD if among.have_card else Waits.NO_MACHINE
    return Waits.TURN if training.is_pressing(model) else Waits.RENDERS_FIRST


def _with_team(models: QuerySet[MouthModel]) -> QuerySet[MouthModel]:
    return models.select_related("picture", "footage__presenter__team__share", "created_by").defer("log")


def mouths_of(footage: Iterable[Footage]) -> dict[int, MouthsView]:
    """By the footage's primary key. One query, however many there are."""
    wanted = {item.pk: item for item in footage}
    among = Machines()
    newest: dict[int, MouthModel] = {}
    current: dict[int, MouthModel] = {}
    good: set[int] = set()
    kept: Counter[int] = Counter()
    made = MouthModel.objects.filter(footage__in=wanted) if wanted else MouthModel.objects.none()
    for model in _with_team(made).order_by("-pk"):
        newest.setdefault(model.footage_id, model)
        if model.state == AnalysisState.READY:
            good.add(model.footage_id)
            kept[model.footage_id] += model.blob_id is not None
            if mouths.draws(model):
                current.setdefault(model.footage_id, model)
    return {
        item.pk: MouthsView(
            footage=item,
            current=current.get(item.pk),
            newest=newest.get(item.pk),
            has_stale=item.pk in good and item.pk not in current,
            kept=kept[item.pk],
            machines=among,
        )
        for item in wanted.values()
    }


def view_of(footage: Footage) -> MouthsView:
    return mouths_of([footage])[footage.pk]


def history(footage: Footage) -> list[MouthModel]:
    """Those that are over, the newest first."""
    over = MouthModel.objects.filter(footage=footage).exclude(state__in=mouths.BEING_MADE)
    return list(_with_team(over).order_by("-pk")[:HISTORY])


def presenters_with(team: Team) -> list[str]:
    """Names of the presenters whose newest usable footage a mouth model draws."""
    newest: dict[int, Footage] = {}
    rows = Footage.objects.filter(presenter__team=team, presenter__archived_at=None, archived_at=None)
    for footage in rows.filter(state__in=("ready", "warnings")).select_related("presenter").order_by("pk"):
        newest[footage.presenter_id] = footage
    drawn = mouths.current_of(newest.values())
    return sorted(footage.presenter.name for footage in newest.values() if footage.pk in drawn)


# For operators


def learnt_by() -> dict[str, MouthModel]:
    """What workers learn now, by their names."""
    return {model.worker: model for model in _with_team(MouthModel.objects.filter(state=AnalysisState.RUNNING))}


@dataclass(frozen=True, kw_only=True)
class FarmMouths:
    """A training of any team that is not over."""

    model: MouthModel
    waits: Waits | None

    @property
    def percent(self) -> int:
        return percent_of(self.model)

    @property
    def goes_first_at(self) -> datetime:
        return self.model.created_at + training.PATIENCE

    @property
    def mark(self) -> str:
        model = self.model
        return f"{model.pk}:{model.state}:{model.stage}:{model.progress}:{model.step}:{model.worker}:{self.waits}"


def on_the_farm(limit: int) -> tuple[list[FarmMouths], int]:
    """What is being learnt, then what waits, in its turn; and how many there are. Three queries."""
    going_on = MouthModel.objects.filter(state__in=mouths.BEING_MADE)
    among = Machines()
    rows = _with_team(going_on).order_by("state", "automatic", "pk")[:limit]  # "running" is before "waiting"
    told = [
        FarmMouths(
            model=model,
            waits=None if model.state == AnalysisState.RUNNING else why_waiting(model, among),
        )
        for model in rows
    ]
    return told, going_on.count()
