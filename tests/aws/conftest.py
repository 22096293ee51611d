"""An AWS and an IMDS on loopback for the tests that ask one. moto and boto3 are not installed everywhere."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

os.environ["MOTO_ACCOUNT_ID"] = "111122223333"  # the simulator's; moto reads it when it is imported


@pytest.fixture(scope="session")
def aws_server() -> Iterator[object]:
    """Run moto's server, once."""
    pytest.importorskip("moto")
    pytest.importorskip("boto3")
    from aws import cloud

    with cloud.running() as server:
        yield server


@pytest.fixture
def house(aws_server: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    """Yield an account with one healthy instance, its IMDS, and the command."""
    from aws import cloud
    from rolewatch.simulator import Simulator

    assert isinstance(aws_server, cloud.Cloud)
    aws_server.reset()
    aws_server.build()
    with Simulator(now=cloud.now) as simulator:
        made = cloud.House(aws_server, simulator, tmp_path, monkeypatch)
        made.know_served_keys()
        yield made
