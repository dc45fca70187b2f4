"""Every way the site says no: one catalogue for pages, API and logs.

The engine's failures and findings join it through :func:`register` when ``rendering`` starts, so a code is looked up
in one place wherever it came from.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.utils.formats import number_format
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _


@dataclass(frozen=True)
class Problem:
    """What happened and what to do. Sentences may hold ``%(name)s`` fields, filled by :class:`HeyGemError`'s params."""

    code: str
    sentence: str | Promise
    remedy: str | Promise
    status: int = 400
    """HTTP status when it answers a request."""
    with_figure: str | Promise = ""
    """The sentence where a length in seconds belongs to it, with ``%(clock)s`` or ``%(seconds)s`` for it."""

    def said(self, figure: float | None = None) -> str:
        """The sentence of a finding that has this ``figure``."""
        if figure is None or not self.with_figure:
            return str(self.sentence)
        minutes, seconds = divmod(round(figure), 60)
        return str(self.with_figure) % {"clock": f"{minutes}:{seconds:02}", "seconds": number_format(figure, 1)}


class HeyGemError(Exception):
    """Raised by services; ``code`` is in the catalogue."""

    def __init__(self, code: str, **params: Any) -> None:
        self.problem = get(code)
        self.params = params
        super().__init__(code)

    @property
    def code(self) -> str:
        return self.problem.code

    @property
    def sentence(self) -> str:
        return str(self.problem.sentence) % self.params if self.params else str(self.problem.sentence)

    @property
    def remedy(self) -> str:
        return str(self.problem.remedy) % self.params if self.params else str(self.problem.remedy)

    def as_problem(self) -> dict[str, Any]:
        """What a program is told (RFC 9457): ``detail`` says what to do."""
        return {"code": self.code, "title": self.sentence, "detail": self.remedy, "status": self.problem.status}


_catalogue: dict[str, Problem] = {}


def register(problems: Iterable[Problem]) -> None:
    """Add to the catalogue. Raises ``ValueError`` when two rooms claim one code."""
    for problem in problems:
        known = _catalogue.setdefault(problem.code, problem)
        if known != problem:
            raise ValueError(f"problem code {problem.code!r} is defined twice")


def get(code: str) -> Problem:
    """The problem for ``code``; an unknown code (from a newer worker, say) still gets an honest sentence."""
    return _catalogue.get(code) or Problem(
        code, _("Something went wrong."), _("Try again; tell the operator the code if it keeps happening."), 500
    )


def codes() -> frozenset[str]:
    return frozenset(_catalogue)


