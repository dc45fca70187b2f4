"""What the API's description says besides what its views know: words for its groups, examples, and uploads by tus."""

from __future__ import annotations

from typing import Any

from heygem_site.api_examples import EXAMPLES
from projects import problems
from projects.api.schema import problem_response

WORDS = """\
Change the voice, keep the face: what the pages do, for programs.

**Signing in.** `Authorization: Bearer hg_...`, with a token from the page *API tokens* of your account. It acts as you,
in your teams or in those it was made for. A scope of `read` looks and downloads, `write` does what you may do,
`operate` also the farm, for operators.

**Refusals** are `application/problem+json`: `code`, `title` (what happened), `detail` (what to do), `status`, and
`errors` by field.

**Lists** come newest first in pages: follow `next` until it is null; `limit` is at most 200.

**Once only.** A `POST` that makes something takes an `Idempotency-Key`: sent again within 24 hours it is answered the
same (`Idempotency-Replayed: true`) and nothing is made twice.

**How often** is told by the headers `RateLimit-Policy` and `RateLimit`, and `Retry-After` when it was too often.

A walk through it all: docs/api.md."""
GROUPS = {
    "teams": "Who you are, your teams, and what each uses of the installation.",
    "presenters": "People whose footage a team keeps.",
    "footage": "Videos of presenters. New ones come in by an upload.",
    "scripts": "Words to be said.",
    "takes": "Recordings of scripts. New ones come in by an upload.",
    "uploads": "Files on their way in, by [tus 1.0](https://tus.io/protocols/resumable-upload).",
    "projects": "Boards of presenters and scripts.",
    "presets": "Ways of rendering.",
    "batches": "Rendering many cells at once.",
    "jobs": "Single videos being made.",
    "versions": "Finished videos.",
    "exports": "ZIPs of versions.",
    "webhooks": "Being told instead of asking.",
    "deliveries": "What was sent to webhooks, and what was answered.",
    "farm": "The machines, for operators whose token has the scope `operate`.",
}

PERSON: list[dict[str, list[str]]] = [{"token": []}, {"cookieAuth": []}]
TUS = {"name": "Tus-Resumable", "in": "header", "required": True, "schema": {"type": "string", "enum": ["1.0.0"]}}
PLACE = {"name": "public_id", "in": "path", "required": True, "schema": {"type": "string"}}
KNOWN = ("signed_out", "bad_token", "too_many_requests", "not_found", "not_allowed", "bad_tus_version")
CHANGING = (*KNOWN, "token_reads_only")


def _header(words: str, kind: str = "string") -> dict[str, Any]:
    return {"description": words, "schema": {"type": kind}}


def _sent(name: str, words: str, kind: str = "string") -> dict[str, Any]:
    return {"name": name, "in": "header", "required": True, "schema": {"type": kind}, "description": words}


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _json(properties: dict[str, Any]) -> dict[str, Any]:
    return {"description": "", "content": {"application/json": {"schema": _object(properties)}}}


INTEGER, STRING = {"type": "integer"}, {"type": "string"}
PART = {"number": INTEGER, "offset": INTEGER, "size": INTEGER, "url": STRING}
OFFSET = _header("Bytes that have arrived.", "integer")
BECAME = {
    "HeyGem-Created": _header("Where the pages show what it became, after the last byte."),
    "HeyGem-Created-Id": _header("The id of the footage or take that it became."),
}


def _operation(
    name: str, summary: str, words: str, *, answers: dict[str, Any], codes: tuple[str, ...], **more: Any
) -> Any:
    by_status: dict[str, list[str]] = {}
    for code in codes:
        by_status.setdefault(str(problems.get(code).status), []).append(code)
    shape = {"$ref": "#/components/schemas/Problem"}
    refused = {status: problem_response(shape, told) for status, told in sorted(by_status.items())}
    common = {"operationId": name, "summary": summary, "description": words, "tags": ["uploads"], "security": PERSON}
    return {**common, **more, "responses": {**answers, **refused}}


