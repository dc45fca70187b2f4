"""Who asks: a program with an API token, or a browser with its session."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.views.decorators.csrf import csrf_exempt, csrf_protect

from projects import throttling
from projects.middleware import answer
from projects.models import ApiToken
from projects.problems import HeyGemError
from projects.services.tokens import open_token

P = ParamSpec("P")
SAFE = ("GET", "HEAD", "OPTIONS")


def token_of(request: HttpRequest) -> ApiToken | None:
    """The token of ``Authorization: Bearer``; None for a browser. Raises ``bad_token``, ``token_reads_only``."""
    kind, _, text = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() != "bearer":
        return None
    token = open_token(text.strip())
    if request.method not in SAFE and not token.may_write:
        raise HeyGemError("token_reads_only")
    return token


def refused(request: HttpRequest, error: HeyGemError) -> HttpResponse:
    """Also counts bad tokens against the address they come from."""
    if error.problem.status == 401:
        try:
            throttling.charge(request, None)
        except HeyGemError as too_many:
            error = too_many
    return answer(request, error)


def token_or_session(
    view: Callable[Concatenate[HttpRequest, P], HttpResponseBase],
) -> Callable[Concatenate[HttpRequest, P], HttpResponseBase]:
    """A program signs in with its token. Only browsers send cookies by themselves, so only they are asked for the
    page's own token as well."""
    from_browser = csrf_protect(view)

    @csrf_exempt
    @wraps(view)
    def wrapped(request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        try:
            token = token_of(request)
            if token is None:
                return from_browser(request, *args, **kwargs)
            throttling.charge(request, token.user)
        except HeyGemError as error:
            return refused(request, error)
        request.user = token.user
        return view(request, *args, **kwargs)

    return wrapped
