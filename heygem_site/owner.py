"""The first person of a new installation."""

from __future__ import annotations

import secrets

from django.contrib.auth.models import User
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.core.validators import validate_email
from django.db import transaction

from projects.services import teams

TEAM_NAME = "My team"


@transaction.atomic
def ensure_owner(address: str) -> tuple[User, str | None]:
    """The operator of this installation and, when it had to be made now, the password (shown once, kept nowhere).

    An installation that has an operator keeps the one it has, whatever ``address`` says.
    """
    operator = User.objects.filter(is_superuser=True, is_active=True).order_by("pk").first()
    if operator is not None:
        return operator, None
    try:
        validate_email(address)
    except ValidationError:
        raise ImproperlyConfigured(f"HEYGEM_OWNER_EMAIL must be an email address, not {address!r}.") from None
    address = address.lower()
    password = secrets.token_urlsafe(12)
    operator = User.objects.create_superuser(username=address[:150], email=address, password=password)
    teams.create_team(actor=operator, name=TEAM_NAME)
    return operator, password
