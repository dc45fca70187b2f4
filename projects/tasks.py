"""What the ``worker`` cluster does for this room."""

from __future__ import annotations

from projects.services import upkeep


def clean_media() -> str:
    cleaned = upkeep.clean_media()
    return f"{cleaned.partial_files} partial and {cleaned.stored_files} stored files removed"
