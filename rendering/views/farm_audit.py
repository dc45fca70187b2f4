"""The audit log for operators: who did what in which team, when and why."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from projects.labels import ACTIONS
from projects.models import AuditEvent
from projects.views.base import numbered
from rendering import access
from rendering.selectors import audit as selectors

PAGE = 100
COLUMNS = ("when", "who", "action", "team", "subject", "name", "reason", "detail")
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""A cell that begins so would be run by a spreadsheet."""


@login_required
@require_safe
def farm_audit(request: HttpRequest) -> HttpResponse:
    """``action``, ``actor``, ``team``, ``subject``, ``since`` and ``until`` narrow the list."""
    access.require_operator(request.user)
    query = request.GET.copy()
    query.pop("page", None)
    context = {
        "page_obj": numbered(request, selectors.events(request.GET.dict()), size=PAGE),
        "actions": sorted(((action, str(label)) for action, label in ACTIONS.items()), key=lambda item: item[1]),
        "asked": request.GET.dict(),
        "query": query.urlencode(),
    }
    return render(request, "rendering/farm_audit.html", context)


class _Echo:
    def write(self, line: str) -> str:
        return line


@login_required
@require_safe
def farm_audit_csv(request: HttpRequest) -> StreamingHttpResponse:
    """The same, all of it, as a table for a spreadsheet."""
    access.require_operator(request.user)
    writer = csv.writer(_Echo())
    events = selectors.events(request.GET.dict()).iterator(chunk_size=1000)

    def lines() -> Iterator[str]:
        yield writer.writerow(COLUMNS)
        for event in events:
            yield writer.writerow([_tame(cell) for cell in _cells(event)])

    answer = StreamingHttpResponse(lines(), content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = 'attachment; filename="audit.csv"'
    return answer


def _cells(event: AuditEvent) -> tuple[str, ...]:
    detail: dict[str, Any] = dict(event.detail)
    reason = str(detail.pop("reason", ""))
    return (
        event.created_at.isoformat(),
        event.actor.email or event.actor.username if event.actor else "",
        event.action,
        event.team.name if event.team else "",
        event.subject,
        event.label,
        reason,
        json.dumps(detail, ensure_ascii=False) if detail else "",
    )


def _tame(cell: str) -> str:
    return f"'{cell}" if cell.startswith(FORMULA) else cell
