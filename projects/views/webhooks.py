"""Webhooks of a team: whom to tell what, whether they answer, and what was told."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.contrib.auth.decorators import login_required
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.http import urlencode
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from projects import access, labels, problems, selectors
from projects.models import Role, Team, Webhook, WebhookDelivery
from projects.problems import HeyGemError, Problem
from projects.services import webhook_secrets
from projects.services import webhooks as services
from projects.views.base import fragment, mark_of, numbered, page, signed_in

PAGE = 30
SOON = timedelta(minutes=2)
"""What is tried again so soon is worth looking at."""
State = WebhookDelivery.State


@dataclass(frozen=True)
class Row:
    """One line of the log. ``problem`` is why the last try did not arrive."""

    delivery: WebhookDelivery
    problem: Problem | None


def _row(delivery: WebhookDelivery) -> Row:
    return Row(delivery, problems.get(delivery.error_code) if delivery.error_code else None)


@login_required
@require_safe
def webhooks(request: HttpRequest, team_id: str) -> HttpResponse:
    team = access.get_team_for_user(request.user, team_id, need=Role.MANAGER)
    return page(request, "projects/webhooks.html", team, webhooks=selectors.webhooks(team))


def _form(
    request: HttpRequest, team: Team, webhook: Webhook | None, *, error: HeyGemError | None = None
) -> HttpResponse:
    """What was typed is shown again, beside why it was refused."""
    asked = request.POST if request.method == "POST" else None
    typed = {
        "url": asked.get("url", "") if asked else (webhook.url if webhook else ""),
        "description": asked.get("description", "") if asked else (webhook.description if webhook else ""),
        "events": asked.getlist("events") if asked else (webhook.events if webhook else list(services.EVENTS)),
    }
    context = {"webhook": webhook, "typed": typed, "groups": labels.event_groups(services.EVENTS), "problem": error}
    response = page(request, "projects/webhook_form.html", team, **context)
    response.status_code = 422 if error else 200
    return response


def _typed(request: HttpRequest) -> dict[str, Any]:
    return {
        "url": request.POST.get("url", ""),
        "description": request.POST.get("description", ""),
        "events": request.POST.getlist("events"),
    }


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def webhook_new(request: HttpRequest, team_id: str) -> HttpResponse:
    """A new webhook is answered with its page: the secret is shown this once and never again."""
    team = access.get_team_for_user(request.user, team_id, need=Role.MANAGER)
    if request.method != "POST":
        return _form(request, team, None)
    try:
        made, secret = services.create_webhook(actor=signed_in(request), team=team, **_typed(request))
    except HeyGemError as error:
        return _form(request, team, None, error=error)
    return _webhook_page(request, made, secret=secret)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def webhook_edit(request: HttpRequest, public_id: str) -> HttpResponse:
    found = access.get_webhook_for_user(request.user, public_id)
    if request.method != "POST":
        return _form(request, found.team, found)
    try:
        services.change_webhook(actor=signed_in(request), webhook=found, **_typed(request))
    except HeyGemError as error:
        found.refresh_from_db()
        return _form(request, found.team, found, error=error)
    return redirect("projects:webhook", found.public_id)


def _log(request: HttpRequest, webhook: Webhook) -> dict[str, Any]:
    """The deliveries that ``?state=`` and ``?event=`` ask for; nonsense asks for all."""
    rows: QuerySet[WebhookDelivery] = webhook.deliveries.all()
    state, event = request.GET.get("state", ""), request.GET.get("event", "")
    wanted = {
        "state": state if state in State.values else "",
        "event": event if event in (*services.EVENTS, services.PING) else "",
    }
    rows = rows.filter(**{name: value for name, value in wanted.items() if value})
    shown = numbered(request, rows, size=PAGE)
    soon = timezone.now() + SOON
    moving = any(
        delivery.state == State.RUNNING or (delivery.state == State.WAITING and delivery.next_try_at < soon)
        for delivery in shown
    )
    return {
        "webhook": webhook,
        "page_obj": shown,
        "rows": [_row(delivery) for delivery in shown],
        "moving": moving,
        **wanted,
        "query": urlencode(wanted),
    }


def _marks(log: dict[str, Any]) -> list[str]:
    return [f"{row.delivery.pk}:{row.delivery.state}:{row.delivery.attempts}" for row in log["rows"]]


def _webhook_page(request: HttpRequest, webhook: Webhook, *, secret: str = "") -> HttpResponse:
    log = _log(request, webhook)
    return page(
        request,
        "projects/webhook.html",
        webhook.team,
        **log,
        secret=secret,
        secret_lost=not webhook_secrets.is_known(webhook),
        states=State.choices,
        types=(*services.EVENTS, services.PING),
        mark=mark_of(_marks(log)),
    )


@login_required
@require_safe
def webhook(request: HttpRequest, public_id: str) -> HttpResponse:
    return _webhook_page(request, access.get_webhook_for_user(request.user, public_id))


@login_required
@require_safe
def webhook_changes(request: HttpRequest, public_id: str) -> HttpResponse:
    found = access.get_webhook_for_user(request.user, public_id)
    log = _log(request, found)
    return fragment(request, "projects/_webhook_log.html", found.team, _marks(log), **log)


@login_required
@require_POST
def webhook_ping(request: HttpRequest, public_id: str) -> HttpResponse:
    found = access.get_webhook_for_user(request.user, public_id)
    services.ping(actor=signed_in(request), webhook=found)
    return redirect("projects:webhook", found.public_id)


@login_required
@require_POST
def webhook_switch(request: HttpRequest, public_id: str) -> HttpResponse:
    found = access.get_webhook_for_user(request.user, public_id)
    services.change_webhook(actor=signed_in(request), webhook=found, is_active=request.POST.get("on") == "1")
    return redirect("projects:webhook", found.public_id)


@never_cache
@login_required
@require_POST
def webhook_rotate(request: HttpRequest, public_id: str) -> HttpResponse:
    """Answered with the page itself: the new secret is shown this once."""
    found = access.get_webhook_for_user(request.user, public_id)
    secret = services.rotate_secret(actor=signed_in(request), webhook=found)
    return _webhook_page(request, found, secret=secret)


@login_required
@require_POST
def webhook_delete(request: HttpRequest, public_id: str) -> HttpResponse:
    found = access.get_webhook_for_user(request.user, public_id)
    services.delete_webhook(actor=signed_in(request), webhook=found)
    return redirect("projects:webhooks", found.team.public_id)


@login_required
@require_safe
def delivery(request: HttpRequest, public_id: str) -> HttpResponse:
    found = access.get_delivery_for_user(request.user, public_id)
    pretty = json.dumps(json.loads(found.body), indent=2, ensure_ascii=False)
    return page(
        request,
        "projects/webhook_delivery.html",
        found.webhook.team,
        row=_row(found),
        delivery=found,
        webhook=found.webhook,
        body=pretty,
        tries=[{**one, "problem": problems.get(one["code"]) if one["code"] else None} for one in reversed(found.tries)],
    )


@login_required
@require_POST
def delivery_again(request: HttpRequest, public_id: str) -> HttpResponse:
    found = access.get_delivery_for_user(request.user, public_id)
    services.redeliver(actor=signed_in(request), delivery=found)
    return redirect("projects:webhook", found.webhook.public_id)
