"""Settings from the environment: small parsers; a wrong value stops the start with a sentence."""

from __future__ import annotations

import os
import re
import shlex
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured


def text(name: str, *, default: str = "") -> str:
    """The variable, or the content of the file that ``<name>_FILE`` names, or ``default``."""
    if path := os.environ.get(f"{name}_FILE"):
        try:
            return Path(path).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise ImproperlyConfigured(f"{name}_FILE names {path}, which cannot be read: {error.strerror}.") from error
        except UnicodeDecodeError as error:
            raise ImproperlyConfigured(f"{name}_FILE names {path}, which is not a text file.") from error
    return os.environ.get(name, "").strip() or default


def boolean(name: str, *, default: bool) -> bool:
    value = text(name).lower()
    if not value:
        return default
    if value in {"1", "true", "yes", "on"}:
        return True
    if value in {"0", "false", "no", "off"}:
        return False
    raise ImproperlyConfigured(f"{name} must be yes or no, not {value!r}.")


def integer(name: str, *, default: int, low: int = 0, high: int | None = None) -> int:
    """A whole number within ``low`` and ``high`` (both included)."""
    value = text(name)
    if not value:
        return default
    try:
        number = int(value)
    except ValueError:
        raise ImproperlyConfigured(f"{name} must be a whole number, not {value!r}.") from None
    if number < low or (high is not None and number > high):
        allowed = f"at least {low}" if high is None else f"between {low} and {high}"
        raise ImproperlyConfigured(f"{name} must be {allowed}, not {number}.")
    return number


def amounts(name: str) -> dict[str, int]:
    """A comma-separated list such as ``exemplar=2000, other=8000``: whole numbers by name."""
    found = {}
    for word in words(name, default=[]):
        key, _, value = (part.strip() for part in word.partition("="))
        if not key or not value.isdecimal():
            raise ImproperlyConfigured(f"{name} must look like name=1000, other=2000, not {word!r}.")
        found[key] = int(value)
    return found


def choice(name: str, *, default: str, of: tuple[str, ...]) -> str:
    value = text(name, default=default)
    if value not in of:
        raise ImproperlyConfigured(f"{name} must be one of {', '.join(of)}, not {value!r}.")
    return value


def words(name: str, *, default: list[str]) -> list[str]:
    """A comma-separated list."""
    return [word.strip() for word in text(name).split(",") if word.strip()] or default


def origins(name: str) -> list[str]:
    """A comma-separated list of ``https://host`` addresses without a path."""
    found = words(name, default=[])
    for origin in found:
        parts = urlsplit(origin)
        if parts.scheme not in {"http", "https"} or not parts.netloc or parts.path.strip("/"):
            raise ImproperlyConfigured(
                f"{name} must hold addresses such as https://heygem.example.com, not {origin!r}."
            )
    return [origin.rstrip("/") for origin in found]


def address(name: str) -> str:
    """An ``http(s)://`` address, or empty. It may hold a key, so the sentence does not quote it."""
    value = text(name)
    try:
        parts = urlsplit(value)
        known = parts.scheme in {"http", "https"} and parts.hostname
    except ValueError:
        known = None
    if value and not known:
        raise ImproperlyConfigured(f"{name} must be an address that begins with https://.")
    return value


def fraction(name: str, *, default: float) -> float:
    """A number from 0 to 1."""
    value = text(name, default=str(default))
    try:
        number = float(value)
    except ValueError:
        number = -1.0
    if not 0.0 <= number <= 1.0:
        raise ImproperlyConfigured(f"{name} must be a number from 0 to 1, not {value!r}.")
    return number


def networks(name: str) -> list[IPv4Network | IPv6Network]:
    """A comma-separated list of networks such as ``10.0.0.0/8``; one address is a network of its own."""
    try:
        return [ip_network(word) for word in words(name, default=[])]
    except ValueError as error:
        raise ImproperlyConfigured(f"{name} must hold networks such as 10.1.0.0/16: {error}.") from None


def command(name: str, *, default: list[str]) -> list[str]:
    """A command line, split as a shell would."""
    try:
        return shlex.split(text(name)) or default
    except ValueError as error:
        raise ImproperlyConfigured(f"{name} is not a command line: {error}.") from error


