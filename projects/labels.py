"""Plain words for what machines report while they look at footage and takes."""

from __future__ import annotations

from collections.abc import Iterable

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

FOOTAGE_STAGES: dict[str, tuple[str | Promise, int, int]] = {
    "fetch": (_("Fetching the files"), 0, 1),
    "probe": (_("Opening the file"), 1, 3),
    "track": (_("Following the face"), 3, 78),
    "listen": (_("Listening to the voice"), 78, 84),
    "learn": (_("Learning how the mouth moves"), 84, 95),
    "profile": (_("Keeping the best frames"), 95, 99),
    "publish": (_("Storing"), 99, 100),
}
"""Stage -> what it does, and from which percent to which of the whole it takes, roughly."""

TIERS: dict[str, str | Promise] = {
    "A": _("Best: mouths and their timing come from this presenter's own speech."),
    "B": _("Good: this presenter's mouth, moved by general speech, because there is little sound to learn from."),
    "C": _("Basic: the mouth hardly opens in this footage, so an open mouth is painted in."),
}


def stage_label(stage: str) -> str | Promise:
    if not stage:
        return _("Starting")
    known = FOOTAGE_STAGES.get(stage)
    return known[0] if known else _("Looking at the file")


def overall_percent(stage: str, progress: int) -> int:
    """Percent of the whole analysis from the percent of its stage."""
    if stage not in FOOTAGE_STAGES:
        return min(progress, 100)
    _label, start, stop = FOOTAGE_STAGES[stage]
    return round(start + (stop - start) * min(progress, 100) / 100)


EVENT_GROUPS: dict[str, str | Promise] = {
    "batch": _("Batches"),
    "job": _("Jobs"),
    "version": _("Versions"),
    "export": _("Downloads"),
    "footage": _("Footage"),
    "take": _("Audio takes"),
    "mouths": _("Mouth models"),
}
EVENTS: dict[str, str | Promise] = {
    "batch.started": _("a batch was started"),
    "batch.finished": _("the last job of a batch ended"),
    "job.succeeded": _("a job succeeded"),
    "job.failed": _("a job failed"),
    "job.cancelled": _("a job was cancelled"),
    "version.created": _("a new version was made"),
    "version.published": _("a version was published"),
    "export.ready": _("a ZIP is ready"),
    "export.failed": _("a ZIP could not be packed"),
    "footage.ready": _("footage can be used"),
    "footage.refused": _("footage was refused"),
    "take.ready": _("a take can be used"),
    "take.refused": _("a take was refused"),
    "mouths.ready": _("a mouth model was learnt and is used from now on"),
    "mouths.refused": _("no mouth model came of it, or one that is not good enough"),
    "mouths.cancelled": _("the making of a mouth model was stopped"),
    "mouths.removed": _("a mouth model was removed"),
}
"""What webhooks are told of."""


def event_groups(events: Iterable[str]) -> list[tuple[str | Promise, list[tuple[str, str | Promise]]]]:
    """The events under the name of what they happen to."""
    groups: dict[str, list[tuple[str, str | Promise]]] = {}
    for event in events:
        groups.setdefault(event.partition(".")[0], []).append((event, EVENTS[event]))
    return [(EVENT_GROUPS[group], of_group) for group, of_group in groups.items()]


