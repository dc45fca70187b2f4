"""``python -m tests.e2e.people``: puts the cast on the site whose environment it has, and prints the team's id."""

from __future__ import annotations

import os
import sys

import django


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "heygem_site.settings")
    django.setup()
    from projects.models import Role
    from tests import factories

    team = factories.team("Northlight", owner=factories.user("alice"))
    factories.member(team, Role.CREATOR, "bob")
    factories.member(team, Role.VIEWER, "victor")
    factories.team("Elsewhere", owner=factories.user("charlie"))
    sys.stdout.write(team.public_id)


if __name__ == "__main__":
    main()
