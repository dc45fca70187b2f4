"""Every list of what people keep, already filtered by team, in a bounded number of queries.

The team comes from ``projects.access``: whoever holds it may read it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import groupby

from django.contrib.auth.models import User
from django.db.models import Exists, OuterRef, Prefetch, Q, QuerySet, Subquery
from django.utils.functional import Promise
from django.utils.translation import gettext

from projects import labels, languages, problems
from projects.models import (
    AnalysisState,
    ApiToken,
    AudioTake,
    AuditEvent,
    Footage,
    Invitation,
    MediaBlob,
    Membership,
    Presenter,
    Project,
    Script,
    ScriptVersion,
    Team,
    Webhook,
    WebhookDelivery,
)


@dataclass(frozen=True, kw_only=True)
class FindingView:
    """One thing the gate has to say, in words."""

    code: str
    level: str
    """refused, warning or info."""
    sentence: str
    remedy: str
    figure: float | None


@dataclass(frozen=True, kw_only=True)
class FaceMark:
    """A face in the poster, in units of which the picture is :data:`PICTURE_WIDTH` wide."""

    number: int
    """From 1, from left to right."""
    x: int
    y: int
    width: int
    height: int
    is_presenter: bool
    picture_height: int

    @property
    def label_r(self) -> int:
        """Radius of the number's circle: pages bound the picture's height, so a tall one is drawn smaller."""
        return round(LABEL_R * max(1, self.picture_height / PICTURE_WIDTH))

    @property
    def label_x(self) -> int:
        return _within(self.x + self.width // 2, self.label_r, PICTURE_WIDTH)

    @property
    def label_y(self) -> int:
        """Above the face, where it hides nothing of it; below it where the picture ends before that."""
        away = self.label_r + LABEL_GAP
        below = _within(self.y + self.height + away, self.label_r, self.picture_height)
        return self.y - away if self.y - away >= self.label_r else below


PICTURE_WIDTH = 1000
LABEL_R, LABEL_GAP = 34, 12


def _within(place: int, margin: int, end: int) -> int:
    return min(max(place, margin), end - margin)


@dataclass(frozen=True, kw_only=True)
class AnalysedView:
    """A footage or take as a page shows it."""

    item: Footage | AudioTake
    state: str
    findings: tuple[FindingView, ...]
    stage: str | Promise
    """What is being done now, in words."""
    percent: int
    """Of the whole analysis."""
    tier: str | Promise
    """What kind of result to expect, in words; empty for takes and until it is known."""
    faces: tuple[FaceMark, ...] = ()
    """Where there are several and it is settled who is followed."""
    has_newer_words: bool = False
    """Of a take: words were written after those that it is known to say."""

    @property
    def settled(self) -> bool:
        return self.item.is_settled

    @property
    def usable(self) -> bool:
        return self.item.is_usable

    @property
    def mark(self) -> str:
        """Changes whenever what is shown changes."""
        item = self.item
        return f"{item.pk}:{item.state}:{item.stage}:{item.progress}:{item.archived_at}:{item.error_code}"


def findings(item: Footage | AudioTake) -> tuple[FindingView, ...]:
    """What the analysis found, the refusal first. Codes are looked up in the one catalogue."""
    found = [dict(entry) for entry in item.findings]
    if item.state == AnalysisState.REFUSED and item.error_code not in {entry.get("code") for entry in found}:
        found.insert(0, {"code": item.error_code, "level": "refused"})
    order = {"refused": 0, "warning": 1}
    views = []
    for entry in sorted(found, key=lambda entry: order.get(entry.get("level", ""), 2)):
        problem = problems.get(str(entry.get("code", "")))
        views.append(
            FindingView(
                code=problem.code,
                level=str(entry.get("level") or "info"),
                sentence=problem.said(entry.get("figure")),
                remedy=str(problem.remedy),
                figure=entry.get("figure"),
            )
        )
    return tuple(views)


def analysed(item: Footage | AudioTake) -> AnalysedView:
    return AnalysedView(
        item=item,
        state=item.state,
        findings=findings(item),
        stage=labels.stage_label(item.stage) if item.state == AnalysisState.RUNNING else "",
        percent=percent_of(item) if item.state == AnalysisState.RUNNING else 0,
        tier=labels.TIERS.get(item.tier, "") if isinstance(item, Footage) else "",
        faces=_faces(item) if isinstance(item, Footage) and item.is_settled else (),
    )


def percent_of(item: Footage | AudioTake) -> int:
    """Of its whole analysis, whatever stage it is in. A take is only listened to."""
    return labels.overall_percent(item.stage, item.progress) if isinstance(item, Footage) else min(item.progress, 100)


def _faces(footage: Footage) -> tuple[FaceMark, ...]:
    """The faces to choose from; none where there is nothing to choose, or no picture to show them in."""
    boxes = footage.faces or []
    if len(boxes) < 2 or not (footage.width and footage.height and footage.poster):
        return ()
    tall = round(PICTURE_WIDTH * footage.height / footage.width)
    return tuple(
        FaceMark(
            number=place + 1,
            x=round(x * PICTURE_WIDTH),
            y=round(y * tall),
            width=round(width * PICTURE_WIDTH),
            height=round(height * tall),
            is_presenter=place == footage.presenter_face,
            picture_height=tall,
        )
        for place, (x, y, width, height) in enumerate(boxes)
    )


@dataclass(frozen=True, kw_only=True)
class PresenterCard:
    """A presenter in a list: the newest usable footage speaks for them, else the newest."""

    presenter: Presenter
    footage: AnalysedView | None
    count: int
    """Footage videos that are not archived."""

    @property
    def poster(self) -> MediaBlob | None:
        return self.footage.item.poster if self.footage and isinstance(self.footage.item, Footage) else None

    @property
    def mark(self) -> str:
        shown = self.footage.mark if self.footage else ""
        return f"{self.presenter.pk}:{self.presenter.name}:{self.count}:{shown}"


def presenters(team: Team, *, search: str = "", archived: bool = False) -> QuerySet[Presenter]:
    """Presenters by name; :func:`presenter_cards` makes a page of them ready to show."""
    found = Presenter.objects.filter(team=team, archived_at__isnull=not archived)
    if search:
        found = found.filter(Q(name__icontains=search) | Q(footage__name__icontains=search)).distinct()
    return found


def presenter_cards(page: Iterable[Presenter]) -> list[PresenterCard]:
    """One query more, however many presenters."""
    shown = list(page)
    live: dict[int, list[Footage]] = {presenter.pk: [] for presenter in shown}
    newest_first = (
        Footage.objects.filter(presenter__in=shown, archived_at=None)
        .select_related("poster")
        .defer("speech_spans", "figures")
        .order_by("-pk")
    )
    for footage in newest_first:
        live[footage.presenter_id].append(footage)
    cards = []
    for presenter in shown:
        candidates = live[presenter.pk]
        best = next((footage for footage in candidates if footage.is_usable), None)
        pending = next((footage for footage in candidates if not footage.is_settled), None)
        chosen = best or pending or (candidates[0] if candidates else None)
        cards.append(
            PresenterCard(presenter=presenter, footage=analysed(chosen) if chosen else None, count=len(candidates))
        )
    return cards


def footage_of(presenter: Presenter, *, archived: bool = False) -> QuerySet[Footage]:
    """The presenter's footage, newest first; :func:`analysed` makes each of a page of them ready to show."""
    rows = presenter.footage.filter(archived_at__isnull=not archived)
    return rows.select_related("blob", "poster", "filmstrip", "preview").order_by("-pk")


