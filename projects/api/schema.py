"""How the API is described: what each address is asked, answers, and with which problems it refuses."""

from __future__ import annotations

import re
from typing import Any, Literal

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiParameter

from projects import problems
from projects.api.errors import ProblemSerializer
from projects.middleware import PROBLEM
from projects.problems import HeyGemError

VERBS = {
    "list": "List {things}",
    "retrieve": "Look at {a} {thing}",
    "create": "Make {a} {thing}",
    "partial_update": "Change {a} {thing}",
    "destroy": "Delete {a} {thing}",
    "archive": "Put {a} {thing} away",
    "restore": "Bring {a} {thing} back",
    "analyse": "Look at {a} {thing} again",
    "face": "Choose the presenter's face in {a} {thing}",
    "write": "Write the words of {a} {thing}",
    "versions": "List the words of {a} {thing}",
    "add": "Put presenters and scripts on the board of {a} {thing}",
    "remove": "Take presenters and scripts off the board of {a} {thing}",
    "cancel": "Cancel {a} {thing}",
    "retry": "Try {a} {thing} again",
    "hold": "Put {a} {thing} on hold",
    "release": "Take {a} {thing} off hold",
    "front": "Move {a} {thing} to the front of the team's line",
    "attempts": "List the tries of {a} {thing}, with their logs",
    "publish": "Publish {a} {thing}",
    "default": "Make {a} {thing} the default",
    "retry_failed": "Try the failed cells of {a} {thing} again",
    "cancel_work": "Cancel cells of {a} {thing}",
    "operate": "Act on {a} {thing}",
    "ping": "Ping {a} {thing}",
}
IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    {"type": "string", "maxLength": 200, "pattern": "^[ -~]*$"},
    OpenApiParameter.HEADER,
    description="Sent again within 24 hours with the same request, the first answer is given again.",
)
FILLED_IN = re.compile(r"%\((\w+)\)[sd]")
KEYED = ("bad_key", "key_in_flight", "key_reused")


class Schema(AutoSchema):
    """Reads ``asks``, ``refusals`` and ``made_once`` of the views (``projects.api.base.Asking``)."""

    @property
    def _action(self) -> str:
        return getattr(self.view, "action", "") or ""

    @property
    def _makes_once(self) -> bool:
        return self.method == "POST" and self._action in getattr(self.view, "made_once", ())

    def get_summary(self) -> str | None:
        known = VERBS.get(self._action)
        if known is None:
            return f"{self._action.replace('_', ' ').capitalize()}: {self._thing}" if self._action else None
        article = "an" if self._thing[0] in "aeiou" else "a"
        things = self.get_tags()[0].replace("_", " ")
        return known.format(a=article, thing=self._thing, things=things).replace(" a footage", " footage")

    @property
    def _thing(self) -> str:
        view: Any = self.view
        return str(getattr(view, "noun", "") or self.get_tags()[0].removesuffix("s"))

    def get_override_parameters(self) -> list[Any]:
        return [IDEMPOTENCY_KEY] if self._makes_once else []

    def get_request_serializer(self) -> Any:
        asks = getattr(self.view, "asks", None)
        if asks is None:
            return super().get_request_serializer()
        return asks.get(self._action)

    def refusals(self) -> list[str]:
        """Codes of the catalogue."""
        codes = ["too_many_requests"]
        is_open = not self.view.permission_classes or self.view.permission_classes[0].__name__ == "AllowAny"
        codes += [] if is_open else ["signed_out", "bad_token"]
        changes = self.method in ("POST", "PATCH", "DELETE", "PUT")
        body = changes and self.get_request_serializer() is not None
        if changes:
            codes += ["not_allowed", "token_reads_only"]
        if body:
            codes += ["bad_content", "body_too_large"]
        if body or self._get_filter_parameters() or self._get_pagination_parameters():
            codes.append("bad_request")
        if "{" in self.path or body:
            codes.append("not_found")
        codes += KEYED if self._makes_once else ()
        return [*codes, *getattr(self.view, "refusals", {}).get(self._action, ())]

    def _get_response_bodies(self, direction: Literal["request", "response"] = "response") -> dict[str, Any]:
        bodies = super()._get_response_bodies(direction)
        shape = self.resolve_serializer(ProblemSerializer, direction).ref
        by_status: dict[int, list[str]] = {}
        for code in dict.fromkeys(self.refusals()):
            by_status.setdefault(problems.get(code).status, []).append(code)
        for status, codes in sorted(by_status.items()):
            bodies[str(status)] = problem_response(shape, codes)
        return bodies


def problem_response(shape: dict[str, Any], codes: list[str]) -> dict[str, Any]:
    """An answer that refuses, with an example for each code."""
    told = {code: HeyGemError(code).as_problem() for code in codes}
    for problem in told.values():
        for part in ("title", "detail"):
            problem[part] = FILLED_IN.sub(r"{\1}", problem[part])
    examples = {code: {"value": problem} for code, problem in told.items()}
    lines = [f"`{code}`: {problem['title']}" for code, problem in told.items()]
    return {"content": {PROBLEM: {"schema": shape, "examples": examples}}, "description": "  \n".join(lines)}
