"""What is at no address, or went wrong: a page for people, a problem for programs."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.views import defaults
from django.views.csrf import csrf_failure

from projects.middleware import answer, wants_json
from projects.problems import HeyGemError


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    if wants_json(request):
        return answer(request, HeyGemError("bad_request"))
    return defaults.bad_request(request, exception)


def forged(request: HttpRequest, reason: str = "") -> HttpResponse:
    """A change that came without the page's own token (``CSRF_FAILURE_VIEW``)."""
    if wants_json(request):
        return answer(request, HeyGemError("not_from_page" if request.user.is_authenticated else "signed_out"))
    return csrf_failure(request, reason)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    if wants_json(request):
        return answer(request, HeyGemError("not_found"))
    return defaults.page_not_found(request, exception)


def server_error(request: HttpRequest) -> HttpResponse:
    if wants_json(request):
        return answer(request, HeyGemError("server_error"))
    return defaults.server_error(request)
