"""The key that signs sessions and links: made once, in a file that only its owner may read."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

from heygem_site import env


def ensure(path: Path | None = None) -> bool:
    """Write a fresh key unless there is one, or the environment gives one. True when one was made.

    Two processes that start at once agree on one key: the file appears whole, and never twice.
    """
    path = path or env.var_dir() / "secret_key"
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)  # the default database lives there too
    if os.environ.get("SECRET_KEY") or os.environ.get("SECRET_KEY_FILE") or path.exists():
        return False
    part = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as sink:
            sink.write(secrets.token_urlsafe(64))
        with contextlib.suppress(FileExistsError):
            os.link(part, path)
            return True
    finally:
        part.unlink()
    return False
