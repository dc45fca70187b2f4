"""Where stored files are fetched from, under the names people know."""

from __future__ import annotations

from django.urls import reverse

from projects.models import MediaBlob


def media_url(blob: MediaBlob, name: str, *, download: bool = False) -> str:
    """The access-checked address of ``blob``; ``name`` is what it is called when saved."""
    url = reverse("projects:media", args=[blob.public_id, name.replace("/", "_") or "file"])
    return f"{url}?download=1" if download else url
