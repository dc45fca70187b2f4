from __future__ import annotations

import shlex
import time
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError

from projects.models import Role, Team
from rendering.execution.demo import FilmingError, demo_files
from rendering.services import demo

FOLDER = settings.VAR_DIR / "demo"


class Command(BaseCommand):
    help = "Make the demo: a presenter, an English and a Chinese script, and a batch in the queue. Once."

    def handle(self, **_options: Any) -> None:
        if demo.is_made():
            self.stdout.write("the demo has been made before")
            return
        owner = User.objects.filter(is_superuser=True, is_active=True).order_by("pk").first()
        team = Team.objects.filter(memberships__user=owner, memberships__role=Role.OWNER).order_by("pk").first()
        if owner is None or team is None:
            raise CommandError("The demo belongs to the first owner's team: run ./heygem up first.")
        began, self.told = time.monotonic(), 0
        try:
            files = demo_files(FOLDER, self.report)
        except FilmingError as error:
            raise CommandError(f"The demo presenter could not be filmed ({error}).") from error
        demo.add_demo(actor=owner, team=team, files=files)
        self.stdout.write(f"the demo is in the queue after {time.monotonic() - began:.0f} s")
        words = shlex.join(["./heygem", "render", str(files.footage), str(files.takes[0].file), "-o", "demo.mp4"])
        self.stdout.write(f"the same by hand: {words}")

    def report(self, done: int, total: int) -> None:
        percent = 100 * done // max(total, 1)
        if percent >= self.told + 20:
            self.told = percent
            self.stdout.write(f"filming the demo presenter: {percent} %")
