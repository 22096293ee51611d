"""The chain of credentials: every SDK's, with our own client at its end."""

from __future__ import annotations

import os
import threading
import time
from datetime import datetime, timezone
from pathlib import Path

import pytest

from rolewatch.aws.client import Budget, Refused, Trouble
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


def test_a_chain_that_does_not_end_is_given_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Within half of the budget, with the reason: here, a credential_process that waits for a writer."""
    pipe, config = tmp_path / "pipe", tmp_path / "config"
    os.mkfifo(pipe)
    config.write_text(f"[default]\nregion = eu-west-1\ncredential_process = cat {pipe}\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    begun, others = time.monotonic(), threading.enumerate()
    made = connect(profile=None, endpoint="http://127.0.0.1:9", fetch=lambda: KEYS, budget=Budget(4, time.monotonic))
    took, given_up = time.monotonic() - begun, [each for each in threading.enumerate() if each not in others]
    pipe.write_bytes(b"")
    for thread in given_up:
        thread.join(10)

    assert took < 4
    assert isinstance(made.session, Refused)
    assert "within 2 s; perhaps a credential_process does not end" in made.session.sentence
    assert made.region == "eu-west-1"


ROLE = "role_arn = arn:aws:iam::111122223333:role/x\n"
IMDS = "credential_source = Ec2InstanceMetadata\n"
DEVICE = "mfa_serial = arn:aws:iam::111122223333:mfa/x\n"


@pytest.mark.parametrize(
    ("config", "bounded"),
    [
        (f"[default]\n{ROLE}{IMDS}", True),
        (f"[default]\n{ROLE}{IMDS}{DEVICE}", False),
        (f"[default]\n{ROLE}source_profile = b\n[profile b]\n{ROLE}{IMDS}{DEVICE}", False),
        (f"[default]\n{ROLE}source_profile = b\n[profile b]\n{ROLE}source_profile = default\n", True),
        (f"[default]\n{DEVICE}", True),
    ],
)
def test_only_a_person_with_an_mfa_code_is_waited_for(
    config: str, *, bounded: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Here no time is left, so that a chain that is bounded is not begun; the other ends without keys of IMDS."""
    (tmp_path / "config").write_text(config)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    made = connect(profile=None, endpoint="http://127.0.0.1:9", fetch=lambda: None, budget=Budget(0, time.monotonic))

    assert isinstance(made.session, Refused)
    assert made.session.trouble is Trouble.NO_CREDENTIALS
    assert ("took all the time" in made.session.sentence) == bounded