def folder(name: str, *, default: Path) -> Path:
    """An absolute path that is not a file."""
    path = Path(text(name, default=str(default))).expanduser()
    if not path.is_absolute():
        raise ImproperlyConfigured(f"{name} must be an absolute path, not {str(path)!r}.")
    if path.exists() and not path.is_dir():
        raise ImproperlyConfigured(f"{name} names {path}, which is not a folder.")
    return path


def regular_file(name: str) -> Path | None:
    """An absolute path of a file that is there; None when nothing is named."""
    if not (value := text(name)):
        return None
    path = Path(value).expanduser()
    if not path.is_absolute():
        raise ImproperlyConfigured(f"{name} must be an absolute path, not {value!r}.")
    if not path.is_file():
        raise ImproperlyConfigured(f"{name} names {path}, which is not a file.")
    return path


def existing_folder(name: str) -> Path | None:
    """An absolute path of a folder that is there; None when nothing is named."""
    if not (value := text(name)):
        return None
    path = Path(value).expanduser()
    if not path.is_absolute():
        raise ImproperlyConfigured(f"{name} must be an absolute path, not {value!r}.")
    if not path.is_dir():
        raise ImproperlyConfigured(f"{name} names {path}, which is not a folder.")
    return path


def device(name: str) -> str:
    """``auto``, ``cpu``, ``cuda``, ``cuda:`` and a number, or ``fake``; whether it is there, the engine finds out."""
    value = text(name, default="auto").lower()
    if not _is_device(value):
        raise ImproperlyConfigured(f"{name} must be auto, cpu, cuda or a card such as cuda:1, not {value!r}.")
    return value


def _is_device(value: str) -> bool:
    return re.fullmatch(r"auto|cpu|fake|cuda(:\d{1,2})?", value) is not None


def devices(name: str) -> tuple[str, ...]:
    """Devices as :func:`device` knows them, with commas between; none by default. Raises where one comes twice."""
    asked = tuple(part.strip().lower() for part in text(name).split(",") if part.strip())
    for value in asked:
        if not _is_device(value):
            raise ImproperlyConfigured(f"{name} must be devices such as cuda:0,cuda:1, not {value!r}.")
    if len(set(asked)) < len(asked):
        raise ImproperlyConfigured(f"{name} names a device twice: {','.join(asked)}.")
    return asked


def var_dir() -> Path:
    """Where an installation keeps what is its own: key, embedded database, locks."""
    return folder("HEYGEM_VAR", default=Path(__file__).resolve().parent.parent / "var")


def secret(name: str, *, file: Path) -> str:
    """The secret from the environment, else from ``file`` (written by the first ``./heygem up``), else empty."""
    if value := text(name):
        return value
    return file.read_text(encoding="utf-8").strip() if file.is_file() else ""


def _port(name: str, port: str) -> str:
    if not port:
        return ""
    if not port.isdecimal() or not 0 < int(port) < 65536:
        raise ImproperlyConfigured(f"{name} has the port {port!r}, which is not a number from 1 to 65535.")
    return port


def _split(name: str, value: str) -> dict[str, str]:
    """Scheme, user, password, host, port, path and query of an address, unquoted."""
    try:
        parts = urlsplit(value)
        host = parts.hostname or ""
    except ValueError:
        raise ImproperlyConfigured(f"{name} is not an address.") from None
    # Not parts.port: its error message would not say which variable is wrong.
    after_host = parts.netloc.rpartition("@")[2].rpartition("]")[2]
    port = after_host.partition(":")[2]
    return {
        "scheme": parts.scheme,
        "user": unquote(parts.username or ""),
        "password": unquote(parts.password or ""),
        "host": unquote(host),
        "port": _port(name, port),
        "path": unquote(parts.path),
        "query": parts.query,
    }


NOTICE_A_DEAD_LINE = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 2,
    "tcp_user_timeout": 15_000,
}
"""Seconds (the last: milliseconds) after which a server that no longer answers counts as gone. Without them a program
whose network was cut waits for a quarter of an hour."""
LIBPQ = {*NOTICE_A_DEAD_LINE, "application_name", "passfile", "sslcert", "sslkey", "sslmode", "sslrootcert"}
"""What may follow the ``?`` of a PostgreSQL address besides ``host``."""


