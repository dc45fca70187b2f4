"""Keys for programs that use the API in a person's place."""

from __future__ import annotations

from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from projects.models.base import Kept
from projects.models.teams import Team


class ApiToken(Kept):
    """Lets a program act as ``user``, never beyond ``scope`` and ``teams``. Only the secret's hash is kept; ``prefix``
    finds it.

    It reaches every team of its user (``all_teams``) or those of ``teams``; never those whose managers shut it out.
    """

    class Scope(models.TextChoices):
        READ = "read", _("Look and download")
        WRITE = "write", _("Everything you may do")
        OPERATE = "operate", _("Everything, and operate the farm")

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="api_tokens")
    name = models.CharField(_("name"), max_length=80)
    scope = models.CharField(max_length=10, choices=Scope.choices)
    all_teams = models.BooleanField(default=True, db_default=True)
    teams = models.ManyToManyField(Team, blank=True, related_name="+")
    shut_out_of = models.ManyToManyField(Team, blank=True, related_name="+")
    prefix = models.CharField(max_length=12, unique=True, editable=False)
    token_hash = models.CharField(max_length=64, editable=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-pk"]
        verbose_name = _("API token")
        verbose_name_plural = _("API tokens")
        constraints = [
            models.CheckConstraint(
                condition=models.Q(scope__in=["read", "write", "operate"]), name="token_scope_known"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_open(self) -> bool:
        return self.revoked_at is None and (self.expires_at is None or self.expires_at > timezone.now())

    @property
    def may_write(self) -> bool:
        return self.scope != self.Scope.READ

    @property
    def may_operate(self) -> bool:
        return self.scope == self.Scope.OPERATE


class KeyedRequest(models.Model):
    """A creation that came with an ``Idempotency-Key``: what was answered; ``status`` null while it is under way."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    key = models.CharField(max_length=200)
    asked = models.CharField(max_length=64, help_text=_("SHA-256 of address and body"))
    status = models.PositiveSmallIntegerField(null=True, blank=True)
    body = models.JSONField(null=True, blank=True, encoder=DjangoJSONEncoder)
    created_at = models.DateTimeField(default=timezone.now, editable=False, db_index=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "key"], name="keyed_request_once")]

    def __str__(self) -> str:
        return self.key


class RequestCount(models.Model):
    """How often somebody has asked since ``window`` began; one row for each of them, for all web processes."""

    who = models.CharField(max_length=80, primary_key=True)
    window = models.BigIntegerField(help_text=_("number of the window since 1970"))
    count = models.PositiveIntegerField()

    class Meta:
        indexes = [models.Index(fields=["window"], name="request_count_window")]

    def __str__(self) -> str:
        return f"{self.who}: {self.count}"
