"""Asks the API everything its description allows, and much that it does not (schemathesis), in this process.

What each answer is held to: no 5xx, a documented status, the documented shape and media type, bad data refused, good
data not refused for its form, methods that do not exist refused, credentials insisted on; and :func:`no_leak`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import schemathesis
import yaml
from django.core.handlers.wsgi import WSGIHandler
from schemathesis import engine
from schemathesis.core.failures import Failure
from schemathesis.engine import events
from schemathesis.transport.wsgi import WSGI_TRANSPORT, WSGITransport

SNAPSHOT = Path(__file__).resolve().parents[2] / "docs" / "openapi.yaml"
CHECKS = (
    *("not_a_server_error", "status_code_conformance", "content_type_conformance", "response_schema_conformance"),
    *("response_headers_conformance", "negative_data_rejection", "unsupported_method", "allow_header_conformance"),
    *("missing_required_header", "ignored_auth", "no_leak"),
)
REFUSALS = [400, 401, 403, 404, 405, 409, 412, 413, 415, 422]
USUAL = 3
"""Of four requests so many name things that are there; the others whatever was made up."""


@dataclass
class Asker:
    """Who asks, with what they may not learn."""

    headers: dict[str, str]
    things: Mapping[str, str]
    """Real ids by the first word of an address, and by the fields of bodies and queries."""
    secrets: frozenset[str] = frozenset()
    """Ids, names and hashes of a team they do not belong to."""
    calls: int = 0


@dataclass
class Tally:
    """What a run did and found."""

    operations: set[str] = field(default_factory=set)
    statuses: Counter[int] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)

    @property
    def cases(self) -> int:
        return self.statuses.total()


class InProcess(WSGITransport):
    """Checks that ask once more pass on what only a network has."""

    def send(self, case: Any, *, session: Any = None, **kwargs: Any) -> Any:
        if session is None:
            for name in ("max_redirects", "verify", "cert", "proxies"):
                kwargs.pop(name, None)
        return super().send(case, session=session, **kwargs)


asking: Asker | None = None
"""Hooks and checks of schemathesis are global; one run at a time."""


@schemathesis.check
def no_leak(_context: Any, response: Any, case: Any) -> None:
    """No answer holds anything of a team the asker does not belong to, unless they said it themselves."""
    if asking is None or not asking.secrets:
        return
    told = response.content.decode("utf-8", "replace") + str(response.headers)
    said = f"{case.path_parameters} {case.query} {case.body} {case.headers} {response.request.url}"
    for secret in asking.secrets:
        if secret in told and secret not in said:
            raise Failure(operation=case.operation.label, title="Leak", message=f"{secret!r} of another team is told")


@schemathesis.serializer("application/offset+octet-stream")
def _as_it_is(_context: Any, value: Any) -> dict[str, Any]:
    return {"data": value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")}


@schemathesis.hook
def before_call(_context: Any, case: Any, _kwargs: Any) -> None:
    """Most requests name things that are there."""
    if asking is None:
        return
    asking.calls += 1
    if asking.calls % (USUAL + 1) == 0:
        return
    resource = case.operation.path.split("/{")[0].split("/")[-1]
    for name in case.path_parameters or ():
        if resource in asking.things:
            case.path_parameters[name] = asking.things[resource]
    if isinstance(case.body, dict):
        for name in case.body.keys() & asking.things.keys():
            real = asking.things[name]
            case.body[name] = [real] if isinstance(case.body[name], list) else real
    for name in (case.query or {}).keys() & asking.things.keys():
        case.query[name] = asking.things[name]


def fuzz(asker: Asker, *, examples: int, tag: str = "", wrongly: bool = True, seed: int) -> Tally:
    """Every operation of the kept description, or those of ``tag``: its examples, its borders, then ``examples``
    made-up requests each; ``wrongly`` also with bad data, and with methods that an address does not have.
    """
    global asking
    asking = asker
    config = schemathesis.Config.from_dict(
        {
            "seed": seed,
            "headers": asker.headers,
            "continue-on-failure": True,
            "suppress-health-check": ["all"],
            "generation": {
                **{
                    "deterministic": True,
                    "database": "none",
                    "no-shrink": True,
                    "mode": "all" if wrongly else "positive",
                },
                "allow-extra-parameters": False,  # what is not known is ignored, as everywhere
            },
            "checks": {"enabled": False}
            | {name: {"enabled": True} for name in CHECKS}
            | {
                name: {"enabled": True, "expected-statuses": REFUSALS}
                for name in ("negative_data_rejection", "missing_required_header")
            },
            "phases": {
                "fuzzing": {
                    "enabled": examples > 0,
                    "generation": {"max-examples": examples, "database": "none"},
                    "error-feedback": {"enabled": False},  # reads ``errors`` for a list of missing fields
                },
                "coverage": {} if wrongly else {"unexpected-methods": []},
                "stateful": {"enabled": False},
            },
        }
    )
    schema = schemathesis.openapi.from_dict(
        yaml.load(SNAPSHOT.read_text(encoding="utf-8"), yaml.CSafeLoader), config=config
    )
    schema.app = WSGIHandler()
    WSGI_TRANSPORT.__class__ = InProcess
    asked = schema.include(tag=tag) if tag else schema
    tally = Tally()
    try:
        for event in engine.from_schema(asked).execute():
            _note(event, tally)
    finally:
        asking = None
    return tally


def _note(event: Any, tally: Tally) -> None:
    if isinstance(event, events.NonFatalError | events.FatalError):
        tally.findings.append(f"{getattr(event, 'label', '')}: {getattr(event, 'info', event)}")
    if not isinstance(event, events.ScenarioFinished):
        return
    tally.operations.add(event.recorder.label)
    for interaction in event.recorder.interactions.values():
        if interaction.response is not None:
            tally.statuses[interaction.response.status_code] += 1
    for case_id, checks in event.recorder.checks.items():
        for check in checks:
            if check.failure_info is not None:
                failure, code = check.failure_info.failure, check.failure_info.code_sample
                answer = event.recorder.interactions[case_id].response
                body = answer.content[:300] if answer else b""
                tally.findings.append(f"{event.recorder.label}: {check.name}: {failure.message}\n{code}\n{body!r}")