def _libpq(name: str, query: str) -> dict[str, Any]:
    given = {key: values[-1] for key, values in parse_qs(query).items() if key != "host"}
    if unknown := sorted(set(given) - LIBPQ):
        raise ImproperlyConfigured(f"{name} has ?{unknown[0]}=, which is not one of {', '.join(sorted(LIBPQ))}.")
    return {**NOTICE_A_DEAD_LINE, **given}


def database(name: str, *, default: str) -> dict[str, Any]:
    """A Django database from ``sqlite:///path`` or ``postgresql://user:password@host:port/name?sslmode=require``."""
    parts = _split(name, text(name, default=default))
    if parts["scheme"] == "sqlite":
        path = parts["path"].removeprefix("/") if parts["path"].startswith("//") else parts["path"]
        if parts["host"] or not path.strip("/"):
            raise ImproperlyConfigured(f"{name} must name a file, such as sqlite:////srv/heygem/heygem.sqlite3.")
        return {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": path,
            "OPTIONS": {
                # A write lock from the first statement on: readers never fail half-way with "database is locked".
                "transaction_mode": "IMMEDIATE",
                "timeout": 20,
                "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
            },
        }
    if parts["scheme"] in {"postgresql", "postgres"}:
        dbname = parts["path"].lstrip("/")
        if not dbname:
            raise ImproperlyConfigured(f"{name} must end with the name of a database: postgresql://user@host/name.")
        return {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": dbname,
            "USER": parts["user"],
            "PASSWORD": parts["password"],
            "HOST": parts["host"] or parse_qs(parts["query"]).get("host", [""])[0],
            "PORT": parts["port"],
            "OPTIONS": _libpq(name, parts["query"]),
            "CONN_MAX_AGE": 60,
            "CONN_HEALTH_CHECKS": True,
        }
    raise ImproperlyConfigured(f"{name} must begin with sqlite:/// or postgresql://.")


S3_NAMES = ("S3_ENDPOINT", "S3_PUBLIC_ENDPOINT", "S3_REGION", "S3_ACCESS_KEY", "S3_SECRET_KEY", "S3_PREFIX")


def _endpoint(name: str) -> str:
    """``http(s)://host[:port]``, or empty."""
    value = text(name).rstrip("/")
    if not value:
        return ""
    parts = _split(name, value)
    if parts["scheme"] not in {"http", "https"} or not parts["host"] or parts["user"] or parts["path"]:
        raise ImproperlyConfigured(f"{name} must be an address such as https://s3.example.com, without key or path.")
    return value


def storage() -> dict[str, Any]:
    """Django's default storage: files under ``MEDIA_ROOT``, or objects in ``S3_BUCKET``."""
    bucket = text("S3_BUCKET")
    if not bucket:
        if given := [name for name in S3_NAMES if text(name)]:
            raise ImproperlyConfigured(f"{given[0]} is set, but S3_BUCKET is not: name the bucket, or unset it.")
        return {"BACKEND": "projects.storage.files.Files"}
    if not re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", bucket):
        raise ImproperlyConfigured(f"S3_BUCKET must be a bucket's name, not {bucket!r}.")
    endpoint, public = _endpoint("S3_ENDPOINT"), _endpoint("S3_PUBLIC_ENDPOINT")
    access, secret_key = text("S3_ACCESS_KEY"), text("S3_SECRET_KEY")
    if bool(access) != bool(secret_key):
        raise ImproperlyConfigured("S3_ACCESS_KEY and S3_SECRET_KEY belong together: set both, or (on AWS) neither.")
    if endpoint and not access:
        raise ImproperlyConfigured("S3_ENDPOINT needs S3_ACCESS_KEY and S3_SECRET_KEY.")
    if public and not endpoint:
        raise ImproperlyConfigured("S3_PUBLIC_ENDPOINT is set, but S3_ENDPOINT is not.")
    region = text("S3_REGION", default="us-east-1" if endpoint else "")
    if not region:
        raise ImproperlyConfigured("S3_BUCKET on AWS needs S3_REGION; elsewhere it needs S3_ENDPOINT.")
    prefix = text("S3_PREFIX").strip("/")
    if not re.fullmatch(r"[A-Za-z0-9/_-]*", prefix):
        raise ImproperlyConfigured(f"S3_PREFIX may hold letters, digits, - _ and /, not {prefix!r}.")
    options = {
        "bucket_name": bucket,
        "endpoint_url": endpoint or None,
        "public_endpoint": public,
        "region_name": region,
        "access_key": access or None,
        "secret_key": secret_key or None,
        "location": prefix,
    }
    return {"BACKEND": "projects.storage.bucket.Bucket", "OPTIONS": options}


