"""The JSON form: held to its published schema."""

from __future__ import annotations

import json
import re
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from rolewatch.aws.checks import Status
from rolewatch.aws.diagnose import CHECKS
from rolewatch.vocabulary import EVIDENCE_KEYS

pytest.importorskip("moto")

from aws.cloud import OTHER_ID, House

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "diagnose.schema.json").read_text())
TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}


def fits(value: object, schema: Any, where: str = "$") -> None:  # noqa: ANN401 - a schema may be a bool
    """Check *value* against as much of JSON Schema as ours uses."""
    unknown = set(schema) - {
        *("$schema", "title", "description", "type", "const", "enum", "required", "properties", "items"),
        "additionalProperties",
    }
    assert not unknown
    kinds = schema.get("type", [])
    for kind in [kinds] if isinstance(kinds, str) else kinds:
        if isinstance(value, TYPES[kind]):
            break
    else:
        assert not kinds, where
    assert schema.get("const", value) == value, where
    assert value in schema.get("enum", [value]), where
    if isinstance(value, dict):
        assert set(schema.get("required", [])) <= set(value), where
        for key, inner in value.items():
            rest = schema.get("additionalProperties", {})
            rule = schema.get("properties", {}).get(key, rest)
            assert rule is not False, f"{where}.{key}"
            fits(inner, rule, f"{where}.{key}")
    if isinstance(value, list):
        for number, inner in enumerate(value):
            fits(inner, schema.get("items", {}), f"{where}[{number}]")


def test_what_is_printed_fits_the_schema(house: House) -> None:
    """Healthy, broken, and from a workstation without credentials."""
    documents = [house.diagnose().document]
    house.cloud.delete_profile()
    house.cloud.create_profile(OTHER_ID)
    documents.append(house.diagnose().document)
    house.imds.switch("instance_profile_not_found")
    documents += [house.diagnose().document, house.from_elsewhere().document]

    for document in documents:
        fits(document, SCHEMA)
        assert all(set(fault["evidence"]) <= set(EVIDENCE_KEYS) for fault in document["faults"])
        polled = datetime.strptime(document["polled"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc)
        assert abs((datetime.now(timezone.utc) - polled).total_seconds()) < 60


def test_the_schema_has_every_status_of_a_check() -> None:
    """The other closed sets are generated into it."""
    check = SCHEMA["properties"]["checks"]["items"]["properties"]

    assert check["status"]["enum"] == [status.value for status in Status]


def test_the_check_of_the_schema_can_fail() -> None:
    """A document that is wrong is found out."""
    with pytest.raises(AssertionError):
        fits({"schema": 2}, SCHEMA)


def test_the_manual_has_every_check_and_no_other() -> None:
    """docs/diagnose.md lists the checks in their order."""
    manual = (Path(__file__).parents[2] / "docs" / "diagnose.md").read_text()
    listed = re.findall(r"^\| `([a-z0-9]+\.[a-z_]+)` \|", manual, re.MULTILINE)

    assert listed == [check.id for check in CHECKS]
