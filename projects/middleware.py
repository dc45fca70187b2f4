"""How the site says no: any ``HeyGemError`` that leaves a view becomes a page, a fragment or JSON with its status."""

from __future__ import annotations

import logging
from collections.abc import Callable
from urllib.parse import urlencode, urlsplit

from django.conf import settings
from django.db import OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render, resolve_url
from django.utils.http import url_has_allowed_host_and_scheme

from projects import throttling
from projects.problems import HeyGemError
from projects.services import disk

log = logging.getLogger("heygem.request")

RETRY_AFTER_S = "10"
"""When a program may ask again after the storage was away."""
MACHINE_PATHS = ("/uploads/", "/api/")
FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")
NUL = "\x00"
PROBLEM = "application/problem+json"


def wants_json(request: HttpRequest) -> bool:
    accept = request.headers.get("Accept", "")
    return request.path.startswith(MACHINE_PATHS) or ("application/json" in accept and "text/html" not in accept)


def answer(request: HttpRequest, error: HeyGemError) -> HttpResponse:
    """The error in the form that the asker understands."""
    if wants_json(request):
        headers = {"WWW-Authenticate": "Bearer"} if error.problem.status == 401 else {}
        return JsonResponse(error.as_problem(), status=error.problem.status, content_type=PROBLEM, headers=headers)
    problem = {"code": error.code, "sentence": error.sentence, "remedy": error.remedy}
    if request.headers.get("HX-Request"):
        toast = {"sentence": error.sentence, "remedy": error.remedy, "level": "error"}
        response = render(request, "components/toast.html", toast, status=error.problem.status)
        response["HX-Retarget"], response["HX-Reswap"] = "#toasts", "beforeend"
        return response
    context = {"problem": problem, "back": came_from(request)}
    return render(request, "projects/problem.html", context, status=error.problem.status)


def came_from(request: HttpRequest) -> str:
    """The address of the page of this site whose form was sent, to go back to; empty when there is none."""
    page = request.headers.get("Referer", "")
    is_ours = url_has_allowed_host_and_scheme(page, {request.get_host()}, request.is_secure())
    return page if request.method == "POST" and is_ours and urlsplit(page).path != request.path else ""


def _names_nul(request: HttpRequest) -> bool:
    """Whether an address or a form holds what PostgreSQL keeps nowhere: nothing can be called so. (What programs send
    as JSON is checked field by field.)"""
    if NUL in request.path:
        return True
    if wants_json(request):
        return False
    if "%00" in request.META.get("QUERY_STRING", ""):
        return True
    return request.content_type in FORMS and any(NUL in text for texts in request.POST.lists() for text in texts[1])


class Problems:
    """Also tells programs what they may still ask, and turns the redirect of a signed-out fragment into one of the
    whole page: a sign-in form inside a card helps nobody."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = answer(request, HeyGemError("not_found")) if _names_nul(request) else self.get_response(request)
        throttling.tell(request, response)
        if response.status_code == 503:
            response.setdefault("Retry-After", RETRY_AFTER_S)
        sign_in = resolve_url(settings.LOGIN_URL)
        if request.headers.get("HX-Request") and response.status_code == 302:
            if urlsplit(response["Location"]).path != sign_in:
                return response
            shown = urlsplit(request.headers.get("HX-Current-URL", "/"))
            back = shown.path + (f"?{shown.query}" if shown.query else "")
            return HttpResponse(status=204, headers={"HX-Redirect": f"{sign_in}?{urlencode({'next': back})}"})
        return response

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if isinstance(exception, OSError | OperationalError) and disk.is_full(exception):
            log.error("the disk is full: %s", exception)
            exception = HeyGemError("no_room")
        return answer(request, exception) if isinstance(exception, HeyGemError) else None
