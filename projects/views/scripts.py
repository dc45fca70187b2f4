"""Scripts: their words in each language and the takes that speak them."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from projects import access, languages, selectors
from projects.models import AudioTake, Role, Script, Team
from projects.services import scripts as services
from projects.views.base import back, fragment, mark_of, number, numbered, offer_undo, page, signed_in

PAGE = 50
LANGUAGE_KEY = "take_language"


def _listing(request: HttpRequest, team: Team) -> dict[str, Any]:
    search, archived = request.GET.get("q", "").strip(), "archived" in request.GET
    shown = numbered(request, selectors.scripts(team, search=search, archived=archived), size=PAGE)
    cards = selectors.script_cards(shown)
    query = request.GET.copy()
    query.pop("seen", None)
    query.pop("page", None)
    query.pop("language", None)
    return {
        "page_obj": shown,
        "cards": cards,
        "marks": [card.mark for card in cards],
        "moving": any(not card.settled for card in cards),
        "search": search,
        "archived": archived,
        "query": query.urlencode(),
    }


@login_required
@require_safe
def scripts(request: HttpRequest, team_id: str) -> HttpResponse:
    team = access.get_team_for_user(request.user, team_id)
    language = request.GET.get("language", "")
    if language not in languages.OFFERED:
        language = request.session.get(LANGUAGE_KEY) or get_language() or "en"
    elif language != request.session.get(LANGUAGE_KEY):
        request.session[LANGUAGE_KEY] = language  # the next files are likely in the same one
    listing = _listing(request, team)
    return page(
        request,
        "projects/scripts.html",
        team,
        mark=mark_of(listing["marks"]),
        language=language,
        language_choices=languages.choices(),
        **listing,
    )


@login_required
@require_safe
def scripts_changes(request: HttpRequest, team_id: str) -> HttpResponse:
    """The rows of one page of the list, as they are now."""
    team = access.get_team_for_user(request.user, team_id)
    listing = _listing(request, team)
    return fragment(request, "projects/_script_rows.html", team, listing["marks"], **listing)


@login_required
@require_POST
def script_new(request: HttpRequest, team_id: str) -> HttpResponse:
    """A script with its title and, when some are given, its first words."""
    team = access.get_team_for_user(request.user, team_id, need=Role.CREATOR)
    actor, text = signed_in(request), request.POST.get("text", "")
    language = languages.normalize(request.POST.get("language") or "en")
    with transaction.atomic():  # no script is left behind when its words are refused
        script = services.create_script(actor=actor, team=team, title=request.POST.get("title", ""))
        if text.strip():
            services.write_version(actor=actor, script=script, language=language, text=text)
    return redirect("projects:script", script.public_id)


def _spoken(script: Script) -> dict[str, Any]:
    shown = selectors.script_languages(script)
    views = [view for language in shown for view in language.takes]
    return {
        "script": script,
        "languages": shown,
        # What the page's poller says back, so that only what changed is sent.
        "marks": [f"{words.tag}:{words.version.pk}" for words in shown] + [view.mark for view in views],
        "moving": ",".join(view.item.public_id for view in views if not view.settled),
        "last": max((view.item.pk for view in views), default=0),
        "known": ",".join(language.tag for language in shown),
    }


@login_required
@require_safe
def script(request: HttpRequest, public_id: str) -> HttpResponse:
    found = access.get_script_for_user(request.user, public_id)
    context = _spoken(found)
    written = {language.tag for language in context["languages"]}
    choices = [choice for choice in languages.choices() if choice[0] not in written]
    adding = request.GET.get("add", "")
    return page(
        request,
        "projects/script.html",
        found.team,
        mark=mark_of(context["marks"]),
        language_choices=choices,
        adding=adding if adding in dict(choices) else "",
        **context,
    )


@login_required
@require_safe
def script_changes(request: HttpRequest, public_id: str) -> HttpResponse:
    """The takes that were ``moving`` when the page was drawn, as they are now; the takes that came after ``last``;
    and whole languages that were not ``known``. What people may be typing or listening to is left alone."""
    found = access.get_script_for_user(request.user, public_id)
    context = _spoken(found)
    known, moving = request.GET.get("known", "").split(","), request.GET.get("moving", "").split(",")
    last = number(request.GET.get("last"))
    old = [language for language in context["languages"] if language.tag in known]
    return fragment(
        request,
        "projects/_takes_changes.html",
        found.team,
        context["marks"],
        new_languages=[language for language in context["languages"] if language.tag not in known],
        old_languages=old,
        changed=[
            view
            for language in old
            for view in language.takes
            if view.item.public_id in moving and view.item.pk <= last
        ],
        # Each goes before the first: the newest last.
        fresh_takes=[
            (language.tag, [view for view in reversed(language.takes) if view.item.pk > last]) for language in old
        ],
        first=not any(known),
        **context,
    )


@login_required
@require_POST
def script_write(request: HttpRequest, public_id: str) -> HttpResponse:
    found = access.get_script_for_user(request.user, public_id, need=Role.CREATOR)
    version = services.write_version(
        actor=signed_in(request),
        script=found,
        language=request.POST.get("language", ""),
        text=request.POST.get("text", ""),
    )
    return redirect(f"{reverse('projects:script', args=[found.public_id])}#language-{version.language}")


@login_required
@require_POST
def script_edit(request: HttpRequest, public_id: str) -> HttpResponse:
    found = access.get_script_for_user(request.user, public_id, need=Role.CREATOR)
    services.rename_script(actor=signed_in(request), script=found, title=request.POST.get("title", ""))
    return redirect("projects:script", found.public_id)


@login_required
@require_POST
def script_archive(request: HttpRequest, public_id: str) -> HttpResponse:
    found = access.get_script_for_user(request.user, public_id, need=Role.CREATOR)
    services.archive_script(actor=signed_in(request), script=found)
    offer_undo(
        request,
        sentence=_("%(name)s is in the archive now.") % {"name": found.title},
        url=reverse("projects:script_restore", args=[found.public_id]),
    )
    return redirect("projects:scripts", found.team.public_id)


@login_required
@require_POST
def script_restore(request: HttpRequest, public_id: str) -> HttpResponse:
    found = access.get_script_for_user(request.user, public_id, need=Role.CREATOR)
    services.restore_script(actor=signed_in(request), script=found)
    return redirect("projects:script", found.public_id)


def _page_of(take: AudioTake) -> str:
    return reverse("projects:script", args=[take.script_version.script.public_id])


@login_required
@require_POST
def take_archive(request: HttpRequest, public_id: str) -> HttpResponse:
    found = access.get_take_for_user(request.user, public_id, need=Role.CREATOR)
    services.archive_take(actor=signed_in(request), take=found)
    offer_undo(
        request,
        sentence=_("%(name)s is in the archive now.") % {"name": found.name},
        url=reverse("projects:take_restore", args=[found.public_id]),
    )
    return back(request, _page_of(found))


@login_required
@require_POST
def take_restore(request: HttpRequest, public_id: str) -> HttpResponse:
    found = access.get_take_for_user(request.user, public_id, need=Role.CREATOR)
    services.restore_take(actor=signed_in(request), take=found)
    return back(request, _page_of(found))


@login_required
@require_POST
def take_analyse(request: HttpRequest, public_id: str) -> HttpResponse:
    """Listen to it again."""
    found = access.get_take_for_user(request.user, public_id, need=Role.CREATOR)
    services.reanalyse_take(actor=signed_in(request), take=found)
    return back(request, _page_of(found))


@login_required
@require_POST
def take_words(request: HttpRequest, public_id: str) -> HttpResponse:
    """It says the newest words."""
    found = access.get_take_for_user(request.user, public_id, need=Role.CREATOR)
    services.take_says_newest(actor=signed_in(request), take=found)
    return back(request, _page_of(found))
