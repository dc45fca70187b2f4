from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from rendering import workers


class Command(BaseCommand):
    help = "Whether this machine's clusters take the work that waits for them; status 1 names those that do not."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", nargs="?", choices=workers.CLUSTERS, help="default: both")

    def handle(self, *, name: str | None, **_options: Any) -> None:
        try:
            stuck = workers.stuck_clusters()
        except DatabaseError:  # a new start of the cluster would not bring it back
            self.stderr.write("The database does not answer.")
            return
        if found := [cluster for cluster in stuck if name in (None, cluster)]:
            raise CommandError(f"Tickets wait beside idle workers, start again: {', '.join(found)}")
