"""What the catalogue says about webhooks: addresses that are not called, and deliveries that did not arrive."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from projects.problems import Problem

PROBLEMS = (
    Problem(
        "webhook_url",
        _("This is not an address that can be called."),
        _("Write it in full, such as https://example.com/heygem."),
    ),
    Problem(
        "webhook_url_password",
        _("The address holds a user name or password."),
        _("Leave it out and check the signature instead."),
    ),
    Problem(
        "webhook_needs_https",
        _("Webhooks are sent by https only."),
        _("Use an https address, or ask the operator to allow http (WEBHOOK_ALLOW_HTTP)."),
    ),
    Problem(
        "webhook_port",
        _("Webhooks are not sent to this port."),
        _("Use port 443, or another one from 1024 on that is not a database's or the like."),
    ),
    Problem(
        "webhook_private",
        _("The address leads into a private network."),
        _("Use a public address, or ask the operator to open this network (WEBHOOK_ALLOWED_NETWORKS)."),
    ),
    Problem("webhook_no_events", _("No event that is known was chosen."), _("Choose at least one event.")),
    Problem(
        "webhook_too_many",
        _("The team has %(limit)s webhooks already."),
        _("Delete one that is not needed any more."),
        409,
    ),
    Problem(
        "webhook_stopped",
        _("This webhook is switched off."),
        _("Switch it on, then deliver again."),
        409,
    ),
    Problem(
        "webhook_secret_lost",
        _("The signing secret is no longer valid: the key of this installation has changed."),
        _("Make a new secret and give it to the receiver."),
    ),
    Problem(
        "webhook_unknown_host",
        _("The name in the address is not known."),
        _("Check the address, and the name's DNS entry."),
    ),
    Problem(
        "webhook_unreachable",
        _("Nothing answers at the address."),
        _("Check that the receiver runs and can be reached from the internet."),
    ),
    Problem(
        "webhook_timeout",
        _("The receiver did not answer within ten seconds."),
        _("Let it answer first, with 204 say, and do its work after that."),
    ),
    Problem(
        "webhook_tls",
        _("The receiver's certificate is not valid."),
        _("Renew it, and check that it is for this name."),
    ),
    Problem(
        "webhook_redirected",
        _("The receiver answered that it is elsewhere; redirects are not followed."),
        _("Enter the final address."),
    ),
    Problem(
        "webhook_answer",
        _("The receiver did not answer with success."),
        _("Look at its answer; any status from 200 to 299 counts as received."),
    ),
    Problem(
        "webhook_gone",
        _("The receiver answered that it is gone (410)."),
        _("If that was a mistake, switch the webhook on again."),
    ),
)
