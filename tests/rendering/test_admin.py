"""The operator's lists: they open, they are cheap, and they change nothing that is not theirs."""

from __future__ import annotations

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from projects.models import Project
from rendering.models import RenderJob, TeamShare, WorkerNode
from rendering.services.batches import start_batch
from rendering.services.exports import create_export
from tests import factories
from tests.cast import browser
from tests.rendering import making

OURS = sorted(
    (model._meta.app_label, model._meta.model_name)
    for model in admin.site._registry
    if model._meta.app_label in ("projects", "rendering")
)


@pytest.fixture
def operator(db: None) -> Client:
    return browser(factories.user("operator", is_staff=True, is_superuser=True))


@pytest.fixture
def full(alice: User, project: Project) -> Project:
    """One of everything."""
    made = making.ready_project(project.team)
    start_batch(actor=alice, project=made)
    making.succeed_next()
    making.fail_next()
    create_export(actor=alice, project=made)
    return made


@pytest.mark.parametrize(("app", "model"), OURS)
def test_every_list_and_its_first_entry_open(operator: Client, full: Project, app: str, model: str) -> None:
    page = operator.get(reverse(f"admin:{app}_{model}_changelist"))
    assert page.status_code == 200
    first = page.context["cl"].queryset.first()
    if first is not None:
        assert operator.get(reverse(f"admin:{app}_{model}_change", args=[first.pk])).status_code == 200


def test_a_jobs_state_cannot_be_edited(operator: Client, full: Project) -> None:
    job = RenderJob.objects.order_by("-pk")[0]
    page = reverse("admin:rendering_renderjob_change", args=[job.pk])
    assert operator.post(page, {"state": "succeeded"}).status_code == 403
    assert operator.post(reverse("admin:rendering_renderjob_delete", args=[job.pk]), {"post": "yes"}).status_code == 403
    before = job.state
    job.refresh_from_db()
    assert job.state == before


def test_a_worker_is_drained_and_taken_on_again(operator: Client, db: None) -> None:
    node = making.worker()
    page = reverse("admin:rendering_workernode_changelist")
    for action, state in (("drain", WorkerNode.State.DRAINING), ("activate", WorkerNode.State.ACTIVE)):
        operator.post(page, {"action": action, "_selected_action": [node.pk]})
        node.refresh_from_db()
        assert node.state == state


def test_whoever_may_only_look_steers_nothing(db: None) -> None:
    node = making.worker()
    looker = factories.user("looker", is_staff=True)
    looker.user_permissions.add(Permission.objects.get(codename="view_workernode"))
    page = reverse("admin:rendering_workernode_changelist")
    browser(looker).post(page, {"action": "drain", "_selected_action": [node.pk]})
    node.refresh_from_db()
    assert node.state == WorkerNode.State.ACTIVE


def test_a_team_is_paused_and_resumed(operator: Client, project: Project) -> None:
    share = TeamShare.objects.create(team=project.team)
    page = reverse("admin:rendering_teamshare_changelist")
    operator.post(page, {"action": "pause", "_selected_action": [share.pk]})
    share.refresh_from_db()
    assert share.paused_at is not None
    operator.post(page, {"action": "resume", "_selected_action": [share.pk]})
    share.refresh_from_db()
    assert share.paused_at is None
