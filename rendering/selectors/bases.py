"""What a page and a program are told of a team's own base model."""

from __future__ import annotations

from dataclasses import dataclass

from projects.models import AnalysisState, Team, TeamBase
from rendering.execution.catalogue import BASE_MIN_PRESENTERS, BASE_MIN_SPEECH_S
from rendering.selectors.boards import problem_view
from rendering.selectors.shapes import ProblemView
from rendering.services import bases, mouths
from rendering.services.bases import Material


@dataclass(frozen=True, kw_only=True)
class Learning:
    """Whether a team learns from its footage, what is in use, what is being made, and what there is to learn from."""

    team: Team
    learns: bool
    current: TeamBase | None
    """In use for new renders; None: the built-in one is."""
    newest: TeamBase | None
    """The last that was asked for, whatever became of it."""
    material: Material
    least_presenters: int = BASE_MIN_PRESENTERS
    least_speech_s: float = BASE_MIN_SPEECH_S

    @property
    def being_made(self) -> TeamBase | None:
        return self.newest if self.newest is not None and self.newest.is_being_made else None

    @property
    def problem(self) -> ProblemView | None:
        """Why the last one came to nothing."""
        if self.newest is None or self.newest.state != AnalysisState.REFUSED:
            return None
        return problem_view(self.newest.error_code)

    @property
    def note_level(self) -> str:
        """That it did not pay, or was stopped, is no fault."""
        is_fault = self.newest is not None and self.newest.error_code not in (bases.NO_GAIN, "cancelled")
        return "warning" if is_fault else "info"

    @property
    def presenters(self) -> int:
        return self.material.presenters

    @property
    def speech_s(self) -> float:
        return round(self.material.speech_s, 1)

    @property
    def is_enough(self) -> bool:
        return self.material.is_enough

    @property
    def marks(self) -> list[str]:
        """They change with everything that is shown."""
        newest = self.newest
        made = [f"{newest.pk}:{newest.state}:{newest.stage}:{newest.progress}"] if newest is not None else []
        return [str(self.learns), f"{self.presenters}:{self.speech_s}", *made]


def on_the_farm(limit: int) -> tuple[list[TeamBase], int]:
    """For operators: what is being learnt, then what waits, of all teams; and how many there are. Two queries."""
    going_on = TeamBase.objects.filter(state__in=mouths.BEING_MADE)
    return list(going_on.select_related("team").order_by("state", "pk")[:limit]), going_on.count()


def learning(team: Team) -> Learning:
    """Three queries."""
    return Learning(
        team=team,
        learns=team.learns,
        current=bases.current(team),
        newest=TeamBase.objects.filter(team=team).order_by("-pk").first(),
        material=bases.material_of(team),
    )
