"""What the site answers, as frozen dataclasses. The names are those of its description (``docs/openapi.yaml``)."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")
Json = Any
"""Whatever JSON holds."""


@dataclass(frozen=True, kw_only=True)
class Token:
    id: str
    name: str
    scope: str
    teams: tuple[str, ...] | None
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class Me:
    email: str
    is_operator: bool
    token: Token | None


@dataclass(frozen=True, kw_only=True)
class Team:
    id: str
    name: str
    role: str
    created_at: datetime


@dataclass(frozen=True, kw_only=True)
class Presenter:
    id: str
    team: str
    name: str
    notes: str
    archived_at: datetime | None
    created_at: datetime


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What a machine found in a file. ``level`` is refused, warning or info; ``detail`` says what to do."""

    code: str
    level: str
    figure: float | None
    title: str
    detail: str


@dataclass(frozen=True, kw_only=True)
class Footage:
    """``state`` is waiting, running, ready, warnings or refused (with ``error_code``)."""

    id: str
    presenter: str
    name: str
    state: str
    stage: str
    progress: int
    error_code: str
    findings: tuple[Finding, ...]
    analysed_at: datetime | None
    width: int | None
    height: int | None
    fps: float | None
    duration_s: float | None
    has_audio: bool | None
    tier: str
    faces: Json
    presenter_face: int | None
    url: str | None
    poster_url: str | None
    archived_at: datetime | None
    created_at: datetime


@dataclass(frozen=True, kw_only=True)
class MouthModel:
    """A network that draws a presenter's mouths. ``state`` is waiting, running, ready or refused (with ``error_code``;
    ``failed`` names the figures that are not good enough)."""

    id: str
    footage: str
    presenter: str
    state: str
    stage: str
    percent: int
    step: int
    steps: int
    eta_s: float | None
    psnr: float | None
    error_code: str
    error_title: str
    error_detail: str
    reason: str
    in_use: bool
    automatic: bool
    engine: str
    identity: str
    size: int
    figures: Json
    failed: Json
    initial: str | None
    borrowed: bool
    picture_url: str | None
    created_at: datetime
    started_at: datetime | None
    analysed_at: datetime | None
    archived_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class MouthModelLog:
    log: str
    log_end: int


@dataclass(frozen=True, kw_only=True)
class Script:
    id: str
    team: str
    title: str
    archived_at: datetime | None
    created_at: datetime


@dataclass(frozen=True, kw_only=True)
class ScriptVersion:
    id: str
    script: str
    language: str
    number: int
    text: str
    created_at: datetime


@dataclass(frozen=True, kw_only=True)
class Take:
    """States as those of :class:`Footage`."""

    id: str
    script: str
    language: str
    name: str
    source: str
    state: str
    stage: str
    progress: int
    error_code: str
    findings: tuple[Finding, ...]
    analysed_at: datetime | None
    duration_s: float | None
    loudness_lufs: float | None
    peak_dbfs: float | None
    url: str | None
    archived_at: datetime | None
    created_at: datetime


@dataclass(frozen=True, kw_only=True)
class Project:
    id: str
    team: str
    name: str
    file_name_template: str
    archived_at: datetime | None
    created_at: datetime


@dataclass(frozen=True, kw_only=True)
class Preset:
    id: str
    team: str
    name: str
    is_default: bool
    backend: str
    enhance: float
    amplitude: float
    when_shorter: str
    crf: int
    speed: str
    normalize_loudness: bool
    created_at: datetime


@dataclass(frozen=True, kw_only=True)
class Batch:
    id: str
    team: str
    project: str
    preset_name: str
    preset: Json
    created_at: datetime


@dataclass(frozen=True, kw_only=True)
class Skipped:
    """A cell that was not rendered, and why."""

    cell: str
    code: str
    title: str


@dataclass(frozen=True, kw_only=True)
class BatchProgress:
    """How far a batch has come. ``eta_s``: seconds left, None when nobody knows."""

    batch: Batch
    total: int
    done: int
    failed: int
    cancelled: int
    running: int
    queued: int
    held: int
    percent: int
    eta_s: float | None
    is_finished: bool


@dataclass(frozen=True, kw_only=True)
class BatchStarted(BatchProgress):
    skipped: tuple[Skipped, ...]


@dataclass(frozen=True, kw_only=True)
class Job:
    id: str
    batch: str
    project: str
    presenter: str
    script: str
    language: str
    state: str
    stage: str
    progress: int
    priority: int
    attempts: int
    max_attempts: int
    error_code: str
    error_title: str
    error_detail: str
    version: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class Version:
    id: str
    project: str
    presenter: str
    script: str
    language: str
    batch: str | None
    number: int
    published: bool
    width: int
    height: int
    fps: float
    duration_s: float
    quality: Json
    engine: str
    base: str
    weights: str
    tracker: str
    mouths: str
    drawn_by: str
    instead: str
    instead_title: str
    instead_detail: str
    tier: str
    preset: Json
    size: int | None
    sha256: str | None
    download_url: str | None
    video_removed_at: datetime | None
    created_at: datetime


@dataclass(frozen=True, kw_only=True)
class Export:
    id: str
    team: str
    project: str
    name: str
    state: str
    done: int
    total: int
    error_code: str
    error_title: str
    error_detail: str
    download_url: str | None
    created_at: datetime
    finished_at: datetime | None


@cache
def _fields(kind: type[Any]) -> tuple[tuple[str, Any], ...]:
    hints = get_type_hints(kind)
    return tuple((field.name, hints[field.name]) for field in dataclasses.fields(kind))


def read(kind: type[T], data: Mapping[str, Any]) -> T:
    """``data`` as a ``kind``. What a newer site tells besides is left out; what is missing raises ``KeyError``."""
    fields = _fields(kind)  # type: ignore[arg-type]  # a class is hashable
    return kind(**{name: _value(hint, data[name]) for name, hint in fields})


def _value(hint: Any, value: Any) -> Any:
    if value is None or hint is Json:
        return value
    if get_origin(hint) in (Union, types.UnionType):
        (hint,) = (part for part in get_args(hint) if part is not type(None))
    if hint is datetime:
        return datetime.fromisoformat(value)
    if hint is float:
        return float(value)
    if get_origin(hint) is tuple:
        return tuple(_value(get_args(hint)[0], each) for each in value)
    return read(hint, value) if dataclasses.is_dataclass(hint) and isinstance(hint, type) else value


def plain(answer: Any) -> Any:
    """An answer as what JSON can hold."""
    if dataclasses.is_dataclass(answer) and not isinstance(answer, type):
        return {field.name: plain(getattr(answer, field.name)) for field in dataclasses.fields(answer)}
    if isinstance(answer, datetime):
        return answer.isoformat()
    if isinstance(answer, list | tuple):
        return [plain(each) for each in answer]
    if isinstance(answer, dict):
        return {name: plain(value) for name, value in answer.items()}
    return answer
