"""What keeps the disk from filling: run daily by the ``worker`` cluster, or by hand (``manage.py clean_media``)."""

from __future__ import annotations

from dataclasses import dataclass

from projects.services import blobs, deliveries, keyed_requests, rates, uploads, work


@dataclass(frozen=True)
class Cleaned:
    partial_files: int
    stored_files: int
    left_over: int

    def __str__(self) -> str:
        files = f"{self.partial_files} partial files, {self.stored_files} stored files"
        return f"Removed {files} and {self.left_over} folders of killed workers."


def clean_media() -> Cleaned:
    """Remove uploads nobody went on with, stored files that nothing points at any more, and half-made work."""
    keyed_requests.clean()
    deliveries.clean()
    rates.clean()
    return Cleaned(
        partial_files=uploads.clean_incoming(),
        stored_files=blobs.delete_unreferenced(),
        left_over=work.sweep(),
    )
