"""What the three-hosts run does on its site, and what it asks afterwards. Runs like ``tests.rendering.scenes``."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path
from typing import Any

import boto3
from django.conf import settings
from django.db import transaction
from django.db.models import Count

from projects.models import USABLE, AudioTake, Footage, MediaBlob
from projects.services import blobs
from projects.services.footage import add_footage
from projects.services.presenters import create_presenter
from projects.services.projects import create_project
from projects.services.scripts import add_take, create_script
from rendering import queue
from rendering.models import RenderAttempt, RenderBatch, RenderJob, RenderVersion, WorkerNode
from rendering.services.batches import start_batch
from tests import factories


def make_bucket(name: str) -> None:
    about = settings.STORAGES["default"]["OPTIONS"]
    client = boto3.client(
        "s3",
        endpoint_url=about["endpoint_url"],
        region_name=about["region_name"],
        aws_access_key_id=about["access_key"],
        aws_secret_access_key=about["secret_key"],
    )
    client.create_bucket(Bucket=name)


def order_batch(footage: str, takes: list[str]) -> str:
    """Everything that a person's upload and press of the button would make. The batch's public id."""
    owner = factories.user("owner")
    team = factories.team("A", owner=owner)
    film = blobs.store(team, Path(footage), "video/mp4")
    sounds = [blobs.store(team, Path(path), "audio/wav") for path in takes]
    with transaction.atomic():
        presenter = create_presenter(actor=owner, team=team, name="Anna")
        add_footage(actor=owner, presenter=presenter, blob=film, name=Path(footage).name)
        scripts = [create_script(actor=owner, team=team, title=f"Script {n + 1}") for n in range(len(takes))]
        for script, sound in zip(scripts, sounds, strict=True):
            add_take(actor=owner, script=script, language="en", blob=sound, name="take.wav")
        project = create_project(actor=owner, team=team, name="Farm", presenters=[presenter], scripts=scripts)
    return start_batch(actor=owner, project=project).public_id


def analysed() -> dict[str, int]:
    """How many footages and takes are usable, and how many there are."""
    all_of = [Footage.objects.all(), AudioTake.objects.all()]
    return {
        "usable": sum(rows.filter(state__in=USABLE).count() for rows in all_of),
        "all": sum(rows.count() for rows in all_of),
    }


def progress() -> dict[str, Any]:
    """Jobs by state, and the hosts that are in the first half of one now."""
    states = RenderJob.objects.order_by().values("state").annotate(n=Count("pk"))
    begun = RenderJob.objects.filter(state="running", worker__isnull=False, progress__lt=50)
    running = begun.values_list("worker__host", flat=True)
    return {"states": {row["state"]: row["n"] for row in states}, "running": sorted(set(running))}


def report() -> dict[str, Any]:
    """Every job with its attempts and versions."""
    jobs = []
    for job in RenderJob.objects.order_by("pk"):
        attempts = [
            {
                "number": attempt.number,
                "host": attempt.worker.host if attempt.worker else "",
                "begin": attempt.started_at.isoformat(),
                "end": attempt.ended_at.isoformat() if attempt.ended_at else None,
                "outcome": attempt.outcome,
                "code": attempt.error_code,
            }
            for attempt in RenderAttempt.objects.filter(job=job).select_related("worker").order_by("number")
        ]
        versions = list(RenderVersion.objects.filter(job=job).values_list("number", flat=True))
        jobs.append({"job": job.public_id, "state": job.state, "code": job.error_code, "counted": job.attempts})
        jobs[-1] |= {"attempts": attempts, "versions": versions}
    return {"jobs": jobs, "versions": RenderVersion.objects.count(), "batches": RenderBatch.objects.count()}


def stored() -> dict[str, Any]:
    """Whether each version's video and poster are in the storage, byte by byte; what lies there that nothing needs."""
    damaged, kinds = [], Counter[str]()
    for version in RenderVersion.objects.select_related("video", "poster"):
        for blob in filter(None, (version.video, version.poster)):
            seen = hashlib.sha256()
            for chunk in blobs.read(blob):
                seen.update(chunk)
            kinds[blob.content_type] += 1
            if seen.hexdigest() != blob.sha256:
                damaged.append(blob.public_id)
    known = set(MediaBlob.objects.values_list("path", flat=True))
    orphans = [file.key for file in blobs.all_keys() if file.key not in known]
    return {"checked": dict(kinds), "damaged": damaged, "orphans": len(orphans)}


def every_minute() -> None:
    """What the schedule does, now."""
    queue.tidy()
    queue.reap()


def by_release() -> dict[str, list[str]]:
    """The workers' releases, and the engines of the versions that were made, in order."""
    return {
        "workers": sorted(f"{node.name} {node.version} {node.engine}" for node in WorkerNode.objects.all()),
        "versions": list(RenderVersion.objects.order_by("pk").values_list("engine", flat=True)),
    }
