"""Makes rows for tests, straight into the tables: short functions with sensible defaults, everything overridable."""

from __future__ import annotations

import hashlib
import io
import itertools
import uuid
import zipfile
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.utils import timezone

from projects.models import (
    AnalysisState,
    AudioTake,
    Footage,
    MediaBlob,
    Membership,
    Presenter,
    Project,
    ProjectPresenter,
    ProjectScript,
    Role,
    Script,
    ScriptVersion,
    Team,
    new_public_id,
)
from projects.services import blobs

PASSWORD = "correct horse battery staple"
_numbers = itertools.count(1)


def user(name: str = "", **fields: Any) -> User:
    """Signs in with :data:`PASSWORD`."""
    name = name or f"user{next(_numbers)}"
    return User.objects.create_user(name, email=f"{name}@example.com", password=PASSWORD, **fields)


def member(team: Team, role: str = Role.CREATOR, name: str = "") -> User:
    person = user(name)
    Membership.objects.create(team=team, user=person, role=role)
    return person


def team(name: str = "", *, owner: User | None = None) -> Team:
    made = Team.objects.create(name=name or f"Team {next(_numbers)}")
    if owner is not None:
        Membership.objects.create(team=made, user=owner, role=Role.OWNER)
    return made


def blob(team: Team, content: bytes | None = None, content_type: str = "video/mp4") -> MediaBlob:
    """With ``content`` the bytes are really stored; without, only the row is made."""
    if content is not None:
        return blobs.store(team, io.BytesIO(content), content_type)
    number = next(_numbers)
    return MediaBlob.objects.create(
        team=team,
        sha256=hashlib.sha256(str(number).encode()).hexdigest(),
        size=1000 + number,
        path=f"blobs/{team.public_id}/{new_public_id()}",
        content_type=content_type,
    )


def path_of(blob: MediaBlob) -> Path:
    """Where file storage keeps the bytes."""
    return Path(settings.MEDIA_ROOT) / blob.path


def presenter(team: Team, name: str = "", **fields: Any) -> Presenter:
    return Presenter.objects.create(team=team, name=name or f"Presenter {next(_numbers)}", **fields)


def leased() -> dict[str, Any]:
    """What a row needs while a machine works on it."""
    return {"lease_token": uuid.uuid4(), "lease_expires_at": timezone.now() + timedelta(seconds=90)}


def analysis(team: Team, *, really: bool) -> MediaBlob:
    """What the engine found, packed; ``really``: with bytes that can be unpacked."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(zipfile.ZipInfo("track.npz"), b"fake track")
    return blob(team, packed.getvalue() if really else None, "application/zip")


def footage(presenter: Presenter, state: str = AnalysisState.READY, **fields: Any) -> Footage:
    defaults: dict[str, Any] = {"name": "footage.mp4"}
    if state in (AnalysisState.READY, AnalysisState.WARNINGS):
        defaults |= {"width": 1080, "height": 1920, "fps": 30.0, "duration_s": 20.0, "has_audio": True, "tier": "A"}
        defaults |= {"analysis": analysis(presenter.team, really="blob" in fields)}
    if state == AnalysisState.REFUSED:
        defaults |= {"error_code": "no_face"}
    if "blob" not in fields:
        defaults["blob"] = blob(presenter.team)
    return Footage.objects.create(presenter=presenter, state=state, **(defaults | fields))


def script(team: Team, title: str = "", **fields: Any) -> Script:
    return Script.objects.create(team=team, title=title or f"Script {next(_numbers)}", **fields)


def script_version(script: Script, language: str = "en", number: int = 1, text: str = "Hello.") -> ScriptVersion:
    version, _ = ScriptVersion.objects.get_or_create(
        script=script, language=language, number=number, defaults={"text": text}
    )
    return version


def take(script: Script, language: str = "en", state: str = AnalysisState.READY, **fields: Any) -> AudioTake:
    defaults: dict[str, Any] = {"name": "take.wav"}
    if state in (AnalysisState.READY, AnalysisState.WARNINGS):
        defaults |= {"duration_s": 8.0, "loudness_lufs": -16.0, "peak_dbfs": -1.0, "waveform": [0, 120, 255, 90]}
    if state == AnalysisState.REFUSED:
        defaults |= {"error_code": "silent_audio"}
    if "blob" not in fields:
        defaults["blob"] = blob(script.team, content_type="audio/wav")
    if "script_version" not in fields:
        defaults["script_version"] = script_version(script, language)
    return AudioTake.objects.create(state=state, **(defaults | fields))


def project(
    team: Team, name: str = "", *, presenters: list[Presenter] | None = None, scripts: list[Script] | None = None
) -> Project:
    made = Project.objects.create(team=team, name=name or f"Project {next(_numbers)}")
    for position, row in enumerate(presenters or []):
        ProjectPresenter.objects.create(project=made, presenter=row, position=position)
    for position, column in enumerate(scripts or []):
        ProjectScript.objects.create(project=made, script=column, position=position)
    return made