ACTIONS: dict[str, str | Promise] = {
    "team.created": _("Team made"),
    "team.renamed": _("Team renamed"),
    "member.invited": _("Invitation made"),
    "member.joined": _("Joined the team"),
    "member.role_changed": _("Role changed"),
    "member.removed": _("Left the team"),
    "invitation.revoked": _("Invitation withdrawn"),
    "token.created": _("API token made"),
    "token.revoked": _("API token withdrawn"),
    "token.shut_out": _("API token shut out"),
    "token.let_in": _("API token let in again"),
    "presenter.created": _("Presenter added"),
    "presenter.renamed": _("Presenter renamed"),
    "presenter.archived": _("Presenter archived"),
    "presenter.restored": _("Presenter brought back"),
    "footage.uploaded": _("Footage uploaded"),
    "footage.archived": _("Footage archived"),
    "footage.restored": _("Footage brought back"),
    "footage.reanalysed": _("Footage looked at again"),
    "footage.face_chosen": _("Presenter's face chosen"),
    "script.created": _("Script added"),
    "script.renamed": _("Script renamed"),
    "script.written": _("Words written"),
    "script.archived": _("Script archived"),
    "script.restored": _("Script brought back"),
    "take.added": _("Recording added"),
    "take.archived": _("Recording archived"),
    "take.restored": _("Recording brought back"),
    "take.reanalysed": _("Recording listened to again"),
    "take.words_chosen": _("Newest words are the recording's"),
    "upload.abandoned": _("Upload cancelled"),
    "project.created": _("Project made"),
    "project.renamed": _("Project renamed"),
    "project.template_set": _("File names changed"),
    "project.presenter_added": _("Presenter put on the board"),
    "project.presenter_removed": _("Presenter taken off the board"),
    "project.script_added": _("Script put on the board"),
    "project.script_removed": _("Script taken off the board"),
    "project.archived": _("Project archived"),
    "project.restored": _("Project brought back"),
    "batch.started": _("Rendering started"),
    "batch.retried": _("Failed renders tried again"),
    "job.cancelled": _("Rendering cancelled"),
    "job.held": _("Rendering put on hold"),
    "job.released": _("Rendering taken off hold"),
    "job.moved_to_front": _("Rendering moved to the front"),
    "job.prioritised": _("Place in line changed"),
    "job.retried": _("Rendering tried again"),
    "job.requeued": _("Rendering taken from its worker"),
    "batch.cancelled": _("Batch cancelled"),
    "batch.requeued": _("Batch taken from its workers"),
    "batch.held": _("Batch put on hold"),
    "batch.released": _("Batch taken off hold"),
    "batch.prioritised": _("Batch's place in line changed"),
    "team.work_cancelled": _("Team's work cancelled"),
    "team.work_requeued": _("Team's work taken from its workers"),
    "team.work_released": _("Team's work taken off hold"),
    "team.prioritised": _("Team's place in line changed"),
    "team.retry_policy_changed": _("Team's retry policy changed"),
    "worker.stopped": _("Worker stopped"),
    "worker.restarted": _("Worker restarted"),
    "team.paused": _("Team paused"),
    "team.learning_on": _("Learning from our footage switched on"),
    "team.learning_off": _("Learning from our footage switched off"),
    "base.started": _("Learning from our footage started"),
    "base.cancelled": _("Learning from our footage stopped"),
    "base.made": _("Learnt from our footage"),
    "mouths.started": _("Mouth model ordered"),
    "mouths.cancelled": _("Mouth model's making stopped"),
    "mouths.removed": _("Mouth model removed"),
    "mouths.made": _("Mouth model learnt"),
    "team.resumed": _("Team resumed"),
    "team.limits_changed": _("Team's limits changed"),
    "team.retention_changed": _("Team's retention changed"),
    "retention.applied": _("Old files removed by the rule of retention"),
    "storage.mended": _("Storage mended"),
    "team.share_changed": _("Team's share of the machines changed"),
    "worker.active": _("Worker given work again"),
    "worker.paused": _("Worker paused"),
    "worker.draining": _("Worker drained"),
    "worker.quarantined": _("Worker quarantined"),
    "version.published": _("Version published"),
    "version.restored": _("Earlier version published again"),
    "version.unpublished": _("Version no longer published"),
    "version.deleted": _("Version deleted"),
    "preset.created": _("Preset made"),
    "preset.changed": _("Preset changed"),
    "preset.made_default": _("Preset made the default"),
    "preset.deleted": _("Preset deleted"),
    "export.started": _("ZIP asked for"),
    "export.deleted": _("ZIP deleted"),
    "demo.made": _("Demo made"),
    "webhook.created": _("Webhook added"),
    "webhook.changed": _("Webhook changed"),
    "webhook.secret_rotated": _("New signing secret of a webhook"),
    "webhook.redelivered": _("Event delivered again"),
    "webhook.stopped": _("Webhook stopped by itself"),
    "webhook.deleted": _("Webhook deleted"),
}
"""What the diary's actions are called on a page; an unknown one is shown as it is."""
