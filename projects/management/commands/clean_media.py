from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from projects.services import upkeep


class Command(BaseCommand):
    help = "Removes uploads nobody went on with, and stored files that nothing points at any more."

    def handle(self, *args: Any, **options: Any) -> None:
        cleaned = upkeep.clean_media()
        self.stdout.write(f"Removed {cleaned.partial_files} partial and {cleaned.stored_files} stored files.")
