from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.db.models import Sum
from django.template.defaultfilters import filesizeformat

from projects.services import blobs
from rendering.selectors import retention
from rendering.services import upkeep


class Command(BaseCommand):
    help = (
        "Does the daily housekeeping now: removes what the teams' rules of retention let go, analyses and previews that"
        " are too much, uploads nobody went on with and stored files nothing points at."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="only say what would go")
        parser.add_argument("--list", action="store_true", help="with --dry-run: name every single thing")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["dry_run"]:
            self._tell(every=options["list"])
        else:
            self.stdout.write(str(upkeep.keep_house()))

    def _tell(self, *, every: bool) -> None:
        plan = retention.plan()
        for line in plan.lines:
            why = f"older than {line.days} days" if line.days else f"to make room ({line.why.value})"
            self.stdout.write(
                f"{line.team}: {line.part.value}, {why}: {line.count}, {filesizeformat(line.size)}".replace("\xa0", " ")
            )
            for thing in line.things if every else ():
                self.stdout.write(f"    {thing.since:%Y-%m-%d} {thing.what}, {thing.size} bytes")
        unused = blobs.unreferenced()
        size = unused.aggregate(size=Sum("size"))["size"] or 0
        freed = filesizeformat(plan.size + size).replace("\xa0", " ")
        self.stdout.write(
            f"Nothing was removed. {len(plan.things)} things would go by rule, and {unused.count()} stored files that"
            f" nothing points at: {freed}."
        )
