"""How HeyGem says no: one exception for each kind of refusal, with the code and the words of the answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Problem:
    """A refusal (RFC 9457). ``title`` is what happened, ``detail`` what to do, ``errors`` the fields at fault."""

    code: str
    title: str
    detail: str
    status: int
    errors: Mapping[str, object] = field(default_factory=dict)


class HeyGemError(Exception):
    """Anything that went wrong."""


class Unreachable(HeyGemError):
    """Nothing answers, or the line broke too often."""


class Damaged(HeyGemError):
    """What was downloaded is not what was promised."""


class TimedOut(HeyGemError):
    """What was waited for did not happen in time."""


class Refused(HeyGemError):
    """The site said no, in words. ``code`` is of its catalogue."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        super().__init__(f"{problem.title} {problem.detail}".strip())

    @property
    def code(self) -> str:
        return self.problem.code

    @property
    def status(self) -> int:
        return self.problem.status


class Invalid(Refused):
    """400, 413, 415, 422: the request itself."""


class SignedOut(Refused):
    """401: the token is missing, unknown, withdrawn or has expired."""


class NotAllowed(Refused):
    """403: the role or the token's scope is too small."""


class NotFound(Refused):
    """404: not there, or not for you."""


class Conflict(Refused):
    """409: it cannot be done now."""


class TooMany(Refused):
    """429: too often, for longer than the client is willing to wait."""


class Broken(Refused):
    """5xx: the site failed."""


KINDS: dict[int, type[Refused]] = {401: SignedOut, 403: NotAllowed, 404: NotFound, 409: Conflict, 429: TooMany}


def refusal(problem: Problem) -> Refused:
    """The exception for a problem."""
    kind = KINDS.get(problem.status, Broken if problem.status >= 500 else Invalid)
    return kind(problem)
