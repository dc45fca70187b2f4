"""Every address that the client calls: what it is asked and what it answers. The tests hold this table against
``docs/openapi.yaml``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from heygem_client import answers as a

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Endpoint(Generic[T]):
    """``query`` and ``body`` name what may be sent; ``pages``: a list that comes in pages; ``once``: a creation, which
    carries an ``Idempotency-Key``."""

    method: str
    path: str
    answer: type[T]
    query: tuple[str, ...] = ()
    body: tuple[str, ...] = ()
    pages: bool = False
    once: bool = False


def _list(path: str, answer: type[T], *query: str) -> Endpoint[T]:
    return Endpoint(method="GET", path=path, answer=answer, query=(*query, "limit", "cursor"), pages=True)


def _get(path: str, answer: type[T]) -> Endpoint[T]:
    return Endpoint(method="GET", path=path, answer=answer)


def _make(path: str, answer: type[T], *body: str) -> Endpoint[T]:
    return Endpoint(method="POST", path=path, answer=answer, body=body, once=True)


def _act(path: str, answer: type[T], *body: str) -> Endpoint[T]:
    return Endpoint(method="POST", path=path, answer=answer, body=body)


def _change(path: str, answer: type[T], *body: str) -> Endpoint[T]:
    return Endpoint(method="PATCH", path=path, answer=answer, body=body)


API = "/api/v1"
ME = _get(f"{API}/me/", a.Me)
TEAMS = _list(f"{API}/teams/", a.Team)
TEAM = _get(f"{API}/teams/{{public_id}}/", a.Team)

PRESENTERS = _list(f"{API}/presenters/", a.Presenter, "team", "search", "archived")
PRESENTER = _get(f"{API}/presenters/{{public_id}}/", a.Presenter)
PRESENTER_NEW = _make(f"{API}/presenters/", a.Presenter, "team", "name", "notes")
PRESENTER_CHANGE = _change(f"{API}/presenters/{{public_id}}/", a.Presenter, "name", "notes")
PRESENTER_ARCHIVE = _act(f"{API}/presenters/{{public_id}}/archive/", a.Presenter)
PRESENTER_RESTORE = _act(f"{API}/presenters/{{public_id}}/restore/", a.Presenter)

FOOTAGES = _list(f"{API}/footage/", a.Footage, "team", "presenter", "state", "archived")
FOOTAGE = _get(f"{API}/footage/{{public_id}}/", a.Footage)
FOOTAGE_ANALYSE = _act(f"{API}/footage/{{public_id}}/analyse/", a.Footage)
FOOTAGE_FACE = _act(f"{API}/footage/{{public_id}}/face/", a.Footage, "face")
FOOTAGE_ARCHIVE = _act(f"{API}/footage/{{public_id}}/archive/", a.Footage)
FOOTAGE_RESTORE = _act(f"{API}/footage/{{public_id}}/restore/", a.Footage)

MOUTHS = _list(f"{API}/mouths/", a.MouthModel, "team", "presenter", "footage", "state")
MOUTH_MODEL = _get(f"{API}/mouths/{{public_id}}/", a.MouthModel)
MOUTH_MODEL_NEW = _make(f"{API}/mouths/", a.MouthModel, "footage")
MOUTH_MODEL_CANCEL = _act(f"{API}/mouths/{{public_id}}/cancel/", a.MouthModel)
MOUTH_MODEL_DELETE = Endpoint(method="DELETE", path=f"{API}/mouths/{{public_id}}/", answer=type(None))
MOUTH_MODEL_LOG = _get(f"{API}/mouths/{{public_id}}/log/", a.MouthModelLog)

SCRIPTS = _list(f"{API}/scripts/", a.Script, "team", "search", "archived")
SCRIPT = _get(f"{API}/scripts/{{public_id}}/", a.Script)
SCRIPT_NEW = _make(f"{API}/scripts/", a.Script, "team", "title")
SCRIPT_CHANGE = _change(f"{API}/scripts/{{public_id}}/", a.Script, "title")
SCRIPT_ARCHIVE = _act(f"{API}/scripts/{{public_id}}/archive/", a.Script)
SCRIPT_RESTORE = _act(f"{API}/scripts/{{public_id}}/restore/", a.Script)
SCRIPT_WRITE = _act(f"{API}/scripts/{{public_id}}/write/", a.ScriptVersion, "language", "text")
SCRIPT_VERSIONS = _list(f"{API}/scripts/{{public_id}}/versions/", a.ScriptVersion)

TAKES = _list(f"{API}/takes/", a.Take, "team", "script", "language", "state", "archived")
TAKE = _get(f"{API}/takes/{{public_id}}/", a.Take)
TAKE_ANALYSE = _act(f"{API}/takes/{{public_id}}/analyse/", a.Take)
TAKE_WORDS = _act(f"{API}/takes/{{public_id}}/words/", a.Take)
TAKE_ARCHIVE = _act(f"{API}/takes/{{public_id}}/archive/", a.Take)
TAKE_RESTORE = _act(f"{API}/takes/{{public_id}}/restore/", a.Take)

PROJECTS = _list(f"{API}/projects/", a.Project, "team", "search", "archived")
PROJECT = _get(f"{API}/projects/{{public_id}}/", a.Project)
PROJECT_NEW = _make(f"{API}/projects/", a.Project, "team", "name", "presenters", "scripts")
PROJECT_CHANGE = _change(f"{API}/projects/{{public_id}}/", a.Project, "name", "file_name_template")
PROJECT_ADD = _act(f"{API}/projects/{{public_id}}/add/", a.Project, "presenters", "scripts")
PROJECT_REMOVE = _act(f"{API}/projects/{{public_id}}/remove/", a.Project, "presenters", "scripts")
PROJECT_ARCHIVE = _act(f"{API}/projects/{{public_id}}/archive/", a.Project)
PROJECT_RESTORE = _act(f"{API}/projects/{{public_id}}/restore/", a.Project)

PRESETS = _list(f"{API}/presets/", a.Preset, "team")
PRESET = _get(f"{API}/presets/{{public_id}}/", a.Preset)

BATCHES = _list(f"{API}/batches/", a.Batch, "team", "project")
BATCH = _get(f"{API}/batches/{{public_id}}/", a.BatchProgress)
BATCH_NEW = _make(f"{API}/batches/", a.BatchStarted, "project", "cells", "presenters", "scripts", "languages", "preset")
BATCH_CANCEL = _act(f"{API}/batches/{{public_id}}/cancel/", a.BatchProgress)
BATCH_RETRY = _act(f"{API}/batches/{{public_id}}/retry/", a.BatchProgress)

JOBS = _list(f"{API}/jobs/", a.Job, "team", "project", "batch", "presenter", "script", "state")
JOB = _get(f"{API}/jobs/{{public_id}}/", a.Job)
JOB_CANCEL = _act(f"{API}/jobs/{{public_id}}/cancel/", a.Job)

VERSIONS = _list(
    f"{API}/versions/", a.Version, "team", "project", "batch", "presenter", "script", "language", "published"
)
VERSION = _get(f"{API}/versions/{{public_id}}/", a.Version)
VERSION_PUBLISH = _act(f"{API}/versions/{{public_id}}/publish/", a.Version)

EXPORTS = _list(f"{API}/exports/", a.Export, "team", "project", "state")
EXPORT = _get(f"{API}/exports/{{public_id}}/", a.Export)
EXPORT_NEW = _make(f"{API}/exports/", a.Export, "project", "versions", "cells")
EXPORT_DELETE = Endpoint(method="DELETE", path=f"{API}/exports/{{public_id}}/", answer=type(None))

ALL: dict[str, Endpoint[object]] = {name: value for name, value in globals().items() if isinstance(value, Endpoint)}
