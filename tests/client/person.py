"""``python -m tests.client.person``: a team and a token on the site whose environment it has; prints both."""

from __future__ import annotations

import os
import sys

import django


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "heygem_site.settings")
    django.setup()
    from projects.services import tokens
    from tests import factories

    alice = factories.user("alice")
    team = factories.team("Northlight", owner=alice)
    factories.team("Second house", owner=alice)
    _token, secret = tokens.create_token(actor=alice, name="Client", scope="write")
    sys.stdout.write(f"{team.public_id} {secret}")


if __name__ == "__main__":
    main()