@dataclass(frozen=True, kw_only=True)
class ScriptCard:
    script: Script
    languages: tuple[tuple[str, str, str, str], ...]
    """Tag, the language's own name, the state of its take ("" when there is none) and that state in words."""
    excerpt: str

    @property
    def settled(self) -> bool:
        return not any(
            state in (AnalysisState.WAITING, AnalysisState.RUNNING) for _tag, _name, state, _words in self.languages
        )

    @property
    def mark(self) -> str:
        return f"{self.script.pk}:{self.script.title}:{self.excerpt}:{self.languages}"


def scripts(team: Team, *, search: str = "", archived: bool = False) -> QuerySet[Script]:
    """Scripts by title; :func:`script_cards` makes a page of them ready to show."""
    found = Script.objects.filter(team=team, archived_at__isnull=not archived)
    if search:
        found = found.filter(Q(title__icontains=search) | Q(versions__text__icontains=search)).distinct()
    return found


def script_cards(page: Iterable[Script]) -> list[ScriptCard]:
    """Two queries more, however many scripts."""
    takes = AudioTake.objects.filter(archived_at=None).only("pk", "state", "script_version_id").order_by("-pk")
    versions = ScriptVersion.objects.filter(script__in=(shown := list(page))).order_by("script", "language", "-number")
    by_script: dict[int, list[ScriptVersion]] = {script.pk: [] for script in shown}
    for version in versions.prefetch_related(Prefetch("takes", queryset=takes, to_attr="live_takes")):
        by_script[version.script_id].append(version)
    cards = []
    for script in shown:
        spoken, excerpt = [], ""
        for tag, group in groupby(by_script[script.pk], key=lambda version: version.language):
            of_language = list(group)
            live = sorted((take for version in of_language for take in version.live_takes), key=lambda take: -take.pk)  # type: ignore[attr-defined]
            best = next((take for take in live if take.is_usable), live[0] if live else None)
            words = best.get_state_display() if best else gettext("No recording yet")
            spoken.append((tag, languages.name(tag), best.state if best else "", words))
            excerpt = excerpt or of_language[0].text[:160]
        cards.append(ScriptCard(script=script, languages=tuple(spoken), excerpt=excerpt))
    return cards


