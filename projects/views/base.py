"""What the library's pages share."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

from django.contrib.auth.models import User
from django.core.paginator import Page, Paginator
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme

from projects import access
from projects.context import may, remember_team
from projects.models import Team

UNDO = "undo"


def signed_in(request: HttpRequest) -> User:
    """The user of a view behind ``login_required``."""
    assert isinstance(request.user, User)  # noqa: S101 - the decorator lets nobody else in
    return request.user


def page(request: HttpRequest, template_name: str, team: Team, /, **context: Any) -> HttpResponse:
    """A page of ``team``'s, with the reader's role and, once, the offer to undo what was just done."""
    remember_team(request, team)
    role = access.role_of(request.user, team)
    undo = request.session.pop(UNDO, None)
    return render(request, template_name, {"team": team, "role": role, "may": may(role), "undo": undo, **context})


def fragment(
    request: HttpRequest, template_name: str, team: Team, marks: Iterable[str], /, **context: Any
) -> HttpResponse:
    """A part of a page that asks for itself again: 204 while it still shows what is.

    ``marks`` change with what is shown; the page asks with ``?seen=`` and their :func:`mark_of`, given it as ``mark``.
    """
    mark = mark_of(marks)
    if request.GET.get("seen") == mark:
        return HttpResponse(status=204)
    role = access.role_of(request.user, team)
    return render(request, template_name, {"team": team, "role": role, "may": may(role), **context, "mark": mark})


def mark_of(marks: Iterable[str]) -> str:
    """Changes whenever anything shown changes."""
    return hashlib.sha256("\n".join(marks).encode()).hexdigest()[:16]


def number(text: str | None) -> int:
    """A whole number from an address; nonsense is 0."""
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 19 else 0


def numbered(request: HttpRequest, rows: QuerySet[Any], *, size: int) -> Page[Any]:
    """The page of ``rows`` that ``?page=`` asks for; nonsense gets the nearest there is."""
    return Paginator(rows, size).get_page(request.GET.get("page"))


def offer_undo(request: HttpRequest, *, sentence: str, url: str) -> None:
    """The next page offers to post to ``url``, which takes back what was just done."""
    request.session[UNDO] = {"sentence": sentence, "url": url}


def back(request: HttpRequest, default: str) -> HttpResponse:
    """To where the form asked to return (``next``, this site only), else ``default``."""
    target = request.POST.get("next", "")
    if target and url_has_allowed_host_and_scheme(target, {request.get_host()}, request.is_secure()):
        return redirect(target)
    return redirect(default)
