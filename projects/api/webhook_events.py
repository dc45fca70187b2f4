"""What webhooks send, in the API's description: under ``x-webhooks``, for OpenAPI 3.0 has no place of its own."""

from __future__ import annotations

from typing import Any

from projects import labels
from projects.services.webhooks import API_VERSION, EVENTS

SHAPES = {
    "batch": "BatchProgress",
    "job": "Job",
    "version": "Version",
    "export": "Export",
    "footage": "Footage",
    "take": "Take",
    "mouths": "MouthModel",
}
"""The component that ``data`` has, by what the event happens to."""
HEADERS = {
    "webhook-id": "The event's id: the same for every try and every redelivery.",
    "webhook-timestamp": "When it was sent, seconds since 1970.",
    "webhook-signature": "`v1,` and the base64 of the HMAC-SHA256 of `id.timestamp.body`; several with spaces between.",
}


def add_webhooks(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """A post-processing hook of drf-spectacular."""
    result["x-webhooks"] = {event: {"post": _operation(event)} for event in EVENTS}
    return result


def _operation(event: str) -> dict[str, Any]:
    shape = f"#/components/schemas/{SHAPES[event.partition('.')[0]]}"
    return {
        "summary": str(labels.EVENTS[event]).capitalize(),
        "parameters": [
            {"in": "header", "name": name, "required": True, "schema": {"type": "string"}, "description": said}
            for name, said in HEADERS.items()
        ],
        "requestBody": {"required": True, "content": {"application/json": {"schema": _envelope(event, shape)}}},
        "responses": {"2XX": {"description": "Received. Anything else is tried again."}},
    }


def _envelope(event: str, shape: str) -> dict[str, Any]:
    text = {"type": "string"}
    properties = {
        "id": text,
        "type": {"type": "string", "enum": [event]},
        "api_version": {"type": "string", "enum": [API_VERSION]},
        "created_at": {"type": "string", "format": "date-time"},
        "team": text,
        "data": {"$ref": shape},
        "links": {"type": "object", "properties": {"api": text, "page": text}},
    }
    return {"type": "object", "required": list(properties), "properties": properties}
