"""Signing in and up: who may, what is counted when it fails, and the one-time link."""

from __future__ import annotations

import hashlib
from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from django.conf import settings
from django.contrib.auth import login
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import User
from django.core import signing
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache

from projects.problems import HeyGemError
from projects.services import teams

LINK_SALT = "heygem.one-time-link"


class Adapter(DefaultAccountAdapter):
    """Sign-up is for those who hold an open invitation, unless ``SIGNUP_OPEN``."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return settings.SIGNUP_OPEN or holds_invitation(request)


def holds_invitation(request: HttpRequest) -> bool:
    """Whether the page to go to after signing up is an invitation that is still open."""
    target = request.POST.get("next") or request.GET.get("next") or ""
    _, found, rest = target.partition("/invitations/")
    token = rest.strip("/")
    if not found or not token or "/" in token:
        return False
    try:
        teams.open_invitation(token)
    except HeyGemError:
        return False
    return True


def throttled_name(request: HttpRequest | None, credentials: dict[str, Any] | None = None) -> str:
    """The address somebody tries to sign in as, whichever form or backend asked."""
    given = credentials or {}
    name = given.get("email") or given.get("username") or ""
    if not name and request is not None:
        name = request.POST.get("login") or request.POST.get("username") or ""
    return str(name).strip().lower()[:254]


def client_address(request: HttpRequest) -> str:
    """The visitor's address: behind a proxy the last one that the proxy itself wrote down."""
    if settings.BEHIND_PROXY and (chain := request.META.get("HTTP_X_FORWARDED_FOR")):
        return chain.split(",")[-1].strip()
    return request.META.get("REMOTE_ADDR", "")


def locked_out(request: HttpRequest, *_args: object) -> HttpResponse:
    """Answer to one try too many."""
    minutes = int(settings.AXES_COOLOFF_TIME.total_seconds() // 60)
    return render(request, "account/locked_out.html", {"minutes": minutes}, status=429)


def _stamp(user: AbstractBaseUser) -> str:
    """Changes when the user signs in or changes the password, which is what makes a link single-use."""
    last = user.last_login.isoformat() if user.last_login else ""
    return hashlib.sha256(f"{user.pk}:{user.password}:{last}".encode()).hexdigest()[:24]


def one_time_path(user: AbstractBaseUser) -> str:
    """A path that signs ``user`` in once, within ``ONE_TIME_LINK_SECONDS``."""
    token = signing.dumps([user.pk, _stamp(user)], salt=LINK_SALT)
    return reverse("one_time_sign_in", args=[token])


@never_cache
def one_time_sign_in(request: HttpRequest, token: str) -> HttpResponse:
    """Show the button; pressing it signs in. A link preview that only fetches the page does not use the link up."""
    with transaction.atomic():
        user = _holder(token)
        if user is None:
            return render(request, "account/one_time_link.html", {"spent": True}, status=410)
        if request.method != "POST":
            return render(request, "account/one_time_link.html", {"email": user.email})
        login(request, user, backend="django.contrib.auth.backends.ModelBackend")
    return redirect(settings.LOGIN_REDIRECT_URL)


def _holder(token: str) -> User | None:
    """The active user whom the token may still sign in."""
    try:
        pk, stamp = signing.loads(token, salt=LINK_SALT, max_age=settings.ONE_TIME_LINK_SECONDS)
    except signing.BadSignature:
        return None
    user = User.objects.select_for_update().filter(pk=pk, is_active=True).first()
    return user if user is not None and stamp == _stamp(user) else None