register(
    (
        Problem(
            "not_allowed",
            _("Your role in this team does not allow that."),
            _("Ask an owner or manager of the team."),
            403,
        ),
        Problem(
            "bad_file_type",
            _("%(name)s is not a kind of file that can be used here."),
            _("Use one of: %(accepted)s."),
        ),
        Problem("empty_upload", _("%(name)s is empty."), _("Export it again and upload the new file.")),
        Problem(
            "file_too_large", _("%(name)s is larger than %(limit)s."), _("Cut it into parts or export it smaller."), 413
        ),
        Problem(
            "team_file_too_large",
            _("%(name)s has %(size)s; %(team)s may upload files of up to %(limit)s."),
            _("Cut it into parts or export it smaller, or ask the operator for a higher limit."),
            413,
        ),
        Problem(
            "team_storage_full",
            _("%(name)s needs %(size)s, and %(team)s has %(left)s left: %(used)s of %(limit)s are used."),
            _("Delete versions or ZIPs that nobody needs, or ask the operator for more storage."),
            507,
        ),
        Problem(
            "take_over_limit",
            _("The recording is longer than this team's takes may be."),
            _("Cut it into parts, or ask the operator for a higher limit and have it listened to again."),
            422,
            _("The recording is longer than %(clock)s minutes, the longest take that this team may use."),
        ),
        Problem(
            "upload_conflict",
            _("The upload and the server disagree about how much has arrived."),
            _("Reload the page; the upload goes on from where it was."),
            409,
        ),
        Problem(
            "no_direct_upload",
            _("Files do not go straight to the storage here."),
            _("Send the file to the upload's own address with PATCH."),
            409,
        ),
        Problem("upload_gone", _("That upload is no longer known."), _("Start it again."), 404),
        Problem(
            "invitation_closed",
            _("This invitation has been used, withdrawn or has expired."),
            _("Ask the person who sent it for a new link."),
            410,
        ),
        Problem(
            "last_owner",
            _("A team needs at least one owner."),
            _("Make somebody else an owner first."),
            409,
        ),
        Problem("already_member", _("You already belong to this team."), _("Open the team from the menu."), 409),
        Problem("signed_out", _("You are signed out."), _("Sign in and try again."), 401),
        Problem(
            "bad_token",
            _("This API token is unknown, withdrawn or has expired."),
            _("Make a new one on the page “API tokens” of your account."),
            401,
        ),
        Problem(
            "token_reads_only",
            _("This API token may only look and download."),
            _("Use one that may do everything you may do."),
            403,
        ),
        Problem(
            "token_nowhere",
            _("This API token would reach no team."),
            _("Choose at least one of your teams, or all of them."),
        ),
        Problem(
            "token_new_team",
            _("This API token is for chosen teams and cannot make another."),
            _("Use one for all of your teams."),
            403,
        ),
        Problem(
            "token_no_farm",
            _("This API token may not operate the farm."),
            _("Make one that may, on the page “API tokens” of your account."),
            403,
        ),
        Problem("not_found", _("There is nothing at this address."), _("Check the address and the id."), 404),
        Problem("bad_request", _("The request cannot be understood."), _("Correct what is named and send it again.")),
        Problem(
            "bad_content",
            _("A body of this kind is not read here."),
            _("Send the Content-Type that the API's description names."),
            415,
        ),
        Problem("body_too_large", _("The request's body is too large."), _("Send less at once."), 413),
        Problem(
            "server_error",
            _("Something went wrong on the server."),
            _("Try again; tell the operator the X-Request-ID of this answer if it keeps happening."),
            500,
        ),
        Problem(
            "bad_tus_version",
            _("This version of the upload protocol is not spoken here."),
            _("Send Tus-Resumable: 1.0.0."),
            412,
        ),
        Problem(
            "not_from_page",
            _("This request did not come from a page of the site."),
            _("Reload the page; a program sends an API token."),
            403,
        ),
        Problem("bad_method", _("This address does not do that."), _("See the API's description."), 405),
        Problem(
            "too_many_requests", _("Too many requests at once."), _("Wait as long as the answer says, then go on."), 429
        ),
        Problem(
            "bad_key",
            _("That is not an Idempotency-Key."),
            _("Send up to 200 printable ASCII characters, such as a UUID."),
        ),
        Problem(
            "key_in_flight",
            _("The request with this Idempotency-Key is still under way."),
            _("Wait a moment and send it again."),
            409,
        ),
        Problem(
            "key_reused",
            _("This Idempotency-Key was sent with another request."),
            _("Use a new key for each thing to be made."),
            422,
        ),
        Problem("bad_upload", _("The upload was not announced in full."), _("Reload the page and start it again.")),
        Problem("name_missing", _("A name is needed."), _("Type a name and try again.")),
        Problem(
            "bad_language",
            _("“%(tag)s” is not a language tag."),
            _("Choose a language from the list, or write a tag such as en or zh-hans."),
        ),
        Problem(
            "text_too_long",
            _("The text is longer than %(limit)s characters."),
            _("Split it into several scripts."),
        ),
        Problem(
            "bad_template",
            _("The file names hold a word in braces that is not known."),
            _("Use only these: %(known)s."),
        ),
        Problem(
            "still_analysing",
            _("%(name)s is still being looked at."),
            _("Wait until that is done."),
            409,
        ),
        Problem(
            "no_such_face",
            _("%(name)s does not show a face of that number."),
            _("Choose one of the faces that are marked in its picture."),
        ),
        Problem(
            "storage_unavailable",
            _("The storage does not answer."),
            _("Nothing is lost: try again in a minute, and tell the operator if it stays away."),
            503,
        ),
        Problem(
            "storage_full",
            _("There is not enough room on the server for %(name)s."),
            _("Tell the operator; nothing was stored."),
            507,
        ),
        Problem(
            "no_room",
            _("The server's disk is full: nothing was changed."),
            _("Try again a little later; tell the operator if it stays like this."),
            507,
        ),
        Problem("in_use", _("%(name)s is used by unfinished work."), _("Cancel that work first, or wait for it."), 409),
    )
)
