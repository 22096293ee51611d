"""The chain of credentials: every SDK's, with our own client at its end."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

import pytest

from rolewatch.aws.client import Refused, Trouble
from rolewatch.aws.credentials import IAM_ROLE, Keys, connect
from rolewatch.simulator import Simulator

pytest.importorskip("boto3")

KEYS = Keys(role="web", user="ASIATESTTESTTESTTEST", secret="s", token="t")  # noqa: S106 - made up


def test_botocore_does_not_ask_imds_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own client uses proxies and IMDSv1. With nothing from ours, nothing is asked, and there are none."""
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "false")
    with Simulator(now=lambda: datetime.now(timezone.utc)) as simulator:
        made = connect(profile=None, endpoint=simulator.endpoint, fetch=lambda: None)
        asked = simulator.requests

    assert isinstance(made.session, Refused)
    assert made.session.trouble is Trouble.NO_CREDENTIALS
    assert asked == []


def test_the_served_credentials_come_last(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in every SDK: the environment comes before, and then IMDS is not asked for keys."""
    assert connect(profile=None, endpoint="http://127.0.0.1:9", fetch=lambda: KEYS).method == IAM_ROLE
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIATESTTESTTESTTEST")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")

    assert connect(profile=None, endpoint="http://127.0.0.1:9", fetch=lambda: KEYS).method == "env"


def test_a_configuration_that_cannot_be_read_is_no_crash(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The refusal says so, and the diagnosis continues."""
    path = tmp_path / "config"
    path.write_text("[default\ncanary = 1\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(path))
    made = connect(profile=None, endpoint="http://127.0.0.1:9", fetch=lambda: KEYS)

    assert isinstance(made.session, Refused)
    assert "canary" not in made.session.sentence
    assert "configuration file cannot be read" in made.session.sentence
