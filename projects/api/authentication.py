"""Signing in to the API: ``Authorization: Bearer hg_...``, or the browser's session with its CSRF token."""

from __future__ import annotations

from django.contrib.auth.models import User
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from projects.models import ApiToken
from projects.signing_in import token_of


class TokenAuthentication(BaseAuthentication):
    """Also refuses to write with a token that only reads."""

    def authenticate(self, request: Request) -> tuple[User, ApiToken] | None:
        token = token_of(request._request)
        return None if token is None else (token.user, token)

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


class TokenScheme(OpenApiAuthenticationExtension):
    target_class = TokenAuthentication
    name = "token"

    def get_security_definition(self, auto_schema: object) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer", "bearerFormat": "hg_<prefix>_<secret>"}
