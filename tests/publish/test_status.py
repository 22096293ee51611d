"""The status document, which machines read."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from publish.snapshots import DEGRADED, FIRST, NOON, OK, UNKNOWN, active
from rolewatch.faults import FAULTS, Fault
from rolewatch.publish import Snapshot
from rolewatch.publish.status import status_document, unpolled_document
from rolewatch.vocabulary import EVIDENCE_KEYS

DOCS = Path(__file__).parents[2] / "docs"
SCHEMA: Mapping[str, Any] = json.loads((DOCS / "status.schema.json").read_text(encoding="utf-8"))

TYPES: Mapping[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "null": (type(None),),
    "integer": (int,),
    "number": (int, float),
}

SNAPSHOTS = {
    "first": FIRST,
    "ok": OK,
    "degraded": DEGRADED,
    "unknown": UNKNOWN,
    "everything": replace(OK, faults=tuple(active(fault) for fault in Fault)),
}


def violations(value: object, schema: Mapping[str, Any], where: str = "$") -> Iterator[str]:
    """Yield where *value* is not as *schema* says: the part of JSON Schema that ours uses."""
    if "$ref" in schema:
        yield from violations(value, SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]], where)
    if "anyOf" in schema and all(any(violations(value, each, where)) for each in schema["anyOf"]):
        yield f"{where}: none of anyOf"
    if value not in schema.get("enum", [value]) or value != schema.get("const", value):
        yield f"{where}: {value!r} is not one of those"
    kinds = schema.get("type", [])
    if kinds and not any(is_a(value, kind) for kind in ([kinds] if isinstance(kinds, str) else kinds)):
        yield f"{where}: {value!r} is no {kinds}"
    elif isinstance(value, str) and not re.search(schema.get("pattern", ""), value):
        yield f"{where}: {value!r} does not match"
    elif isinstance(value, dict):
        yield from in_object(value, schema, where)
    elif isinstance(value, list):
        for number, each in enumerate(value):
            yield from violations(each, schema.get("items", {}), f"{where}[{number}]")


def in_object(value: Mapping[str, object], schema: Mapping[str, Any], where: str) -> Iterator[str]:
    """Yield where an object has not what *schema* requires, or has what it does not know."""
    yield from (f"{where}: no {key}" for key in schema.get("required", ()) if key not in value)
    known = schema.get("properties", {})
    for key, each in value.items():
        if key in known:
            yield from violations(each, known[key], f"{where}.{key}")
        elif not schema.get("additionalProperties", True):
            yield f"{where}: unknown {key}"


def is_a(value: object, kind: str) -> bool:
    """Return whether *value* is of JSON Schema's type *kind*, where a boolean is no number."""
    return isinstance(value, TYPES[kind]) and (kind == "boolean" or not isinstance(value, bool))


def document(snapshot: Snapshot) -> dict[str, Any]:
    """Return the document as one who asks gets it."""
    parsed: dict[str, Any] = json.loads(json.dumps(status_document(snapshot, version="1.2.3")))
    return parsed


@pytest.mark.parametrize("snapshot", SNAPSHOTS.values(), ids=SNAPSHOTS)
def test_every_document_is_as_the_schema_says(snapshot: Snapshot) -> None:
    """And it has no key that the schema does not know: every key is documented."""
    parsed = document(snapshot)

    assert list(violations(parsed, SCHEMA)) == []
    assert list(parsed) == SCHEMA["required"] == list(SCHEMA["properties"])
    for fault in parsed["faults"]:
        assert list(fault) == SCHEMA["$defs"]["fault"]["required"] == list(SCHEMA["$defs"]["fault"]["properties"])


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("schema", 2),
        ("state", "fine"),
        ("usable", 1),
        ("role", 7),
        ("polled", "yesterday"),
        ("expiration", 1),
        ("faults", [{}]),
    ],
)
def test_the_schema_refuses_what_is_wrong(key: str, value: object) -> None:
    """The checker above can fail."""
    assert list(violations({**document(OK), key: value}, SCHEMA))


