from __future__ import annotations

import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from heygem_site.backup import BackupError
from heygem_site.backup.progress import Progress
from heygem_site.backup.put_back import restore


class Command(BaseCommand):
    help = "Make this installation what a backup says. The site and its workers must be stopped."
    requires_migrations_checks = False

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--replace", action="store_true", help="in place of what this installation holds now")
        parser.add_argument(
            "--without-media", action="store_true", help="go on when stored files are neither here nor in the backup"
        )
        parser.add_argument("--quiet", action="store_true", help="do not show how far it is")

    def handle(self, *, file: Path, replace: bool, without_media: bool, quiet: bool, **_options: Any) -> None:
        progress = Progress(None if quiet else sys.stderr)
        try:
            done = restore(file, replace=replace, without_media=without_media, progress=progress)
        except BackupError as reason:
            raise CommandError(str(reason)) from None
        resumed = done.resumed
        self.stdout.write(f"Restored: {done.rows} rows and {done.files} files, as of {done.about['made_at']}.")
        self.stdout.write(
            f"Waiting again: {resumed.jobs} jobs, {resumed.analyses} analyses, {resumed.exports} exports."
        )
        if resumed.uploads:
            self.stdout.write(f"{resumed.uploads} unfinished uploads have to be sent again.")
        if done.missing:
            self.stdout.write(f"{done.missing} stored files were missing when the backup was made.")
        if done.kept_as:
            self.stdout.write(f"The database of before is kept as {done.kept_as}; remove it when all is well.")
        self.stdout.write("People sign in again. Now start the site: ./heygem up")
