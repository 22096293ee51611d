"""The shipped IAM policies allow exactly what is called."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rolewatch.aws.client import CALLS

POLICIES = Path(__file__).parents[2] / "packaging" / "iam"


@pytest.mark.parametrize("name", ["confirm-on-instance", "diagnose-workstation"])
def test_a_policy_allows_the_calls_and_nothing_else(name: str) -> None:
    """One action too many or too few fails; what needs no permission is not in it."""
    policy = json.loads((POLICIES / f"{name}.json").read_text())
    (statement,) = policy["Statement"]

    assert statement["Effect"] == "Allow"
    assert statement["Action"] == sorted(call.action for call in CALLS if call.needs_permission)


def test_every_call_reads() -> None:
    """Nothing is changed by rolewatch: each call describes, gets or lists."""
    assert all(call.operation.startswith(("describe_", "get_", "list_")) for call in CALLS)


def test_every_call_exists() -> None:
    """Every operation is one of boto3's, and its action has the operation's name."""
    pytest.importorskip("boto3")
    import botocore.session
    from botocore import xform_name

    session = botocore.session.Session()
    for call in CALLS:
        service, _, action = call.action.partition(":")
        assert service == call.service
        assert action in session.get_service_model(call.service).operation_names
        assert xform_name(action) == call.operation
