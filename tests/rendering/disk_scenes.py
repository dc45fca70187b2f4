"""Scenes on a site whose disk fills up, played through its pages where people would use them."""

from __future__ import annotations

import base64
import hashlib
import os
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.utils import timezone

from projects.models import AudioTake, Footage, MediaBlob, Membership, Role, Team, Upload
from projects.services import blobs, disk
from rendering.models import Deliverable, Export, RenderJob, RenderVersion, WorkerNode
from rendering.selectors.farm import farm
from rendering.selectors.waiting import standing, waiting_with_why
from rendering.services import exports
from tests import factories
from tests.rendering import making

TUS = {"Tus-Resumable": "1.0.0"}


@cache
def _somebody() -> tuple[User, Team, Client]:
    """Signed in once: a full disk has no room for another session."""
    team = Team.objects.first() or factories.team("Alice's team")
    user = User.objects.filter(username="alice").first() or factories.user("alice")
    Membership.objects.get_or_create(team=team, user=user, defaults={"role": Role.OWNER})
    client = Client(HTTP_HOST="localhost")
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return user, team, client


def _told(answer: Any) -> dict[str, Any]:
    problem = answer.json() if answer.headers.get("Content-Type", "").startswith("application/") else {}
    offset = answer.headers.get("Upload-Offset")
    return {"status": answer.status_code, "url": answer.headers.get("Location", ""), "offset": offset, **problem}


def announce(name: str, size: int) -> dict[str, Any]:
    """Begin an upload, as a browser does."""
    _, team, client = _somebody()
    values = {"filename": name, "purpose": "take" if name.endswith(".wav") else "footage", "team": team.public_id}
    about = ",".join(f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in values.items())
    return _told(client.post("/uploads/", headers={**TUS, "Upload-Length": str(size), "Upload-Metadata": about}))


def send(url: str, path: str, first: int, last: int) -> dict[str, Any]:
    """Bytes ``first`` to ``last`` (not included) of the file at ``path``."""
    kind = "application/offset+octet-stream"
    piece = Path(path).read_bytes()[first:last]
    headers = {**TUS, "Upload-Offset": str(first), "Content-Type": kind}
    return _told(_somebody()[2].patch(url, piece, content_type=kind, headers=headers))


def page(url: str) -> int:
    return int(_somebody()[2].get(url).status_code)


def superseded(days: int) -> str:
    """A cell with three versions, the first one published, the second superseded so many days ago; its public id."""
    team = Team.objects.get(name="Northlight")
    presenter, script = factories.presenter(team, "Ada"), factories.script(team, "Welcome")
    footage, take = factories.footage(presenter), factories.take(script)
    project = factories.project(team, "Old work", presenters=[presenter], scripts=[script])
    made = [making.version(project, presenter, script, footage=footage, take=take) for _ in range(3)]
    then = timezone.now() - timedelta(days=days)
    RenderVersion.objects.filter(pk__in=[version.pk for version in made]).update(created_at=then)
    MediaBlob.objects.filter(pk__in=[version.video_id for version in made]).update(created_at=then)
    cell = made[0].deliverable
    Deliverable.objects.filter(pk=cell.pk).update(published=made[0])
    return cell.public_id


def keep_more(megabytes: int) -> None:
    """The team keeps so much more."""
    team = Team.objects.get(name="Northlight")
    blob = factories.blob(team)
    factories.take(factories.script(team), blob=blob)
    MediaBlob.objects.filter(pk=blob.pk).update(size=megabytes << 20)


def orphan() -> None:
    """A file that no row knows, two days old."""
    place = Path(settings.MEDIA_ROOT) / "blobs" / "nobody"
    place.mkdir(parents=True, exist_ok=True)
    (place / "left").write_bytes(b"left behind")
    past = timezone.now() - timedelta(days=2)
    os.utime(place / "left", (past.timestamp(), past.timestamp()))


def pack() -> str:
    """A ZIP of the first version; its public id."""
    user, *_ = _somebody()
    version = RenderVersion.objects.order_by("pk")[0]
    return exports.create_export(actor=user, project=version.deliverable.project, versions=[version]).public_id


def stand() -> dict[str, Any]:
    """How the farm and what waits for room stand."""
    view = farm()
    whys = waiting_with_why(standing()).order_by("pk").values_list("why", flat=True)
    material = [*Footage.objects.order_by("pk"), *AudioTake.objects.order_by("pk")]
    return {
        "word": [view.word.value, view.reason],
        "refusals": sorted(WorkerNode.objects.values_list("refusal", flat=True)),
        "whys": list(whys),
        "exports": [f"{row.state} {row.error_code}".strip() for row in Export.objects.order_by("pk")],
        "material": [f"{row.name} {row.state}" for row in material],
        "codes": [f"{job.state} {job.error_code}".strip() for job in RenderJob.objects.order_by("pk")],
        "arriving": Upload.objects.filter(finished_at=None).count(),
        "room": disk.has_room(),
    }


def flaws() -> list[str]:
    """Stored files that are not what they should be, files that no row knows, and a damaged database."""
    found = []
    rows = {blob.path: blob for blob in MediaBlob.objects.all()}
    for stored in blobs.all_keys():
        if stored.key not in rows:
            found.append(f"{stored.key}: no row knows it")
    for path, blob in rows.items():
        content = b"".join(blobs.read(blob))
        if len(content) != blob.size or hashlib.sha256(content).hexdigest() != blob.sha256:
            found.append(f"{path}: not the bytes that were stored")
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA integrity_check")
        found += [row[0] for row in cursor.fetchall() if row[0] != "ok"]
    return found