def s3_origin() -> str:
    """Where browsers fetch from and send to, for the Content-Security-Policy; empty without a bucket."""
    if not (bucket := text("S3_BUCKET")):
        return ""
    on_aws = f"https://{bucket}.s3.{text('S3_REGION')}.amazonaws.com"
    return _endpoint("S3_PUBLIC_ENDPOINT") or _endpoint("S3_ENDPOINT") or on_aws


def email(name: str) -> dict[str, Any]:
    """Django's mail settings from ``smtp://user:password@host:port`` (``smtps://``: TLS from the start; ``smtp``:
    STARTTLS unless ``?tls=no``). Without it letters are written to the log."""
    if not text(name):
        return {"EMAIL_BACKEND": "django.core.mail.backends.console.EmailBackend"}
    parts = _split(name, text(name))
    if parts["scheme"] not in {"smtp", "smtps"} or not parts["host"]:
        raise ImproperlyConfigured(f"{name} must look like smtp://user:password@host:587 or smtps://host.")
    implicit = parts["scheme"] == "smtps"
    starttls = not implicit and parse_qs(parts["query"]).get("tls", ["yes"])[0] not in {"no", "0", "false"}
    return {
        "EMAIL_BACKEND": "django.core.mail.backends.smtp.EmailBackend",
        "EMAIL_HOST": parts["host"],
        "EMAIL_PORT": int(parts["port"] or (465 if implicit else 587)),
        "EMAIL_HOST_USER": parts["user"],
        "EMAIL_HOST_PASSWORD": parts["password"],
        "EMAIL_USE_SSL": implicit,
        "EMAIL_USE_TLS": starttls,
        "EMAIL_TIMEOUT": 20,
    }


def weaknesses(values: dict[str, Any]) -> list[str]:
    """Why these settings may not face the public, one sentence each; empty when they may."""
    found = []
    key = str(values.get("SECRET_KEY") or "")
    if len(key) < 50 or len(set(key)) < 5 or "insecure" in key:
        found.append("SECRET_KEY must be at least 50 random characters (or SECRET_KEY_FILE must name a file of them).")
    if values.get("DEBUG"):
        found.append("DEBUG must be off: it shows code and settings to whoever causes an error.")
    hosts = values.get("ALLOWED_HOSTS") or []
    if not hosts or "*" in hosts:
        found.append("ALLOWED_HOSTS must name the site's own hosts; * lets anybody forge links in its letters.")
    for name in ("SESSION_COOKIE_SECURE", "CSRF_COOKIE_SECURE"):
        if not values.get(name):
            found.append(f"{name} must be on: a sign-in must not travel in the clear.")
    if str(values.get("S3_ORIGIN") or "").startswith("http://"):
        found.append("S3_PUBLIC_ENDPOINT (or S3_ENDPOINT) must be https: browsers fetch nothing else for a safe page.")
    for origin in values.get("CSRF_TRUSTED_ORIGINS") or []:
        if not origin.startswith("https://"):
            found.append(f"CSRF_TRUSTED_ORIGINS must hold https addresses only, not {origin}.")
    return found


def refuse_weak(values: dict[str, Any]) -> None:
    """Stop the start of a production site that is set up weakly. Raises ``ImproperlyConfigured`` with every reason."""
    if reasons := weaknesses(values):
        raise ImproperlyConfigured("This site may not start with HEYGEM_ENV=production: " + " ".join(reasons))
