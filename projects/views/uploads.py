"""Resumable uploads: the tus 1.0 core with its creation and termination extensions (https://tus.io).

``POST /uploads/`` with ``Upload-Length`` and ``Upload-Metadata`` (filename, purpose, team, and where it is to go:
presenter, script, language, project) answers 201 with the ``Location`` to ``PATCH``. The answer to the last ``PATCH``
says in ``HeyGem-Created`` where the new thing is shown and in ``HeyGem-Created-Id`` what its public id is.

Where files are kept in object storage the 201 also names ``HeyGem-Parts``: ``GET`` it for the addresses to which the
pieces are ``PUT`` without passing through the site, again until none is missing, and ``POST`` to it in the end.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from dataclasses import asdict
from functools import wraps
from typing import Concatenate, ParamSpec

from django.contrib.auth.models import User
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse, UnreadablePostError
from django.urls import reverse

from projects import access
from projects.models import AudioTake, Footage, Role, Upload
from projects.problems import HeyGemError
from projects.services import keyed_requests, uploads
from projects.signing_in import refused, token_or_session

P = ParamSpec("P")
VERSION = "1.0.0"
CONTENT = "application/offset+octet-stream"
SILENCE_S = 15
"""A line that brings nothing for so long is broken: the browser tries again for about half a minute."""


def tus(
    *methods: str,
) -> Callable[
    [Callable[Concatenate[HttpRequest, P], HttpResponse]], Callable[Concatenate[HttpRequest, P], HttpResponse]
]:
    """Method, sign-in and, but for ``OPTIONS``, protocol version are checked; every answer names the version."""

    def decorate(
        view: Callable[Concatenate[HttpRequest, P], HttpResponse],
    ) -> Callable[Concatenate[HttpRequest, P], HttpResponse]:
        @wraps(view)
        def wrapped(request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
            try:
                _check(request, methods)
                response = view(request, *args, **kwargs)
            except Http404:
                response = refused(request, HeyGemError("not_found"))
            except HeyGemError as error:
                response = refused(request, error)
                if error.problem.status == 405:
                    response["Allow"] = ", ".join(methods)
            response["Tus-Resumable"] = response["Tus-Version"] = VERSION
            response["Cache-Control"] = "no-store"
            return response

        return wrapped

    return decorate


def _check(request: HttpRequest, methods: tuple[str, ...]) -> None:
    if request.method not in methods:
        raise HeyGemError("bad_method")
    if not request.user.is_authenticated:
        raise HeyGemError("signed_out")
    if request.method != "OPTIONS" and request.headers.get("Tus-Resumable") != VERSION:
        raise HeyGemError("bad_tus_version")


def metadata(header: str) -> dict[str, str]:
    """``filename d29ybGQ=,purpose Zm9v`` -> names and UTF-8 values. Raises ``HeyGemError('bad_upload')``."""
    values: dict[str, str] = {}
    for pair in filter(None, (part.strip() for part in header.split(","))):
        key, _, value = pair.partition(" ")
        try:
            values[key] = base64.b64decode(value, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError) as error:
            raise HeyGemError("bad_upload") from error
    return values


def _number(request: HttpRequest, name: str) -> int:
    value = request.headers.get(name, "")
    if not (value.isascii() and value.isdigit() and len(value) < 16):
        raise HeyGemError("bad_upload")
    return int(value)


def _user(request: HttpRequest) -> User:
    assert isinstance(request.user, User)  # noqa: S101 - ``tus`` lets nobody else in
    return request.user


@token_or_session
@tus("OPTIONS", "POST")
def start(request: HttpRequest) -> HttpResponse:
    if request.method == "OPTIONS":
        largest = max(uploads.kind_of(purpose).limit for purpose in Upload.Purpose.values)
        headers = {"Tus-Version": VERSION, "Tus-Extension": "creation,termination", "Tus-Max-Size": str(largest)}
        return HttpResponse(status=204, headers=headers)
    made = keyed_requests.once(
        actor=_user(request),
        key=keyed_requests.key_of(request.headers),
        address=f"POST {request.path}",
        body="\n".join(request.headers.get(name, "") for name in ("Upload-Length", "Upload-Metadata")).encode(),
        make=lambda: keyed_requests.Answer(201, _begin(request)),
    )
    replayed = {"Idempotency-Replayed": "true"} if made.is_replayed else {}
    return HttpResponse(status=made.status, headers=made.body | replayed)


def _begin(request: HttpRequest) -> dict[str, str]:
    """The addresses of a new upload."""
    asked = metadata(request.headers.get("Upload-Metadata", ""))
    size = _number(request, "Upload-Length")
    team = access.get_team_for_user(request.user, asked.pop("team", ""), need=Role.CREATOR)
    purpose = asked.pop("purpose", "")
    if purpose not in Upload.Purpose.values:
        raise HeyGemError("bad_upload")
    name = asked.pop("filename", "") or asked.pop("name", "")
    upload = uploads.start(actor=_user(request), team=team, purpose=purpose, name=name, size=size, target=asked)
    addresses = {"Location": reverse("projects:upload", args=[upload.public_id])}
    if upload.multipart:
        addresses["HeyGem-Parts"] = reverse("projects:upload_parts", args=[upload.public_id])
    return addresses


@token_or_session
@tus("HEAD", "PATCH", "DELETE", "OPTIONS")
def upload(request: HttpRequest, public_id: str) -> HttpResponse:
    if request.method == "OPTIONS":
        return HttpResponse(status=204, headers={"Tus-Version": VERSION, "Tus-Extension": "creation,termination"})
    found = access.get_upload_for_user(request.user, public_id)
    if request.method == "DELETE":
        uploads.abandon(upload=found)
        return HttpResponse(status=204)
    if request.method == "HEAD":
        headers = {"Upload-Offset": str(found.offset), "Upload-Length": str(found.size)}
        return HttpResponse(status=200, headers=headers | _created(uploads.created(found)))
    return _append(request, found)


@token_or_session
@tus("GET", "POST")
def parts(request: HttpRequest, public_id: str) -> HttpResponse:
    """``GET``: what is to be sent straight to the storage next. ``POST``: everything has been."""
    found = access.get_upload_for_user(request.user, public_id)
    if request.method == "GET":
        next_ones, missing = uploads.missing_parts(upload=found)
        return JsonResponse({"missing": missing, "parts": [asdict(part) for part in next_ones]})
    made = _created(uploads.finish(upload=found))
    return JsonResponse({"url": made["HeyGem-Created"], "id": made["HeyGem-Created-Id"]}, status=201, headers=made)


def _append(request: HttpRequest, found: Upload) -> HttpResponse:
    if request.content_type != CONTENT:
        raise HeyGemError("bad_content")
    offset = _number(request, "Upload-Offset")
    made = None
    if found.finished_at is None:
        if (line := request.META.get("gunicorn.socket")) is not None:
            line.settimeout(SILENCE_S)  # or a lost phone would hold the file, and a thread, for hours
        try:
            uploads.append(upload=found, offset=offset, source=request)
        except UnreadablePostError:  # the connection broke: what came before counts, nobody hears the answer
            return HttpResponse(status=400, headers={"Upload-Offset": str(found.offset)})
    elif offset != found.size:
        raise HeyGemError("upload_conflict")
    if found.offset == found.size:
        made = uploads.finish(upload=found)
    return HttpResponse(status=204, headers={"Upload-Offset": str(found.offset)} | _created(made))


def _created(made: Footage | AudioTake | None) -> dict[str, str]:
    if made is None:
        return {}
    if isinstance(made, Footage):
        url = reverse("projects:presenter", args=[made.presenter.public_id])
    else:
        url = reverse("projects:script", args=[made.script_version.script.public_id])
    return {"HeyGem-Created": url, "HeyGem-Created-Id": made.public_id}
