"""Signing secrets of webhooks, by the Standard Webhooks scheme (https://www.standardwebhooks.com).

A secret is derived from the installation's ``SECRET_KEY`` and a random seed in the webhook's row: it can be used again
and is nowhere written down.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from datetime import datetime

from django.utils.crypto import salted_hmac

from projects.models import Webhook

START = "whsec_"
HINT = 4
"""Letters of the secret's end that are kept, so that people can tell one from another."""


def new_seed() -> str:
    return secrets.token_hex(32)


def secret_of(seed: str) -> str:
    """``whsec_`` and 32 bytes in base64: what the receiver is given."""
    return START + base64.b64encode(_key(seed)).decode()


def hint_of(seed: str) -> str:
    return secret_of(seed).rstrip("=")[-HINT:]


def is_known(webhook: Webhook) -> bool:
    """Whether the secret is still the one that was shown: it is not when the installation's key was changed."""
    return hint_of(webhook.seed) == webhook.hint


def _key(seed: str) -> bytes:
    return salted_hmac("heygem.webhooks", seed, algorithm="sha256").digest()


def _signature(seed: str, message: bytes) -> str:
    return "v1," + base64.b64encode(hmac.new(_key(seed), message, hashlib.sha256).digest()).decode()


def signed_headers(webhook: Webhook, *, event_id: str, body: bytes, at: datetime) -> dict[str, str]:
    """The three headers; after a rotation there are two signatures, the new secret's first."""
    timestamp = str(int(at.timestamp()))
    message = f"{event_id}.{timestamp}.".encode() + body
    seeds = [webhook.seed]
    if webhook.previous_seed and webhook.previous_until is not None and webhook.previous_until > at:
        seeds.append(webhook.previous_seed)
    return {
        "webhook-id": event_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(_signature(seed, message) for seed in seeds),
    }
