"""Stored files, sent in part or whole: the one door to the media folder, and it asks who is there."""

from __future__ import annotations

import re
from email.utils import formatdate
from urllib.parse import quote

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils.http import content_disposition_header, parse_etags, parse_http_date_safe
from django.views.decorators.http import require_safe

from projects import access
from projects.models import MediaBlob
from projects.services import blobs
from projects.signing_in import token_or_session

X_ACCEL_PREFIX = "/internal-media/"
"""The nginx location (``internal; alias <MEDIA_ROOT>/;``) that sends the files when ``X_ACCEL`` is set."""

REDIRECTED_S = 600
"""Seconds for which a browser may go to the same signed address again: players ask for many ranges."""
SHOWN = re.compile(r"(video|audio)/[\w.+-]+|image/(jpeg|png|webp)")
"""What a browser may show in place; everything else is only ever saved."""
RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)


class UnsatisfiableRangeError(Exception):
    """The range begins beyond the end of the file."""


def byte_range(header: str, size: int) -> tuple[int, int] | None:
    """First and last byte (inclusive) of a single RFC 9110 range; None when the header is to be ignored.

    Several ranges at once are ignored, as the RFC allows: no player asks for them.
    """
    found = RANGE.fullmatch(header.strip())
    if found is None or found.group() == "bytes=-":
        return None
    first, last = found.groups()
    if not first:  # the last n bytes
        if int(last) == 0:
            raise UnsatisfiableRangeError
        return max(0, size - int(last)), size - 1
    if last and int(last) < int(first):
        return None
    if int(first) >= size:
        raise UnsatisfiableRangeError
    return int(first), min(int(last), size - 1) if last else size - 1


def _wanted(request: HttpRequest, blob: MediaBlob, etag: str) -> tuple[int, int] | None:
    header = request.headers.get("Range")
    if header is None or request.method != "GET":
        return None
    if condition := request.headers.get("If-Range"):
        if condition.startswith(('"', "W/")):
            if condition != etag:  # weak tags never match here
                return None
        elif parse_http_date_safe(condition) != int(blob.created_at.timestamp()):
            return None
    return byte_range(header, blob.size)


def _saved(request: HttpRequest, blob: MediaBlob) -> bool:
    """Whether the browser is to save it rather than to show it."""
    return "download" in request.GET or not SHOWN.fullmatch(blob.content_type)


def _signed(request: HttpRequest, blob: MediaBlob, name: str) -> HttpResponse | None:
    """The way to a storage that sends the file, and any range of it, itself. The address lets anybody in for an hour,
    so it is given only to who may fetch, and kept by their browser for less than that."""
    url = blobs.signed_url(blob, name, save=_saved(request, blob))
    if url is None:
        return None
    return HttpResponse(
        status=302,
        headers={
            "Location": url,
            "Cache-Control": f"private, max-age={REDIRECTED_S}",
            "Referrer-Policy": "no-referrer",
        },
    )


def _headers(request: HttpRequest, blob: MediaBlob, name: str, etag: str) -> dict[str, str]:
    return {
        "Content-Type": blob.content_type,
        "Content-Disposition": content_disposition_header(_saved(request, blob), name) or "inline",
        "Accept-Ranges": "bytes",
        "ETag": etag,
        "Last-Modified": formatdate(blob.created_at.timestamp(), usegmt=True),
        # Content never changes under its address; what may change is who may see it.
        "Cache-Control": "private, max-age=600",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "default-src 'none'; media-src 'self'; img-src 'self'; style-src 'unsafe-inline'",
    }


@token_or_session
@login_required
@require_safe
def media(request: HttpRequest, public_id: str, name: str) -> HttpResponseBase:
    """``GET`` with single ranges (206, 416), ``If-Range`` and ``If-None-Match``; ``HEAD``. ``?download`` saves."""
    blob = access.get_blob_for_user(request.user, public_id)
    if blob.content_type.startswith("video/"):
        blobs.note_use(blob)  # it may be a preview
    etag = f'"{blob.sha256}"'
    headers = _headers(request, blob, name, etag)
    tags = parse_etags(request.headers.get("If-None-Match", ""))
    if "*" in tags or etag in {tag.removeprefix("W/") for tag in tags}:
        return HttpResponse(status=304, headers={k: headers[k] for k in ("ETag", "Cache-Control", "Last-Modified")})
    if request.method == "GET" and (elsewhere := _signed(request, blob, name)) is not None:
        return elsewhere
    if settings.X_ACCEL and not settings.S3_BUCKET:  # nginx reads Range itself
        return HttpResponse(headers={**headers, "X-Accel-Redirect": X_ACCEL_PREFIX + quote(blob.path)})
    if not blobs.is_stored(blob):
        raise Http404
    try:
        wanted = _wanted(request, blob, etag)
    except UnsatisfiableRangeError:
        return HttpResponse(status=416, headers={"Content-Range": f"bytes */{blob.size}", "Accept-Ranges": "bytes"})
    first, last = wanted or (0, blob.size - 1)
    headers["Content-Length"] = str(last - first + 1)
    if request.method == "HEAD":
        return HttpResponse(headers=headers)
    if wanted:
        headers["Content-Range"] = f"bytes {first}-{last}/{blob.size}"
    return StreamingHttpResponse(blobs.read(blob, first, last), status=206 if wanted else 200, headers=headers)