@dataclass(frozen=True, kw_only=True)
class LanguageView:
    """A script in one language: the words that stand and the takes that speak them."""

    tag: str
    name: str
    version: ScriptVersion
    earlier: tuple[ScriptVersion, ...]
    """What was written before, newest first."""
    takes: tuple[AnalysedView, ...]
    archived: tuple[AnalysedView, ...]

    @property
    def chosen(self) -> AudioTake | None:
        """The take that would be rendered: the newest usable one."""
        return next((view.item for view in self.takes if view.usable and isinstance(view.item, AudioTake)), None)


def script_languages(script: Script) -> list[LanguageView]:
    """Two queries, however many languages and takes."""
    takes = AudioTake.objects.select_related("blob").order_by("-pk")
    versions = script.versions.order_by("language", "-number").prefetch_related(Prefetch("takes", queryset=takes))
    views = []
    for tag, group in groupby(versions, key=lambda version: version.language):
        of_language = list(group)
        every = [take for version in of_language for take in version.takes.all()]
        every.sort(key=lambda take: -take.pk)
        views.append(
            LanguageView(
                tag=tag,
                name=languages.name(tag),
                version=of_language[0],
                earlier=tuple(version for version in of_language[1:] if version.text),
                takes=tuple(
                    replace(analysed(take), has_newer_words=take.script_version_id != of_language[0].pk)
                    for take in every
                    if take.archived_at is None
                ),
                archived=tuple(analysed(take) for take in every if take.archived_at is not None),
            )
        )
    return views


def projects(team: Team, *, archived: bool = False) -> QuerySet[Project]:
    return Project.objects.filter(team=team, archived_at__isnull=not archived)


def members(team: Team) -> QuerySet[Membership]:
    return Membership.objects.filter(team=team).select_related("user").order_by("pk")


def tokens_of(user: User) -> QuerySet[ApiToken]:
    """A person's tokens that were not withdrawn, with the teams they are for and those that shut them out."""
    return ApiToken.objects.filter(user=user, revoked_at=None).prefetch_related("teams", "shut_out_of")


def tokens_reaching(team: Team) -> list[ApiToken]:
    """API tokens of members that reach the team or were shut out of it (``is_shut_out``), with their users."""
    shut_out = ApiToken.shut_out_of.through.objects.filter(apitoken=OuterRef("pk"), team=team)
    rows = (
        ApiToken.objects.filter(Q(all_teams=True) | Q(teams=team), user__memberships__team=team, revoked_at=None)
        .annotate(is_shut_out=Exists(shut_out))
        .select_related("user")
    )
    return [token for token in rows if token.is_open and token.user.is_active]


def open_invitations(team: Team) -> list[Invitation]:
    rows = Invitation.objects.filter(team=team, accepted_at=None, revoked_at=None).select_related("invited_by")
    return [invitation for invitation in rows if invitation.is_open]


def recent_events(team: Team, *, limit: int = 50) -> list[AuditEvent]:
    """What was done in the team lately, newest first."""
    return list(AuditEvent.objects.filter(team=team).select_related("actor").order_by("-pk")[:limit])


def webhooks(team: Team) -> list[Webhook]:
    """With the state of the last delivery and its time as ``last_state`` and ``last_at``; None before the first."""
    last = WebhookDelivery.objects.filter(webhook=OuterRef("pk")).order_by("-pk")
    rows = Webhook.objects.filter(team=team).annotate(
        last_state=Subquery(last.values("state")[:1]), last_at=Subquery(last.values("created_at")[:1])
    )
    return list(rows)
