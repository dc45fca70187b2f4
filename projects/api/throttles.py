"""The API's limits (``projects.throttling``) as DRF asks for them."""

from __future__ import annotations

from typing import Any

from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from projects import throttling


class ByAsker(BaseThrottle):
    """Who came without a good sign-in is counted by :func:`projects.api.errors.answer`, DRF refuses them earlier."""

    def allow_request(self, request: Request, view: Any) -> bool:
        throttling.charge(request._request, request.user)
        return True