def uploads() -> dict[str, Any]:
    """The addresses of tus, which are no views of the API's framework."""
    key = {"name": "Idempotency-Key", "in": "header", "schema": {"type": "string", "maxLength": 200}}
    length = _sent("Upload-Length", "Bytes of the whole file.", "integer")
    metadata = _sent(
        "Upload-Metadata",
        "Pairs of a name and a value in base64, with commas between them: filename, purpose (footage or take), team,"
        " and where it is to go: presenter, or script and language; project puts it on that board as well. A presenter"
        " or script that is left out is made, named after the file.",
    )
    return {
        "/uploads/": {
            "post": _operation(
                "uploads_create",
                "Begin an upload",
                "Refused before a byte is sent: a kind of file that cannot be used, one that is too large, no room.",
                parameters=[TUS, length, metadata, key],
                answers={
                    "201": {
                        "description": "Begun",
                        "headers": {
                            "Location": _header("Where the bytes go."),
                            "HeyGem-Parts": _header("Where to learn how they may go straight to the object storage."),
                        },
                    }
                },
                codes=(
                    *CHANGING,
                    *("bad_upload", "bad_file_type", "bad_language", "empty_upload", "name_missing", "bad_key"),
                    *("file_too_large", "team_file_too_large", "team_storage_full", "storage_full"),
                    *("storage_unavailable", "key_in_flight", "key_reused"),
                ),
            )
        },
        "/uploads/{public_id}/": {
            "head": _operation(
                "uploads_head",
                "How much has arrived",
                "Where to go on after a broken line.",
                parameters=[PLACE, TUS],
                answers={"200": {"description": "Known", "headers": {"Upload-Offset": OFFSET, **BECAME}}},
                codes=KNOWN,
            ),
            "patch": _operation(
                "uploads_append",
                "Send bytes",
                "All that is left, or a part. After the last byte the answer says what the file became.",
                parameters=[PLACE, TUS, _sent("Upload-Offset", "Where these bytes begin.", "integer")],
                requestBody={
                    "content": {"application/offset+octet-stream": {"schema": {"type": "string", "format": "binary"}}}
                },
                answers={"204": {"description": "Arrived", "headers": {"Upload-Offset": OFFSET, **BECAME}}},
                codes=(
                    *(*CHANGING, "bad_upload", "upload_conflict", "bad_content", "upload_gone", "file_too_large"),
                    *("storage_full", "storage_unavailable"),
                ),
            ),
            "delete": _operation(
                "uploads_abandon",
                "Give an upload up",
                "What has arrived of it is removed.",
                parameters=[PLACE, TUS],
                answers={"204": {"description": "Forgotten"}},
                codes=(*CHANGING, "storage_unavailable"),
            ),
        },
        "/uploads/{public_id}/parts/": {
            "get": _operation(
                "uploads_parts_retrieve",
                "What to send straight to the object storage next",
                "Send each part with `PUT` to its `url`, without the token. Ask again until nothing is missing.",
                parameters=[PLACE, TUS],
                answers={"200": _json({"missing": INTEGER, "parts": {"type": "array", "items": _object(PART)}})},
                codes=(*KNOWN, "no_direct_upload", "storage_unavailable"),
            ),
            "post": _operation(
                "uploads_parts_finish",
                "Say that every part was sent",
                "Puts the parts together, and answers what the file became.",
                parameters=[PLACE, TUS],
                answers={"201": _json({"url": STRING, "id": STRING}) | {"headers": BECAME}},
                codes=(*CHANGING, "upload_conflict", "upload_gone", "storage_full", "storage_unavailable"),
            ),
        },
    }


def complete(result: dict[str, Any], generator: Any, request: Any, public: bool) -> dict[str, Any]:
    """A hook of drf-spectacular: adds the words, the uploads and the examples."""
    result["info"]["description"] = WORDS
    result["tags"] = [{"name": name, "description": words} for name, words in GROUPS.items()]
    result["paths"] |= uploads()
    for name, example in EXAMPLES.items():
        if name in result["components"]["schemas"]:
            result["components"]["schemas"][name]["example"] = example
    return result
