from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from rendering.services import storage


class Command(BaseCommand):
    help = (
        "Compares the database with the storage, both ways: stored files that no row knows, and rows whose file is not"
        " there or not whole. What is younger than a day is not looked at. Ends with 1 when something is wrong."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--mend",
            action="store_true",
            help="remove files that no row knows; make lost analyses and pictures again",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["mend"]:
            found, waiting = storage.mend()
        else:
            found, waiting = storage.check(), 0
        for orphan in found.orphan_list:
            self.stdout.write(f"no row knows {orphan.key} ({orphan.size} bytes, {orphan.modified:%Y-%m-%d})")
        if found.orphans > len(found.orphan_list):
            self.stdout.write(f"... and {found.orphans - len(found.orphan_list)} more")
        for lost in found.lost_list:
            there = "is not there" if lost.found is None else f"has {lost.found} bytes instead of {lost.blob.size}"
            needs = f" ({lost.kind.value}: {lost.belongs_to})" if lost.belongs_to else f" ({lost.kind.value})"
            self.stdout.write(f"{lost.blob.path} of {lost.blob.team} {there}{needs}")
        told = f"{found.files} stored files: {found.orphans} that no row knows, {found.lost} rows without their file."
        if options["mend"]:
            beyond = sum(not lost.can_be_made_again for lost in found.lost_list)
            told += f" Removed {found.orphans}; {waiting} footage waits to be looked at again."
            if beyond:
                raise CommandError(f"{told} {beyond} files can only come back from a backup.")
            self.stdout.write(told)
        elif found.is_sound:
            self.stdout.write(told)
        else:
            raise CommandError(f"{told} See check_storage --mend.")
