"""How the API is described: every address may refuse with a problem."""

from __future__ import annotations

from typing import Any, Literal

from drf_spectacular.openapi import AutoSchema

from projects.api.errors import ProblemSerializer


class Schema(AutoSchema):
    def _get_response_bodies(self, direction: Literal["request", "response"] = "response") -> dict[str, Any]:
        bodies = super()._get_response_bodies(direction)
        shape = self.resolve_serializer(ProblemSerializer, direction).ref
        default = {
            "content": {"application/problem+json": {"schema": shape}},
            "description": "A problem of the catalogue",
        }
        return {**bodies, "default": default}
