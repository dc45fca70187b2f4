from __future__ import annotations

import sys
from argparse import ArgumentParser, BooleanOptionalAction
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from heygem_site.backup import BackupError
from heygem_site.backup.make import backup
from heygem_site.backup.progress import Progress, in_words


class Command(BaseCommand):
    help = (
        "Write database and stored files into one file, while the site runs. Not in it: the secret key "
        "(var/secret_key) and the environment; keep those apart."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", help="the file to write, a folder (a name with the time is made), or - for stdout")
        parser.add_argument(
            "--with-media",
            action=BooleanOptionalAction,
            default=None,
            help="copy the stored files; otherwise they are only listed, with checksums "
            "(default: copied from a folder, listed when they lie in object storage)",
        )
        parser.add_argument("--quiet", action="store_true", help="do not show how far it is")

    def handle(self, *, file: str, with_media: bool | None, quiet: bool, **_options: Any) -> None:
        try:
            made = backup(file, with_media=with_media, progress=Progress(None if quiet else sys.stderr))
        except BackupError as reason:
            raise CommandError(str(reason)) from None
        if not quiet:
            self.stderr.write(f"{made.path}: {made.rows} rows, {made.copied} files, {in_words(made.size)}")
        for word, paths in (("are missing from the storage", made.missing), ("are damaged", made.damaged)):
            if paths:
                self.stderr.write(
                    f"The backup is written, but {len(paths)} stored files {word}: {', '.join(paths[:3])}"
                )
        if made.missing or made.damaged:
            raise CommandError("Look at the storage: the orphan check says which things they belong to.", returncode=3)
