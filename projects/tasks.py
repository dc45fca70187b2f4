"""What the ``worker`` cluster does for this room."""

from __future__ import annotations

from projects.services import upkeep


def clean_media() -> str:
    return str(upkeep.clean_media())
