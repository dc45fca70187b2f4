"""What the ``worker`` cluster does for this room."""

from __future__ import annotations

from projects.services import deliveries, upkeep


def clean_media() -> str:
    return str(upkeep.clean_media())


def deliver() -> str:
    """Carry what is due to the webhooks."""
    return deliveries.run_ticket()