def test_the_schema_has_every_key_of_evidence() -> None:
    """In the order of the model. Faults, states and severities are generated into it."""
    evidence = SCHEMA["$defs"]["fault"]["properties"]["evidence"]["properties"]

    assert list(evidence) == list(EVIDENCE_KEYS)


def test_what_is_known_of_the_instance_is_shown() -> None:
    """Each key has the value that its name says."""
    parsed = document(DEGRADED)

    del parsed["faults"]
    assert parsed == {
        "schema": 1,
        "state": "degraded",
        "state_since": "2026-03-01T09:00:00Z",
        "usable": True,
        "role": "web-role",
        "instance_profile": "web",
        "instance_profile_id": "AIPAEXAMPLEEXAMPLE123",
        "expected_role": ["batch-*"],
        "expected_instance_profile": [],
        "expected_none": False,
        "expiration": "2026-03-01T17:40:00Z",
        "last_updated": "2026-03-01T09:30:00Z",
        "rotation_interval_seconds": 3600.0,
        "clock_offset_seconds": 0.25,
        "instance_id": "i-0123456789abcdef0",
        "region": "eu-central-1",
        "account_id": "123456789012",
        "hop_limit": 2,
        "imds_address": None,
        "polled": "2026-03-01T12:00:00Z",
        "confirmed": "2026-03-01T10:00:00Z",
        "version": "1.2.3",
    }


def test_what_is_not_known_is_null() -> None:
    """A first poll without an answer still makes a whole document."""
    parsed = document(FIRST)

    unknown = [key for key, value in parsed.items() if value is None]
    assert unknown == [
        "usable",
        "role",
        "instance_profile",
        "instance_profile_id",
        "expiration",
        "last_updated",
        "rotation_interval_seconds",
        "clock_offset_seconds",
        "instance_id",
        "region",
        "account_id",
        "hop_limit",
        "imds_address",
        "confirmed",
    ]


def test_a_fault_is_explained_for_this_instance() -> None:
    """Evidence as it was seen, and commands with the ids filled in."""
    (fault,) = document(replace(DEGRADED, faults=DEGRADED.faults[2:]))["faults"]

    assert (fault["fault"], fault["since"]) == ("role_mismatch", "2026-03-01T11:00:00Z")
    assert fault["evidence"] == {"role": "web-role", "expected_role": "batch-*"}
    assert fault["title"] == FAULTS[Fault.ROLE_MISMATCH].title
    assert fault["severity"] == FAULTS[Fault.ROLE_MISMATCH].severity.name.lower()
    assert any("i-0123456789abcdef0" in step["command"] for step in fault["fix"])
    assert all(fault[key] for key in ("meaning", "cause", "takes_effect", "who"))
    assert fault["page"].startswith("https://docs.aws.amazon.com/")


def test_the_access_key_is_not_shown() -> None:
    """Not even the eight digits that distinguish two sets: only the journal has them."""
    assert "0123abcd" not in json.dumps(document(OK))


def test_before_the_first_poll_the_document_is_short() -> None:
    """What `/status.json` answers with 503 has the same `schema` and `state`, and says why there is no more."""
    parsed = unpolled_document(version="1.2.3")

    assert list(parsed) == ["schema", "state", "error", "version"]
    assert (parsed["schema"], parsed["state"], parsed["version"]) == (1, "starting", "1.2.3")


def test_the_documentation_names_every_key() -> None:
    """docs/status.md has a row for each key, and its example is a part of a document."""
    page = (DOCS / "status.md").read_text(encoding="utf-8")
    fault = SCHEMA["$defs"]["fault"]["properties"]
    (example,) = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    missing: list[str] = [key for key in (*SCHEMA["properties"], *fault) if f"`{key}`" not in page]

    assert missing == []
    wrong = [each for each in violations(json.loads(example), SCHEMA) if ": no " not in each]
    assert wrong == []
    assert NOON.isoformat()[:10] in example
