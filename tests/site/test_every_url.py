"""Every address of the site, asked for by everybody. A new URL fails here until it is in the table."""

from __future__ import annotations

import base64
import copy
import functools
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.db import transaction
from django.test import Client, override_settings
from django.urls import URLPattern, URLResolver, get_resolver, reverse
from django.utils import timezone
from pytest_django import DjangoDbBlocker
from pytest_django.fixtures import Settings

from projects.models import Membership, Role, Team, TeamBase
from projects.services import teams, tokens, uploads, webhooks
from rendering.cells import CellKey
from rendering.models import Export, Preset
from rendering.services import batches
from tests import factories
from tests.cast import browser
from tests.rendering import making, teaching

PEOPLE = ("nobody", "stranger", "viewer", "reviewer", "creator", "manager", "owner")

# The method, the URL's name, and what each of PEOPLE is answered: 302 for nobody is the way to sign in, 404 is "there
# is no such thing for you", 403 is "you may look but not do that".
TABLE = """
GET    rendering:home                 302 200 200 200 200 200 200
GET    rendering:try_it               302 404 403 403 200 200 200
POST   rendering:try_it               302 404 403 403 302 302 302
GET    rendering:project_new          302 404 403 403 200 200 200
POST   rendering:project_new          302 404 403 403 302 302 302
GET    rendering:projects_archived    302 404 200 200 200 200 200
GET    rendering:board                302 404 200 200 200 200 200
GET    rendering:board_changes        302 404 200 200 200 200 200
POST   rendering:board_render         302 404 403 403 200 200 200
POST   rendering:board_retry          302 404 403 403 200 200 200
POST   rendering:board_cancel         302 404 403 403 200 200 200
POST   rendering:board_export         302 404 403 204 204 204 204
GET    rendering:project_add          302 404 403 403 200 200 200
POST   rendering:project_add          302 404 403 403 302 302 302
POST   rendering:project_remove       302 404 403 403 302 302 302
GET    rendering:project_settings     302 404 403 403 200 200 200
POST   rendering:project_settings     302 404 403 403 302 302 302
POST   rendering:project_archive      302 404 403 403 302 302 302
POST   rendering:project_restore      302 404 403 403 302 302 302
POST   rendering:batch_cancel         302 404 403 403 403 200 200
POST   rendering:job_cancel           302 404 403 403 403 302 302
POST   rendering:job_hold             302 404 403 403 403 302 302
POST   rendering:job_release          302 404 403 403 403 302 302
POST   rendering:job_to_front         302 404 403 403 403 302 302
GET    rendering:cell                 302 404 200 200 200 200 200
GET    rendering:cell_changes         302 404 204 204 204 204 204
POST   rendering:cell_render          302 404 403 403 302 302 302
GET    rendering:cell_compare         302 404 200 200 200 200 200
POST   rendering:version_publish      302 404 403 302 302 302 302
POST   rendering:version_delete       302 404 403 403 403 302 302
GET    rendering:exports              302 404 200 200 200 200 200
GET    rendering:exports_changes      302 404 200 200 200 200 200
POST   rendering:export_delete        302 404 403 403 403 302 302
GET    rendering:presets              302 404 200 200 200 200 200
GET    rendering:preset_new           302 404 403 403 200 200 200
POST   rendering:preset_new           302 404 403 403 302 302 302
GET    rendering:preset               302 404 403 403 200 200 200
POST   rendering:preset               302 404 403 403 302 302 302
POST   rendering:preset_default       302 404 403 403 302 302 302
POST   rendering:preset_delete        302 404 403 403 302 302 302
GET    rendering:mouths               302 404 200 200 200 200 200
GET    rendering:mouths_changes       302 404 200 200 200 200 200
GET    rendering:mouths_log_changes   302 404 403 403 200 200 200
POST   rendering:mouths_act           302 404 403 403 302 302 302
GET    rendering:learning_changes     302 404 403 403 403 200 200
POST   rendering:learning_act         302 404 403 403 403 302 302

GET    projects:team_new              302 200 200 200 200 200 200
POST   projects:team_new              302 302 302 302 302 302 302
GET    projects:tokens                302 200 200 200 200 200 200
POST   projects:tokens                302 200 200 200 200 200 200
POST   projects:token_revoke          302 404 404 404 404 404 302
GET    projects:team_tokens           302 404 403 403 403 200 200
POST   projects:team_token_act        302 404 403 403 403 302 302
POST   projects:team_switch           302 404 302 302 302 302 302
GET    projects:team_settings         302 404 403 403 403 200 200
POST   projects:team_settings         302 404 403 403 403 302 302
GET    projects:members               302 404 200 200 200 200 200
POST   projects:invite                302 404 403 403 403 200 200
POST   projects:member_role           302 404 403 403 403 302 302
POST   projects:member_remove         302 404 403 403 403 302 302
GET    projects:invitation            200 200 409 409 409 409 409
POST   projects:invitation            302 302 409 409 409 409 409
POST   projects:invitation_revoke     302 404 403 403 403 302 302
GET    projects:presenters            302 404 200 200 200 200 200
POST   projects:presenter_new         302 404 403 403 302 302 302
GET    projects:presenters_changes    302 404 200 200 200 200 200
GET    projects:presenter             302 404 200 200 200 200 200
GET    projects:presenter_changes     302 404 200 200 200 200 200
POST   projects:presenter_edit        302 404 403 403 302 302 302
POST   projects:presenter_archive     302 404 403 403 302 302 302
POST   projects:presenter_restore     302 404 403 403 302 302 302
GET    projects:footage               302 404 302 302 302 302 302
POST   projects:footage_archive       302 404 403 403 302 302 302
POST   projects:footage_restore       302 404 403 403 302 302 302
POST   projects:footage_analyse       302 404 403 403 302 302 302
POST   projects:footage_face          302 404 403 403 302 302 302
GET    projects:scripts               302 404 200 200 200 200 200
POST   projects:script_new            302 404 403 403 302 302 302
GET    projects:scripts_changes       302 404 200 200 200 200 200
GET    projects:script                302 404 200 200 200 200 200
GET    projects:script_changes        302 404 200 200 200 200 200
POST   projects:script_write          302 404 403 403 302 302 302
POST   projects:script_edit           302 404 403 403 302 302 302
POST   projects:script_archive        302 404 403 403 302 302 302
POST   projects:script_restore        302 404 403 403 302 302 302
POST   projects:take_archive          302 404 403 403 302 302 302
POST   projects:take_restore          302 404 403 403 302 302 302
POST   projects:take_analyse          302 404 403 403 302 302 302
POST   projects:take_words            302 404 403 403 302 302 302
GET    projects:webhooks              302 404 403 403 403 200 200
GET    projects:webhook_new           302 404 403 403 403 200 200
POST   projects:webhook_new           302 404 403 403 403 200 200
GET    projects:webhook               302 404 403 403 403 200 200
GET    projects:webhook_changes       302 404 403 403 403 200 200
GET    projects:webhook_edit          302 404 403 403 403 200 200
POST   projects:webhook_edit          302 404 403 403 403 302 302
POST   projects:webhook_ping          302 404 403 403 403 302 302
POST   projects:webhook_switch        302 404 403 403 403 302 302
POST   projects:webhook_rotate        302 404 403 403 403 200 200
POST   projects:webhook_delete        302 404 403 403 403 302 302
GET    projects:delivery              302 404 403 403 403 200 200
POST   projects:delivery_again        302 404 403 403 403 302 302
GET    projects:media                 302 404 200 200 200 200 200
HEAD   projects:media                 302 404 200 200 200 200 200
POST   projects:uploads               401 404 403 403 201 201 201
OPTIONS projects:uploads              401 204 204 204 204 204 204
HEAD   projects:upload                401 404 403 403 404 404 200
PATCH  projects:upload                401 404 403 403 404 404 204
DELETE projects:upload                401 404 403 403 404 404 204
GET    projects:upload_parts         401 404 403 403 404 404 409
POST   projects:upload_parts         401 404 403 403 404 404 409
OPTIONS projects:upload               401 204 204 204 204 204 204

GET    api:team-list                 401 200 200 200 200 200 200
GET    api:presenter-list            401 200 200 200 200 200 200
GET    api:presenter-detail          401 404 200 200 200 200 200
GET    api:footage-list              401 200 200 200 200 200 200
GET    api:footage-detail            401 404 200 200 200 200 200
GET    api:script-list               401 200 200 200 200 200 200
GET    api:script-detail             401 404 200 200 200 200 200
GET    api:take-list                 401 200 200 200 200 200 200
GET    api:take-detail               401 404 200 200 200 200 200
GET    api:project-list              401 200 200 200 200 200 200
GET    api:project-detail            401 404 200 200 200 200 200
GET    api:batch-list                401 200 200 200 200 200 200
GET    api:batch-detail              401 404 200 200 200 200 200
GET    api:job-list                  401 200 200 200 200 200 200
GET    api:job-detail                401 404 200 200 200 200 200
GET    api:mouths-list               401 200 200 200 200 200 200
GET    api:mouths-detail             401 404 200 200 200 200 200
GET    api:mouths-log                401 404 403 403 200 200 200
POST   api:mouths-list               401 404 403 403 201 201 201
POST   api:mouths-cancel             401 404 403 403 200 200 200
DELETE api:mouths-detail             401 404 403 403 204 204 204
GET    api:version-list              401 200 200 200 200 200 200
GET    api:version-detail            401 404 200 200 200 200 200
GET    api:export-list               401 200 200 200 200 200 200
GET    api:export-detail             401 404 200 200 200 200 200
POST   api:presenter-list            401 404 403 403 201 201 201
PATCH  api:presenter-detail          401 404 403 403 200 200 200
POST   api:script-list               401 404 403 403 201 201 201
PATCH  api:script-detail             401 404 403 403 200 200 200
POST   api:project-list              401 404 403 403 201 201 201
PATCH  api:project-detail            401 404 403 403 200 200 200
POST   api:presenter-archive         401 404 403 403 200 200 200
POST   api:presenter-restore         401 404 403 403 200 200 200
POST   api:footage-archive           401 404 403 403 200 200 200
POST   api:footage-restore           401 404 403 403 200 200 200
POST   api:script-archive            401 404 403 403 200 200 200
POST   api:script-restore            401 404 403 403 200 200 200
POST   api:take-archive              401 404 403 403 200 200 200
POST   api:take-restore              401 404 403 403 200 200 200
POST   api:project-archive           401 404 403 403 200 200 200
POST   api:project-restore           401 404 403 403 200 200 200
POST   api:footage-analyse           401 404 403 403 200 200 200
POST   api:footage-face              401 404 403 403 200 200 200
POST   api:take-analyse              401 404 403 403 200 200 200
POST   api:take-words                401 404 403 403 200 200 200
POST   api:script-write              401 404 403 403 200 200 200
POST   api:project-add               401 404 403 403 200 200 200
POST   api:project-remove            401 404 403 403 200 200 200
GET    api:project-board             401 404 200 200 200 200 200
GET    api:me                        401 200 200 200 200 200 200
POST   api:team-list                 401 201 201 201 201 201 201
GET    api:team-detail               401 404 200 200 200 200 200
PATCH  api:team-detail               401 404 403 403 403 200 200
GET    api:team-usage                401 404 200 200 200 200 200
GET    api:team-base                 401 404 200 200 200 200 200
POST   api:team-base                 401 404 403 403 403 422 422
GET    api:script-versions           401 404 200 200 200 200 200
GET    api:preset-list               401 200 200 200 200 200 200
GET    api:preset-detail             401 404 200 200 200 200 200
POST   api:preset-list               401 404 403 403 201 201 201
PATCH  api:preset-detail             401 404 403 403 200 200 200
POST   api:preset-default            401 404 403 403 200 200 200
DELETE api:preset-detail             401 404 403 403 204 204 204
POST   api:batch-list                401 404 403 403 201 201 201
POST   api:batch-cancel              401 404 403 403 403 200 200
POST   api:batch-retry               401 404 403 403 200 200 200
POST   api:job-cancel                401 404 403 403 403 200 200
POST   api:job-hold                  401 404 403 403 403 200 200
POST   api:job-release               401 404 403 403 403 200 200
POST   api:board-retry               401 404 403 403 200 200 200
POST   api:board-cancel              401 404 403 403 200 200 200
POST   api:job-front                 401 404 403 403 403 200 200
POST   api:job-retry                 401 404 403 403 409 409 409
GET    api:job-attempts              401 404 403 403 200 200 200
DELETE api:version-detail            401 404 403 403 403 204 204
POST   api:version-publish           401 404 403 200 200 200 200
POST   api:export-list               401 404 403 201 201 201 201
DELETE api:export-detail             401 404 403 403 403 204 204
GET    api:webhook-list              401 200 200 200 200 200 200
POST   api:webhook-list              401 404 403 403 403 201 201
GET    api:webhook-detail            401 404 403 403 403 200 200
PATCH  api:webhook-detail            401 404 403 403 403 200 200
DELETE api:webhook-detail            401 404 403 403 403 204 204
POST   api:webhook-ping              401 404 403 403 403 201 201
POST   api:webhook-rotate            401 404 403 403 403 200 200
GET    api:delivery-list             401 200 200 200 200 200 200
GET    api:delivery-detail           401 404 403 403 403 200 200
POST   api:delivery-redeliver        401 404 403 403 403 201 201
"""

