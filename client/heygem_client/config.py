"""Which site, and with which token: from the environment, else from a file."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path

from heygem_client.errors import HeyGemError


def config_file(env: Mapping[str, str]) -> Path:
    folder = env.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(folder) / "heygem-client.toml"


def site_of(env: Mapping[str, str] = os.environ) -> tuple[str, str]:
    """``HEYGEM_URL`` and ``HEYGEM_TOKEN`` (or the file that ``HEYGEM_TOKEN_FILE`` names), else ``url`` and ``token`` of
    :func:`config_file`. Raises :class:`HeyGemError` with what is missing."""
    kept = _kept(config_file(env))
    url = env.get("HEYGEM_URL") or kept.get("url", "")
    token = env.get("HEYGEM_TOKEN") or _content(env.get("HEYGEM_TOKEN_FILE", "")) or kept.get("token", "")
    if not url or not token:
        missing = " and ".join(name for name, value in (("HEYGEM_URL", url), ("HEYGEM_TOKEN", token)) if not value)
        raise HeyGemError(
            f"Set {missing}, or write url and token into {config_file(env)}. Tokens are made on the page “API tokens”."
        )
    return url, token


def _content(path: str) -> str:
    if not path:
        return ""
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise HeyGemError(f"HEYGEM_TOKEN_FILE names {path}, which cannot be read: {error.strerror}.") from None


def _kept(path: Path) -> dict[str, str]:
    try:
        return {name: str(value) for name, value in tomllib.loads(path.read_text(encoding="utf-8")).items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise HeyGemError(f"{path} cannot be read: {error}.") from None
