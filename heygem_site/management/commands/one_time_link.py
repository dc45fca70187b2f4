from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError

from heygem_site.accounts import one_time_path


class Command(BaseCommand):
    help = "Print a link that signs a person in once, within the hour."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("email")
        parser.add_argument("--site", default="http://127.0.0.1:8000", help="the address that people use")

    def handle(self, *, email: str, site: str, **_options: Any) -> None:
        user = User.objects.filter(email__iexact=email, is_active=True).first()
        if user is None:
            raise CommandError(f"Nobody who may sign in has the address {email}.")
        self.stdout.write(site.rstrip("/") + one_time_path(user))
