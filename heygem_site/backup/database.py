"""The database as files of rows, and back: the models' values as JSON, so that any database can read them."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import partial
from itertools import islice
from pathlib import Path
from typing import IO, Any
from uuid import UUID

from django.apps import apps as current_apps
from django.apps.registry import Apps
from django.core.management.color import no_style
from django.db import connection, models, transaction
from django.utils.duration import duration_iso_string

LEFT_OUT = frozenset(
    {
        "django_migrations",  # told in about.json
        *("django_session", "projects_mediahold"),
        *("django_q_ormq", "django_q_task"),  # tickets are made anew, what was done is done
        *("axes_accessattempt", "axes_accessattemptexpiration", "axes_accessfailurelog", "axes_accesslog"),
    }
)
"""What belongs to the moment: after restoring, people sign in again."""
CHUNK = 2000
"""Rows read or written at a time."""

Model = type[models.Model]
Hear = Callable[[str, int], None]
"""Called with a table's name and its rows so far."""


def tables(apps: Apps | Any = current_apps) -> dict[str, Model]:
    """Every table that is kept, with its model; tables that link many to many among them."""
    found = apps.get_models(include_auto_created=True)
    kept = (model for model in found if model._meta.managed and not model._meta.proxy)
    return {model._meta.db_table: model for model in kept if model._meta.db_table not in LEFT_OUT}


def columns(model: Model) -> list[Any]:
    return [field for field in model._meta.concrete_fields if not field.generated]


@contextmanager
def snapshot() -> Iterator[None]:
    """Within the block every query sees the database as it was when the block began; others go on writing."""
    mode = getattr(connection, "transaction_mode", None)
    if connection.vendor == "sqlite":
        connection.transaction_mode = "DEFERRED"  # type: ignore[attr-defined]
    try:
        with transaction.atomic():
            if connection.vendor == "postgresql":
                with connection.cursor() as cursor:
                    cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            yield
    finally:
        if connection.vendor == "sqlite":
            connection.transaction_mode = mode  # type: ignore[attr-defined]


def dump(folder: Path, hear: Hear, apps: Apps | Any = current_apps) -> dict[str, int]:
    """Write ``<table>.jsonl.gz`` for every table of ``apps`` into ``folder``. Rows by table."""
    numbers = {}
    for name, model in sorted(tables(apps).items()):
        with gzip.open(folder / f"{name}.jsonl.gz", "wt", encoding="utf-8", compresslevel=3) as sink:
            numbers[name] = _dump_table(model, sink, partial(hear, name))
    return numbers


def _dump_table(model: Model, sink: IO[str], hear: Callable[[int], None]) -> int:
    names = [field.attname for field in columns(model)]
    sink.write(json.dumps([field.column for field in columns(model)]) + "\n")
    number = 0
    for row in model._base_manager.order_by("pk").values_list(*names).iterator(CHUNK):
        sink.write(json.dumps(row, default=_plain, ensure_ascii=False) + "\n")
        number += 1
        if number % CHUNK == 0:
            hear(number)
    hear(number)
    return number


def _plain(value: object) -> object:
    """What the field's ``to_python`` understands."""
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, UUID | Decimal):
        return str(value)
    if isinstance(value, timedelta):
        return duration_iso_string(value)
    if isinstance(value, bytes | memoryview):
        return base64.b64encode(bytes(value)).decode("ascii")
    raise TypeError(f"a {type(value).__name__} cannot be kept in a backup")


def load(apps: Apps | Any, name: str, source: IO[bytes], hear: Hear) -> int:
    """Fill the table from its file, in place of what is in it. ``apps`` are the models as of the backup. Rows."""
    model = tables(apps)[name]
    by_column = {field.column: field for field in columns(model)}
    quote = connection.ops.quote_name
    number = 0
    with gzip.open(source, "rt", encoding="utf-8") as lines, connection.cursor() as cursor:
        fields = [by_column[column] for column in json.loads(next(lines))]
        cursor.execute(f"DELETE FROM {quote(name)}")  # noqa: S608 - a model's table
        into = ", ".join(quote(field.column) for field in fields)
        insert = f"INSERT INTO {quote(name)} ({into}) VALUES ({', '.join(['%s'] * len(fields))})"  # noqa: S608
        while chunk := list(islice(lines, CHUNK)):
            cursor.executemany(insert, [_stored(fields, json.loads(line)) for line in chunk])
            number += len(chunk)
            hear(name, number)
    return number


def _stored(fields: Sequence[Any], row: Iterable[Any]) -> list[Any]:
    return [_value(field, value) for field, value in zip(fields, row, strict=True)]


def _value(field: Any, value: Any) -> Any:
    if value is None and isinstance(field, models.JSONField) and not field.null:
        return connection.ops.adapt_json_value(None, field.encoder)  # JSON's null, which is not SQL's
    if not isinstance(field, models.JSONField):
        value = field.to_python(value)
    return field.get_db_prep_save(value, connection)


def settle(apps: Apps | Any) -> None:
    """After loading: new rows get numbers of their own, and what points at nothing is refused."""
    statements = connection.ops.sequence_reset_sql(no_style(), list(tables(apps).values()))
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
    connection.check_constraints()