# What anybody may open, and what only asks who one is: the answer to nobody and to somebody signed in.
OPEN = """
GET    healthz                                200 200
GET    readyz                                 200 200
GET    api:schema                             200 200
GET    api:docs                               200 200
GET    one_time_sign_in                       410 410
GET    account_login                          200 302
GET    account_signup                         200 302
GET    account_logout                         302 200
GET    account_inactive                       200 200
GET    account_reauthenticate                 302 200
GET    account_email                          302 200
GET    account_email_verification_sent        200 200
GET    account_confirm_email                  200 200
GET    account_confirm_login_code             302 302
GET    account_change_password                302 200
GET    account_set_password                   302 302
GET    account_reset_password                 200 200
GET    account_reset_password_done            200 200
GET    account_reset_password_from_key        200 200
GET    account_reset_password_from_key_done   200 200
POST   set_language                           302 302
"""

# What only operators may open: the answer to nobody, to each of the other PEOPLE, and to an operator.
OPERATORS = """
GET    metrics                        404 404 200
GET    rendering:farm                 302 404 200
GET    rendering:farm_now             302 404 200
GET    rendering:farm_rates           302 404 200
GET    rendering:farm_workers         302 404 200
GET    rendering:farm_worker          302 404 200
GET    rendering:farm_worker_changes  302 404 200
POST   rendering:farm_worker_act      302 404 302
GET    rendering:farm_jobs            302 404 200
POST   rendering:farm_jobs_act        302 404 302
GET    rendering:farm_job_log         302 404 200
GET    rendering:farm_batch           302 404 200
POST   rendering:farm_batch_act       302 404 302
GET    rendering:farm_audit           302 404 200
GET    rendering:farm_audit_csv       302 404 200
GET    rendering:farm_job             302 404 200
GET    rendering:farm_job_changes     302 404 200
POST   rendering:farm_job_act         302 404 302
POST   rendering:farm_mouths_act      302 404 302
POST   rendering:farm_base_act        302 404 302
GET    rendering:farm_team            302 404 200
POST   rendering:farm_team            302 404 302
GET    api:farm                       401 404 200
GET    api:worker-list                401 404 200
GET    api:worker-detail              401 404 200
POST   api:worker-act                 401 404 200
GET    api:farm-job-list              401 404 200
GET    api:farm-job-detail            401 404 200
GET    api:farm-job-attempts          401 404 200
POST   api:farm-job-act               401 404 200
POST   api:farm-batch-act             401 404 200
GET    api:farm-team-detail           401 404 200
PATCH  api:farm-team-detail           401 404 200
POST   api:farm-team-act              401 404 200
POST   api:farm-mouths-act            401 404 200
POST   api:farm-base-act              401 404 200
POST   rendering:farm_team_act        302 404 302
POST   rendering:farm_team_retain     302 404 302
GET    rendering:farm_storage         302 404 200
POST   rendering:farm_storage_retain  302 404 302
GET    rendering:farm_storage_check   302 404 200
POST   rendering:farm_storage_mend    302 404 302
"""


