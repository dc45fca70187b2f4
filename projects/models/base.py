"""What every model here shares: an unguessable public id for URLs and a creation time."""

from __future__ import annotations

import secrets

from django.db import models

PUBLIC_ID_ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"
"""No look-alikes (0/o, 1/l/i): ids are read aloud and typed."""


def new_public_id() -> str:
    """Sixteen characters of 31, about 79 bits: not guessable, fine in a URL and in a file name."""
    return "".join(secrets.choice(PUBLIC_ID_ALPHABET) for _ in range(16))


class Kept(models.Model):
    """A thing with an address."""

    public_id = models.CharField(max_length=16, unique=True, editable=False, default=new_public_id)
    created_at = models.DateTimeField(auto_now_add=True, editable=False)

    class Meta:
        abstract = True
