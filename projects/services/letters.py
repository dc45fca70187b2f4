"""Letters to people about what happened while nobody was looking. Without ``EMAIL_URL`` they go to the log."""

from __future__ import annotations

import logging
from smtplib import SMTPException

from django.conf import settings
from django.core.mail import send_mail
from django.urls import reverse
from django.utils import translation
from django.utils.translation import gettext as _

from projects.models import Role, Webhook
from projects.sentences import joined

log = logging.getLogger("heygem.letters")


def webhook_stopped(webhook: Webhook) -> None:
    """To the team's owners and managers. A letter that cannot be sent is not worth a worker's life."""
    roles = [Role.OWNER, Role.MANAGER]
    members = webhook.team.memberships.filter(role__in=roles, user__is_active=True)
    people = sorted(set(members.exclude(user__email="").values_list("user__email", flat=True)))
    with translation.override(settings.LANGUAGE_CODE):
        if webhook.disabled_reason == Webhook.Stopped.GONE:
            why = _("This webhook was switched off: the receiver answered that it is gone (410).")
        else:
            why = _("This webhook was switched off: nothing has reached it for days.")
        todo = _(
            "Mend the receiver, send a ping, and switch it on again. "
            "What it missed can be delivered again from the log."
        )
        place = settings.SITE_URL + reverse("projects:webhook", args=[webhook.public_id])
        subject = _("A webhook of %(team)s was switched off") % {"team": webhook.team.name}
        body = "\n\n".join((webhook.url, joined(why, todo), place))
    for person in people:
        try:
            send_mail(subject, body, None, [person])
        except (SMTPException, OSError):
            log.exception("a letter about webhook %s could not be sent", webhook.public_id)
