from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from projects.services import upkeep


class Command(BaseCommand):
    help = "Removes uploads nobody went on with, stored files nothing points at and analyses of nothing."

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(str(upkeep.clean_media()))