def rows(table: str) -> list[tuple[str, str, list[int]]]:
    cells = [line.split() for line in table.splitlines() if line.strip()]
    return [(method, name, [int(status) for status in statuses]) for method, name, *statuses in cells]


def patterns(resolver: URLResolver | None = None, namespace: str = "") -> Iterator[tuple[str, str]]:
    """Name and route of every URL but the operator's."""
    for entry in (resolver or get_resolver()).url_patterns:
        if isinstance(entry, URLPattern):
            yield f"{namespace}{entry.name}", str(entry.pattern)
        elif entry.namespace != "admin":
            yield from patterns(entry, f"{namespace}{entry.namespace}:" if entry.namespace else namespace)


@functools.cache
def routes() -> dict[str, str]:
    return dict(patterns())


@dataclass
class World:
    """One of everything that ``team`` keeps, and who asks for it."""

    team: Team
    people: dict[str, User | None]
    signed_in: dict[str, SimpleCookie]
    """What the browser of each of them keeps, and an operator's."""
    things: dict[str, str]
    """By the first word of an address."""
    member: int
    token: str

    def address(self, name: str) -> str:
        route = routes()[name]
        first = route.removeprefix("farm/").removeprefix("t/<str:team_id>/").split("/")[0]
        known: dict[str, Any] = {"team_id": self.team.public_id, "number": self.member, "token": self.token}
        known |= {"name": "clip.mp4", "public_id": self.things.get(route.split("<")[0], self.things.get(first, ""))}
        if first == "workers":
            known["number"] = self.things[first]
        words = re.findall(r"<(?:\w+:)?(\w+)>", route)
        return reverse(name, kwargs={word: known[word] for word in words})

    def form(self, method: str, name: str) -> dict[str, str]:
        """What a browser would send where an empty form is refused."""
        forms: dict[str, dict[str, str]] = {
            "rendering:board_render": {"all": "1"},
            "rendering:board_export": {"all": "1"},
            "rendering:learning_act": {"act": "off"},
            "rendering:mouths_act": {"act": "start"},
            "rendering:try_it": {"footage": self.things["footage"], "take": self.things["takes"]},
            "rendering:project_new": {"name": "Summer"},
            "rendering:project_settings": {"name": "Summer", "file_name_template": "{presenter}"},
            "rendering:preset_new": PRESET,
            "rendering:preset": PRESET,
            "projects:invite": {"role": "viewer"},
            "projects:webhook_new": HOOK,
            "projects:webhook_edit": HOOK,
            "projects:tokens": {"name": "Robot", "scope": "read", "days": "30"},
            "projects:member_role": {"role": "reviewer"},
            "projects:team_token_act": {"act": "shut_out"},
            "projects:footage_face": {"face": "1"},
            "projects:script_new": {"title": "New"},
            "projects:script_write": {"language": "en", "text": "New words."},
            "projects:script_edit": {"title": "Renamed"},
            "rendering:farm_worker_act": {"act": "drain"},
            "rendering:farm_job_act": {"act": "hold"},
            "rendering:farm_mouths_act": {"act": "cancel"},
            "rendering:farm_base_act": {"act": "cancel"},
            "rendering:farm_jobs_act": {"act": "hold", "job": self.things["jobs"]},
            "rendering:farm_batch_act": {"act": "hold"},
            "rendering:farm_team": {"weight": "2"},
            "rendering:farm_team_act": {"act": "pause"},
        }
        return forms.get(name, {"name": "Somebody"}) if method == "POST" else {}

    def body(self, name: str) -> str:
        """What a program would send."""
        project, team = self.things["projects"], self.team.public_id
        bodies: dict[str, dict[str, Any]] = {
            "api:webhook-list": {"team": team, **HOOK, "events": ["job.failed"]},
            "api:webhook-detail": {"is_active": False},
            "api:worker-act": {"act": "drain", "reason": "A new driver."},
            "api:farm-job-act": {"act": "hold"},
            "api:farm-batch-act": {"act": "hold"},
            "api:farm-mouths-act": {"act": "cancel"},
            "api:farm-base-act": {"act": "cancel"},
            "api:farm-team-act": {"act": "pause"},
            "api:farm-team-detail": {"weight": 2},
            "api:footage-face": {"face": 0},
            "api:mouths-list": {"footage": self.things["footage"]},
            "api:script-list": {"team": team, "title": "New"},
            "api:script-detail": {"title": "Renamed"},
            "api:script-write": {"language": "en", "text": "New words."},
            "api:batch-list": {"project": project},
            "api:export-list": {"project": project, "versions": [self.things["versions"]]},
        }
        return json.dumps(bodies.get(name, {"team": team, "name": "Somebody"}))

    def headers(self, method: str, name: str) -> dict[str, str]:
        if not name.startswith("projects:upload"):
            return {}
        said = {"filename": "a.mp4", "purpose": "footage", "team": self.team.public_id}
        metadata = ",".join(f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in said.items())
        tus = {"Tus-Resumable": "1.0.0", "Upload-Length": "9", "Upload-Metadata": metadata, "Upload-Offset": "0"}
        return tus | ({"Content-Type": "application/offset+octet-stream"} if method == "PATCH" else {})


