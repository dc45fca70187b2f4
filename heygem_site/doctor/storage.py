"""Where files are kept: written to, read from and removed from, for real."""

from __future__ import annotations

import secrets
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings

from heygem_site.doctor.findings import BAD, OK, WARN, Finding
from heygem_site.doctor.house import can_be_asked, hosts_heard
from projects.problems import HeyGemError
from projects.services import blobs

WORDS = b"written by heygem doctor\n"
KEY = "doctor"
PATIENCE_S = 5
REMEDIES = {
    "NoSuchBucket": "Make the bucket S3_BUCKET, or correct the name.",
    "404": "Make the bucket S3_BUCKET, or correct the name.",
    "AccessDenied": "Let the key's policy allow GetObject, PutObject, DeleteObject and ListBucket on the bucket.",
    "403": "S3_ACCESS_KEY and S3_SECRET_KEY are wrong, or may not use the bucket.",
    "InvalidAccessKeyId": "S3_ACCESS_KEY is not known there.",
    "SignatureDoesNotMatch": "S3_SECRET_KEY is wrong.",
    "EndpointConnectionError": "Start the storage, and check S3_ENDPOINT and the firewall between.",
}


def storage_works() -> Finding:
    """One small file there and back."""
    place = f"the bucket {settings.S3_BUCKET}" if settings.S3_BUCKET else str(settings.MEDIA_ROOT)
    key = f"{KEY}/{secrets.token_hex(8)}"
    try:
        with tempfile.TemporaryDirectory() as folder:
            held = Path(folder) / "held"
            held.write_bytes(WORDS)
            storage = blobs.storage()
            storage.put(held, key, "text/plain", lambda _done, _total: None)
            back = b"".join(storage.stream(key))
            storage.remove(key)
            left = storage.length(key)
    except (HeyGemError, OSError) as error:
        return Finding(BAD, f"storage: {place} cannot be used: {error}", _remedy(str(error)))
    if back != WORDS or left is not None:
        return Finding(BAD, f"storage: {place} gives back other bytes than it was given", "Look at the storage itself.")
    return Finding(OK, f"storage: {place} (written, read, removed)")


def _remedy(reason: str) -> str:
    for word, remedy in REMEDIES.items():
        if word in reason:
            return remedy
    if settings.S3_BUCKET:
        return "Check S3_ENDPOINT, S3_BUCKET and the keys."
    return "Change its owner to the user that runs the site, make room, or set MEDIA_ROOT."


def storage_is_shared() -> Iterator[Finding]:
    """Several machines need one storage."""
    if settings.S3_BUCKET or not can_be_asked() or len(hosts := hosts_heard()) < 2:
        return
    told = ", ".join(sorted(hosts))
    remedy = "MEDIA_ROOT must be one mount that all of them see; otherwise set S3_BUCKET."
    yield Finding(WARN, f"several machines ({told}) work for this site, with a folder as storage", remedy)


def browsers_reach_the_bucket() -> Iterator[Finding]:
    """The address that browsers are given answers, and lets this site's pages send to it (CORS)."""
    if not settings.S3_BUCKET:
        return
    for origin in settings.CSRF_TRUSTED_ORIGINS or [f"https://{name}" for name in settings.ALLOWED_HOSTS[:1]]:
        yield _preflight(origin)


def _preflight(origin: str) -> Finding:
    """What a browser asks before it sends a part of an upload."""
    address = f"{settings.S3_ORIGIN}/{settings.S3_BUCKET}/{KEY}"
    asked = urllib.request.Request(  # noqa: S310 - an address from the settings
        address, method="OPTIONS", headers={"Origin": origin, "Access-Control-Request-Method": "PUT"}
    )
    try:
        with urllib.request.urlopen(asked, timeout=PATIENCE_S) as answer:  # noqa: S310
            allowed = answer.headers.get("Access-Control-Allow-Origin")
    except urllib.error.HTTPError as error:
        allowed = error.headers.get("Access-Control-Allow-Origin")
    except OSError as error:
        reason = getattr(error, "reason", error)
        remedy = "Browsers fetch and send there: set S3_PUBLIC_ENDPOINT to an address that they reach."
        return Finding(BAD, f"{settings.S3_ORIGIN} does not answer: {reason}", remedy)
    if allowed not in {"*", origin}:
        remedy = f"Let the bucket's CORS rules allow PUT, GET and HEAD from {origin}."
        return Finding(BAD, f"browsers on {origin} may not send to the bucket", remedy)
    return Finding(OK, f"browsers on {origin} may send to the bucket")
