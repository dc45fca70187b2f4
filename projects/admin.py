"""What the operator may look at. Everything here is changed through the site, where it is checked and audited."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.admin import EmptyFieldListFilter
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from projects.models import (
    ApiToken,
    AudioTake,
    AuditEvent,
    Footage,
    Invitation,
    MediaBlob,
    Membership,
    MouthModel,
    Presenter,
    Project,
    Script,
    ScriptVersion,
    Team,
    TeamLimits,
    Upload,
    Webhook,
    WebhookDelivery,
)
from projects.services.tokens import revoke_token
from projects.views.base import signed_in

ARCHIVED = ("archived_at", EmptyFieldListFilter)


class ReadOnly(admin.ModelAdmin):
    """A list to read and search, the newest first."""

    list_per_page = 50
    ordering = ("-pk",)
    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class Members(admin.TabularInline):
    model = Membership
    fields = readonly_fields = ("user", "role", "created_at")
    extra = 0
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Team)
class TeamAdmin(ReadOnly):
    list_display = ("name", "public_id", "created_at")
    search_fields = ("name", "public_id")
    inlines = (Members,)


@admin.register(Membership)
class MembershipAdmin(ReadOnly):
    list_display = ("user", "team", "role", "created_at")
    list_filter = ("role",)
    list_select_related = ("user", "team")
    search_fields = ("user__email", "user__username", "team__name")


@admin.register(Invitation)
class InvitationAdmin(ReadOnly):
    list_display = ("team", "role", "invited_by", "created_at", "expires_at", "accepted_at", "revoked_at")
    list_filter = ("role", ("accepted_at", EmptyFieldListFilter), ("revoked_at", EmptyFieldListFilter))
    list_select_related = ("team", "invited_by")
    search_fields = ("team__name", "invited_by__email")
    exclude = ("token_hash",)


@admin.register(Presenter)
class PresenterAdmin(ReadOnly):
    list_display = ("name", "team", "public_id", "created_at", "archived_at")
    list_filter = (ARCHIVED,)
    list_select_related = ("team",)
    search_fields = ("name", "public_id", "team__name")


@admin.register(Footage)
class FootageAdmin(ReadOnly):
    list_display = ("name", "presenter", "state", "error_code", "tier", "duration_s", "attempts", "analysed_at")
    list_filter = ("state", "tier", "error_code")
    list_select_related = ("presenter",)
    search_fields = ("name", "public_id", "presenter__name", "presenter__team__name")
    exclude = ("speech_spans",)


@admin.register(MouthModel)
class MouthModelAdmin(ReadOnly):
    list_display = ("footage", "state", "error_code", "automatic", "engine", "size", "step", "steps", "worker")
    list_filter = ("state", "automatic", "engine", "error_code")
    list_select_related = ("footage",)
    search_fields = ("public_id", "identity", "footage__name", "footage__presenter__name", "worker")


@admin.register(Script)
class ScriptAdmin(ReadOnly):
    list_display = ("title", "team", "public_id", "created_at", "archived_at")
    list_filter = (ARCHIVED,)
    list_select_related = ("team",)
    search_fields = ("title", "public_id", "team__name")


@admin.register(ScriptVersion)
class ScriptVersionAdmin(ReadOnly):
    list_display = ("script", "language", "number")
    list_filter = ("language",)
    list_select_related = ("script",)
    search_fields = ("script__title", "script__public_id", "script__team__name")


@admin.register(AudioTake)
class AudioTakeAdmin(ReadOnly):
    list_display = ("name", "script_version", "source", "state", "error_code", "duration_s", "analysed_at")
    list_filter = ("state", "source", "error_code")
    list_select_related = ("script_version__script",)
    search_fields = ("name", "public_id", "script_version__script__title")
    exclude = ("waveform", "speech_spans")


@admin.register(Project)
class ProjectAdmin(ReadOnly):
    list_display = ("name", "team", "public_id", "created_at", "archived_at")
    list_filter = (ARCHIVED,)
    list_select_related = ("team",)
    search_fields = ("name", "public_id", "team__name")


@admin.register(MediaBlob)
class MediaBlobAdmin(ReadOnly):
    list_display = ("public_id", "team", "content_type", "size", "created_at")
    list_filter = ("content_type",)
    list_select_related = ("team",)
    search_fields = ("public_id", "sha256", "team__name")


@admin.register(Upload)
class UploadAdmin(ReadOnly):
    list_display = ("name", "team", "user", "purpose", "size", "offset", "created_at", "finished_at")
    list_filter = ("purpose", ("finished_at", EmptyFieldListFilter))
    list_select_related = ("team", "user")
    search_fields = ("name", "public_id", "team__name", "user__email")


@admin.register(TeamLimits)
class TeamLimitsAdmin(ReadOnly):
    """Set on the farm's page of the team, where that is noted with a reason."""

    list_display = ("team", "storage_bytes", "render_minutes", "file_bytes", "take_seconds")
    list_select_related = ("team",)
    search_fields = ("team__name", "team__public_id")


@admin.register(ApiToken)
class ApiTokenAdmin(ReadOnly):
    list_display = (
        "name",
        "user",
        "prefix",
        "scope",
        "reach",
        "created_at",
        "expires_at",
        "last_used_at",
        "revoked_at",
    )
    list_filter = ("scope", "all_teams")
    list_select_related = ("user",)
    search_fields = ("name", "prefix", "public_id", "user__email", "user__username", "teams__name")
    exclude = ("token_hash",)
    actions = ("withdraw",)

    @admin.display(description=_("teams"))
    def reach(self, token: ApiToken) -> str:
        return str(_("all")) if token.all_teams else ", ".join(team.name for team in token.teams.all())

    def get_queryset(self, request: HttpRequest) -> QuerySet[ApiToken]:
        return super().get_queryset(request).prefetch_related("teams")

    @admin.action(description=_("Withdraw the chosen tokens"))
    def withdraw(self, request: HttpRequest, chosen: QuerySet[ApiToken]) -> None:
        for token in chosen:
            revoke_token(actor=signed_in(request), token=token)
        self.message_user(request, _("Done, and noted in the audit log."))


@admin.register(AuditEvent)
class AuditEventAdmin(ReadOnly):
    list_display = ("created_at", "team", "actor", "action", "label", "subject")
    list_filter = ("action",)
    list_select_related = ("team", "actor")
    search_fields = ("subject", "label", "team__name")
    date_hierarchy = "created_at"


@admin.register(Webhook)
class WebhookAdmin(ReadOnly):
    list_display = ("url", "team", "is_active", "disabled_reason", "failures_in_row", "failing_since", "created_at")
    list_filter = ("is_active", "disabled_reason")
    list_select_related = ("team",)
    search_fields = ("url", "team__name", "public_id")


@admin.register(WebhookDelivery)
class WebhookDeliveryAdmin(ReadOnly):
    """How deliveries went; what was sent is the team's business and not shown."""

    list_display = ("event", "event_id", "webhook", "state", "attempts", "status", "error_code", "next_try_at")
    list_filter = ("state", "event")
    list_select_related = ("webhook",)
    search_fields = ("event_id", "webhook__url", "public_id")
    exclude = ("body", "response")
