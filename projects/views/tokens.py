"""API tokens of the person who is signed in."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from projects import access
from projects.models import ApiToken
from projects.services import tokens as services
from projects.views.base import number, signed_in


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def tokens(request: HttpRequest) -> HttpResponse:
    """A new token is answered with the page itself: its secret is shown this once and never again."""
    user, secret = signed_in(request), ""
    if request.method == "POST":
        scope = request.POST.get("scope", "")
        days = number(request.POST.get("days"))
        if scope not in ApiToken.Scope.values or days not in (0, *services.LIFETIMES):
            raise Http404
        _token, secret = services.create_token(
            actor=user, name=request.POST.get("name", ""), scope=scope, days=days or None
        )
    return render(
        request,
        "projects/tokens.html",
        {
            "secret": secret,
            "tokens": ApiToken.objects.filter(user=user, revoked_at=None),
            "scopes": ApiToken.Scope.choices,
            "lifetimes": services.LIFETIMES,
        },
    )


@login_required
@require_POST
def token_revoke(request: HttpRequest, public_id: str) -> HttpResponse:
    user = signed_in(request)
    services.revoke_token(actor=user, token=access.get_token_for_user(user, public_id))
    return redirect("projects:tokens")
