"""The client is held against the description of the API: every address, every field, every type."""

from __future__ import annotations

import dataclasses
import inspect
import types
from datetime import datetime
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

import pytest
import yaml

from heygem_client import answers, endpoints
from heygem_client.client import HeyGem
from heygem_client.endpoints import Endpoint

ROOT = Path(__file__).resolve().parents[2]
DESCRIBED = yaml.load((ROOT / "docs" / "openapi.yaml").read_text(encoding="utf-8"), yaml.CSafeLoader)
SCHEMAS = DESCRIBED["components"]["schemas"]
PLAIN = {"string": str, "integer": int, "number": float, "boolean": bool}
ANSWERS = [
    kind for _name, kind in inspect.getmembers(answers, dataclasses.is_dataclass) if kind.__module__ == answers.__name__
]


def operation(endpoint: Endpoint[Any]) -> dict[str, Any]:
    found: dict[str, Any] = DESCRIBED["paths"][endpoint.path][endpoint.method.lower()]
    return found


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    """Without references; what is all of one, or one of an enumeration and nothing, is that one."""
    for word in ("allOf", "oneOf"):
        if word in schema:
            return resolved(schema[word][0]) | {"nullable": schema.get("nullable", False)}
    if "$ref" in schema:
        return resolved(SCHEMAS[schema["$ref"].rpartition("/")[2]])
    return schema


def name_of(schema: dict[str, Any]) -> str:
    reference = schema.get("$ref") or schema.get("allOf", [{}])[0].get("$ref", "")
    return str(reference).rpartition("/")[2]


def answer_of(endpoint: Endpoint[Any]) -> dict[str, Any]:
    answer = next(answer for status, answer in operation(endpoint)["responses"].items() if status.startswith("2"))
    return dict(answer.get("content", {}).get("application/json", {}).get("schema", {}))


@pytest.mark.parametrize("name", endpoints.ALL)
def test_every_address_is_described_with_what_is_sent(name: str) -> None:
    endpoint = endpoints.ALL[name]
    described = operation(endpoint)
    sent = {parameter["name"] for parameter in described.get("parameters", []) if parameter["in"] == "query"}
    assert set(endpoint.query) == sent
    headers = {parameter["name"] for parameter in described.get("parameters", []) if parameter["in"] == "header"}
    assert ("Idempotency-Key" in headers) is endpoint.once, "creations carry a key, and nothing else does"
    content = described.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    body = resolved(content) if content else {}
    assert set(endpoint.body) == set(body.get("properties", {}))


@pytest.mark.parametrize("name", endpoints.ALL)
def test_every_address_answers_what_the_client_reads(name: str) -> None:
    endpoint = endpoints.ALL[name]
    described = answer_of(endpoint)
    if endpoint.answer is type(None):
        assert described == {}
        return
    if endpoint.pages:
        page = resolved(described)
        assert {"next", "results"} <= set(page["properties"])
        described = page["properties"]["results"]["items"]
    assert name_of(described) == endpoint.answer.__name__


@pytest.mark.parametrize("kind", ANSWERS, ids=lambda kind: kind.__name__)
def test_every_answer_has_the_fields_and_types_that_are_described(kind: type[Any]) -> None:
    described = SCHEMAS[kind.__name__]["properties"]
    hints = get_type_hints(kind)
    assert {field.name for field in dataclasses.fields(kind)} == set(described)
    for field, schema in described.items():
        assert fits(hints[field], schema), f"{kind.__name__}.{field}: {hints[field]} for {schema}"


def fits(hint: Any, schema: dict[str, Any]) -> bool:
    if hint is answers.Json:
        return True
    nullable = get_origin(hint) in (Union, types.UnionType)
    if nullable:
        (hint,) = (part for part in get_args(hint) if part is not type(None))
    plain = resolved(schema)
    if nullable is not bool(schema.get("nullable", False)):
        return False
    if get_origin(hint) is tuple:
        return plain["type"] == "array" and fits(get_args(hint)[0], plain["items"])
    if dataclasses.is_dataclass(hint):
        return hint.__name__ == name_of(schema)  # type: ignore[union-attr]
    if hint is datetime:
        return plain.get("format") == "date-time"
    return plain.get("format") not in ("date-time", "date") and PLAIN.get(plain.get("type", "")) is hint


def test_every_method_of_the_client_calls_an_address_of_the_table_and_all_are_called() -> None:
    source = inspect.getsource(HeyGem)
    assert [name for name in endpoints.ALL if f"e.{name}," not in source and f"e.{name})" not in source] == []


def test_the_problems_are_those_that_are_described() -> None:
    from heygem_client.errors import Problem

    assert {field.name for field in dataclasses.fields(Problem)} == set(SCHEMAS["Problem"]["properties"])


def test_uploads_are_described_as_the_client_sends_them() -> None:
    start = DESCRIBED["paths"]["/uploads/"]["post"]
    assert {parameter["name"] for parameter in start["parameters"]} == {
        *("Tus-Resumable", "Upload-Length", "Upload-Metadata", "Idempotency-Key")
    }
    assert "Location" in start["responses"]["201"]["headers"]
    one = DESCRIBED["paths"]["/uploads/{public_id}/"]
    for method, status in (("head", "200"), ("patch", "204")):
        assert {"Upload-Offset", "HeyGem-Created-Id"} <= set(one[method]["responses"][status]["headers"])


def test_what_a_newer_site_tells_besides_is_left_out_and_what_is_missing_is_noticed() -> None:
    told = {"id": "x", "name": "A", "role": "owner", "created_at": "2026-01-02T03:04:05Z"}
    team = answers.read(answers.Team, {**told, "mascot": "owl"})
    assert team.created_at.isoformat() == "2026-01-02T03:04:05+00:00"
    assert answers.plain(team)["created_at"] == "2026-01-02T03:04:05+00:00"
    with pytest.raises(KeyError):
        answers.read(answers.Team, {"id": "x"})