HOOK = {"url": "https://example.com/hooks", "events": "job.failed"}
PRESET = {
    "name": "Small",
    "backend": "exemplar",
    "amplitude": "1",
    "when_shorter": "cut",
    "crf": "20",
    "speed": "fast",
}


def build() -> World:
    alice, charlie = factories.user("alice"), factories.user("charlie")
    team = factories.team("Alice's team", owner=alice)
    factories.team("Charlie's team", owner=charlie)
    roles = {"victor": Role.VIEWER, "rita": Role.REVIEWER, "bob": Role.CREATOR, "mona": Role.MANAGER}
    victor, rita, bob, mona = (factories.member(team, role, name) for name, role in roles.items())
    # Of four cells one is done, one has failed, one waits and one is empty.
    project = making.ready_project(team)
    cells = [
        CellKey(row.public_id, column.public_id, "en")
        for row in project.presenters.all()
        for column in project.scripts.all()
    ][:3]
    batch = batches.start_batch(actor=alice, project=project, cells=cells)
    published = making.succeed_next()
    making.fail_next()
    cell = published.deliverable
    version = making.version(project, cell.presenter, cell.script)
    invitation, token = teams.invite(actor=alice, team=team, role=Role.VIEWER)
    footage, other_footage = (person.footage.get() for person in project.presenters.all())
    footage.faces, footage.presenter_face = [[0.1, 0.2, 0.2, 0.3], [0.6, 0.2, 0.2, 0.3]], 1
    footage.save(update_fields=["faces", "presenter_face"])
    take = project.scripts.first().versions.get().takes.get()
    upload = uploads.start(actor=alice, team=team, purpose="footage", name="a.mp4", size=9, target={})
    export = Export.objects.create(team=team, project=project, created_by=alice, name="a.zip")
    preset = Preset.objects.create(team=team, name="Extra")
    other = factories.member(team, Role.VIEWER)
    hook, _secret = webhooks.create_webhook(actor=alice, team=team, url=HOOK["url"], events=["job.failed"])
    delivery = webhooks.ping(actor=alice, webhook=hook)
    api_token, _secret = tokens.create_token(actor=alice, name="Robot", scope="read")
    people = dict(zip(PEOPLE, (None, charlie, victor, rita, bob, mona, alice), strict=True))
    operator = factories.user("olga", is_staff=True)
    return World(
        team=team,
        people=people,
        signed_in={name: browser(user).cookies for name, user in (people | {"operator": operator}).items()},
        things={
            "projects": project.public_id,
            "presenters": footage.presenter.public_id,
            "footage": footage.public_id,
            "scripts": take.script_version.script.public_id,
            "takes": take.public_id,
            "batches": batch.public_id,
            "jobs": batch.jobs.filter(state="queued").first().public_id,
            "cells": version.deliverable.public_id,
            "versions": version.public_id,
            "exports": export.public_id,
            "mouths": teaching.model(footage).public_id,
            "farm/mouths/": teaching.model(other_footage, state="waiting", blob=None).public_id,
            "bases": TeamBase.objects.create(team=team).public_id,
            "presets": preset.public_id,
            "teams": team.public_id,
            "workers": str(making.worker().pk),
            "media": factories.blob(team, b"moving pictures").public_id,
            "uploads": upload.public_id,
            "invitations": invitation.public_id,
            "tokens": api_token.public_id,
            "webhooks": hook.public_id,
            "deliveries": delivery.public_id,
        },
        member=Membership.objects.get(user=other).pk,
        token=token,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where what ``town`` keeps lies."""
    return tmp_path_factory.mktemp("town")


@pytest.fixture(autouse=True)
def media(settings: Settings, folder: Path) -> Path:
    settings.CACHE_ROOT, settings.MEDIA_ROOT = folder / "cache", folder
    settings.ANALYSIS_TASK = "rendering.tasks.analyse"
    return folder


@pytest.fixture(scope="module")
def town(folder: Path, django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[World]:
    """Made once for two hundred addresses, in a transaction that holds those of all tests and is never committed."""
    given = override_settings(MEDIA_ROOT=folder, ANALYSIS_TASK="rendering.tasks.analyse")
    with django_db_blocker.unblock(), given, transaction.atomic():
        yield build()
        transaction.set_rollback(True)


@pytest.fixture
def world(town: World, db: None) -> World:
    """What a test does to it is taken back."""
    return town


def ask(world: World, method: str, name: str, person: str) -> Any:
    """The answer; whatever it changed is taken back."""
    client = Client()
    client.cookies = copy.deepcopy(world.signed_in[person])
    call: Callable[..., Any] = getattr(client, method.lower())
    data: Any = b"" if method == "PATCH" else world.form(method, name)
    more: dict[str, Any] = {}
    if name.startswith("api:") and method != "GET":
        data, more = world.body(name), {"content_type": "application/json"}
    with transaction.atomic():
        answer = call(world.address(name), data, headers=world.headers(method, name), **more)
        transaction.set_rollback(True)
    return answer


@pytest.mark.parametrize(("method", "name", "expected"), rows(TABLE), ids=lambda value: str(value).replace(":", "-"))
def test_everybody_is_answered_as_their_role_allows(world, method, name, expected):
    answers = {person: ask(world, method, name, person) for person in PEOPLE}
    assert [answer.status_code for answer in answers.values()] == expected
    if expected[0] == 302:
        assert answers["nobody"]["Location"].startswith("/accounts/login/?next=/")
    for person, answer in answers.items():
        if answer.status_code == 403 and method != "HEAD":
            assert b"Your role in this team does not allow that." in answer.content, person


@pytest.mark.parametrize(("method", "name", "expected"), rows(OPERATORS), ids=lambda value: str(value))
def test_the_farm_is_there_for_operators_alone(world, method, name, expected):
    nobody, others, operator = expected
    answers = {person: ask(world, method, name, person).status_code for person in world.signed_in}
    assert answers == dict.fromkeys(PEOPLE, others) | {"nobody": nobody, "operator": operator}


INLINE = "(?:a|b|code|em|span|strong)"
GAP = re.compile(rf"[。！？：；，](?:</{INLINE}>)*\s+(?:<{INLINE}[^>]*>)*[\u4e00-\u9fff“]")
"""A space between two Chinese sentences of one paragraph."""
NARROW = re.compile(rf"[\u4e00-\u9fff](?:</{INLINE}>)*[:;,!?]")
"""A mark of English after a word of Chinese."""


def test_no_page_puts_a_space_between_chinese_sentences_or_an_english_mark_into_one(world):
    pages = [(name, "owner") for method, name, expected in rows(TABLE) if method == "GET" and expected[-1] == 200]
    pages += [(name, "operator") for method, name, _expected in rows(OPERATORS) if method == "GET"]
    world = copy.deepcopy(world)
    for kept in world.signed_in.values():
        kept["django_language"] = "zh-hans"
    found = {}
    for name, person in pages:
        answer = ask(world, "GET", name, person)
        if answer["Content-Type"].startswith("text/html"):
            text = answer.content.decode()
            found[name] = GAP.findall(text) + NARROW.findall(text)
    assert len(found) > 40
    assert {name: gaps for name, gaps in found.items() if gaps} == {}


@pytest.mark.parametrize(("method", "name", "expected"), rows(OPEN), ids=lambda value: str(value))
def test_what_is_open_to_anybody_is_and_tells_nothing(world, method, name, expected):
    route = routes()[name]
    words = {"token": "x", "key": "x", "uidb36": "x"}
    address = reverse(name, kwargs={word: words[word] for word in re.findall(r"<(?:\w+:)?(\w+)>", route)})
    clients = [browser(), browser(world.people["owner"])]
    assert [getattr(client, method.lower())(address).status_code for client in clients] == expected


def test_every_url_is_in_a_table():
    known = {name for _method, name, _expected in rows(TABLE) + rows(OPERATORS) + rows(OPEN)}
    assert set(routes()) == known


def test_somebody_else_s_session_of_a_team_ends_with_their_membership(world):
    bob = world.people["creator"]
    client = browser(bob)
    address = world.address("projects:presenters")
    assert client.get(address).status_code == 200
    Membership.objects.filter(user=bob).delete()
    assert client.get(address).status_code == 404


def test_a_thing_of_one_team_is_not_found_through_another(world):
    """Being somebody in one team opens nothing in another, whatever the address says."""
    charlie = world.people["stranger"]
    theirs = charlie.teams.get()
    client = browser(charlie)
    assert client.get(reverse("projects:presenters", args=[theirs.public_id])).status_code == 200
    url = reverse("projects:member_remove", args=[theirs.public_id, world.member])
    assert client.post(url).status_code == 404
    assert Membership.objects.filter(pk=world.member).exists()


def operator_pages() -> list[str]:
    """The addresses of the operator's pages, with an id where one belongs."""
    pages = []
    for entry in admin.site.get_urls():
        for pattern in entry.url_patterns if isinstance(entry, URLResolver) else [entry]:
            if pattern.name in (None, "login", "logout"):
                continue
            words = re.findall(r"<(?:\w+:)?(\w+)>", str(pattern.pattern))
            if isinstance(entry, URLResolver) or not words:
                kwargs = dict.fromkeys(words, "1")
                pages.append(reverse(f"admin:{pattern.name}", kwargs=kwargs))
    return pages


def test_nobody_but_operators_opens_the_operators_pages(world):
    pages = operator_pages()
    assert len(pages) > 20
    for client in (browser(), browser(world.people["owner"])):
        for page in pages:
            answer = client.get(page)
            assert (page, answer.status_code) == (page, 302)
            assert answer["Location"].startswith("/admin/login/")


def test_a_form_without_the_page_s_token_changes_nothing(world):
    client = Client(enforce_csrf_checks=True)
    client.force_login(world.people["creator"], backend="django.contrib.auth.backends.ModelBackend")
    answer = client.post(reverse("projects:presenter_new", args=[world.team.public_id]), {"name": "Eve"})
    assert answer.status_code == 403
    assert not world.team.presenters.filter(name="Eve").exists()


def test_an_expired_invitation_is_gone_for_everybody(world):
    teams.open_invitation(world.token)
    world.team.invitations.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert ask(world, "GET", "projects:invitation", "stranger").status_code == 410
