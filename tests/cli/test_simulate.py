"""``rolewatch simulate``: the simulator as a tool of its own."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from daemon_process import LIMIT, environment, free_port, full_pipe, stop_and_continue
from e2e.processes import until
from promises import Area, promise
from rolewatch.cli import EX_USAGE, main
from rolewatch.cli.simulate import address
from rolewatch.errors import UsageError
from rolewatch.simulator.scenarios import SCENARIOS
from rolewatch.vocabulary import State
from simulator.client import Client
from simulator.client import address as netloc

LEAF = "meta-data/iam/security-credentials/"


@contextmanager
def running(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, str], list[str]]]:
    """Run the command on free ports; yield the process, the URLs that it printed, and what it printed so far."""
    command = [sys.executable, "-m", "rolewatch", "simulate", "--listen", "127.0.0.1:0", *arguments]
    if "--control" not in arguments:
        command += ["--control", "127.0.0.1:0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment())
    with process:
        try:
            assert process.stdout is not None
            printed: list[str] = []
            while not printed or "Ctrl-C" not in printed[-1]:
                line = process.stdout.readline()
                assert line, f"it ended with {process.wait()}: {printed}"
                printed.append(line)
            text = "".join(printed)
            imds, control = re.findall(r"ENDPOINT=(\S+)", text)[0], "".join(re.findall(r"(\S+)/rotate", text))
            yield process, {"imds": imds, "control": control}, printed
        finally:
            process.kill()


@promise(Area.SECRETS, "`rolewatch simulate` prints every request", "it prints none of the secrets that it serves")
def test_it_serves_and_logs_and_ends() -> None:
    """Each request is a line; SIGTERM ends it with status 0; no secret is printed."""
    with running() as (process, urls, printed):
        client = Client(urls["imds"])
        client.renew()
        role = client.get(LEAF).body.decode()
        document = json.loads(client.get(LEAF + role).body)
        client.get("not%0Athere?token=" + client.token)
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=10)

    lines = [line.split(" ", 1)[1] for line in out.splitlines()]
    assert process.returncode == 0
    assert lines == [
        "PUT /latest/api/token 200",
        f"GET /latest/{LEAF} 200",
        f"GET /latest/{LEAF}web-server 200",
        "GET /latest/not%0Athere 404",
    ]
    secrets = [document[key] for key in ("AccessKeyId", "SecretAccessKey", "Token")] + [client.token]
    assert not any(secret in "".join(printed) + out for secret in secrets)


def test_the_command_that_it_names_shows_the_fault() -> None:
    """A role is wrong only where another one is expected: the name of the scenario alone would be "OK"."""
    with running("role_mismatch") as (_, urls, printed):
        _, *words = shlex.split(next(line for line in printed if "rolewatch check" in line))

        assert main([*words, "--endpoint", urls["imds"]]) == State.DEGRADED.exit_code


@pytest.mark.parametrize(
    ("request_line", "shown"),
    [
        (b"GET /latest/\x1b]0;owned\x07\x1b[2J HTTP/1.1", "GET /latest/\\x1b]0;owned\\x07\\x1b[2J"),
        (b"\x1b[31mGET /latest/ HTTP/1.1", "- - 400"),
        (b"GET /latest/\x9b31m HTTP/1.1", "GET /latest/\\x9b31m"),
        (b"GET /\x7f\x08\x08 HTTP/1.1", "GET /\\x7f\\x08\\x08"),
    ],
    ids=["title", "method", "C1", "backspace"],
)
def test_a_request_cannot_command_the_terminal(request_line: bytes, shown: str) -> None:
    """Control characters in a request line are printed as escapes, or not at all."""
    with running("--control", "none") as (process, urls, _):
        with socket.create_connection(netloc(urls["imds"]), timeout=5) as connection:
            connection.sendall(request_line + b"\r\nHost: x\r\n\r\n")
            while connection.recv(4096):
                pass
        Client(urls["imds"]).renew()
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=10)

    *printed, last = out.splitlines()
    assert last.endswith("PUT /latest/api/token 200")
    assert all(line.isprintable() for line in printed), printed
    assert all(shown in line for line in printed)


def test_it_is_switched_as_it_says() -> None:
    """The control port that is printed works; SIGINT ends it likewise."""
    with running("imds-disabled", "--role", "db", "--speed", "60") as (process, urls, _):
        client = Client(urls["imds"])
        disabled = client.renew().status
        Client(urls["control"]).ask("PUT", "/scenario", b"healthy")
        client.renew()
        listed = client.get(LEAF).body
        process.send_signal(signal.SIGINT)

        assert (disabled, listed, process.wait(10)) == (403, b"db", 0)


def test_the_control_port_can_be_left_out() -> None:
    """Then nothing is said of it."""
    with running("--control", "none") as (_, urls, printed):
        assert (urls["control"], "switch" in "".join(printed)) == ("", False)


def test_it_serves_the_user_data_of_a_file(tmp_path: Path) -> None:
    """Byte for byte, whatever it is: cloud-init takes it gzipped, too."""
    file = tmp_path / "user-data"
    file.write_bytes(b"#cloud-config\n\x1f\x8b\xff")
    with running("--user-data", str(file)) as (_, urls, _):
        client = Client(urls["imds"])
        client.renew()

        assert client.get("user-data").body == file.read_bytes()


def test_an_instance_without_user_data_has_none() -> None:
    """404, as on EC2."""
    with running() as (_, urls, _):
        client = Client(urls["imds"])
        client.renew()

        assert client.get("user-data").status == 404


def test_user_data_that_ec2_would_not_take_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """More than 16 KiB, with the remedy; a file that is not there, with its name."""
    file = tmp_path / "user-data"
    refused = [main(["simulate", "--user-data", str(file)])]
    file.write_bytes(bytes(16385))
    refused.append(main(["simulate", "--user-data", str(file)]))
    missing, large = capsys.readouterr().err.splitlines()

    assert refused == [EX_USAGE, EX_USAGE]
    assert missing == f"rolewatch: --user-data {file} cannot be read: No such file or directory."
    assert large.endswith("has more than 16384 bytes, the limit of EC2: compress it with gzip.")


@pytest.mark.parametrize("kind", ["FIFO", "device"])
def test_user_data_is_read_from_a_regular_file_only(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A FIFO that nobody writes to is not waited for, and an endless device is not read."""
    file = tmp_path / "fifo" if kind == "FIFO" else Path("/dev/zero")
    if kind == "FIFO":
        os.mkfifo(file)

    assert main(["simulate", "--user-data", str(file)]) == EX_USAGE
    assert f"cannot be read: it is a {kind}, not a regular file." in capsys.readouterr().err


def test_it_goes_on_when_nobody_reads() -> None:
    """`| head` ends the reader, not the simulator; what could not be printed does not change the exit status."""
    with running() as (process, urls, _):
        assert process.stdout is not None
        process.stdout.close()
        client = Client(urls["imds"])
        statuses = [client.renew().status for _ in range(3)]
        process.send_signal(signal.SIGTERM)

        assert (statuses, process.wait(10)) == ([200] * 3, 0)


def test_a_reader_that_stops_reading_stops_no_simulator() -> None:
    """`| less` may read one page and wait: requests are answered, lines without room are dropped, SIGTERM ends it."""
    port = free_port()
    command = [sys.executable, "-m", "rolewatch", "simulate", "--listen", f"127.0.0.1:{port}", "--control", "none"]
    with full_pipe() as full, subprocess.Popen(command, stdout=full, env=environment()) as process:
        try:
            client = Client(f"http://127.0.0.1:{port}")
            until(lambda: renewed(client), "an answer", patience=LIMIT)
            statuses = [client.renew().status for _ in range(3)]
            process.terminate()

            assert (statuses, process.wait(LIMIT)) == ([200] * 3, 0)
        finally:
            process.kill()


def renewed(client: Client) -> bool:
    """Return whether *client* got a token."""
    try:
        return client.renew().status == 200
    except OSError:
        return False


def test_output_that_cannot_be_written_is_reported_once(tmp_path: Path) -> None:
    """A full disk: the simulator goes on, and ends with status 0."""
    log = tmp_path / "stderr"
    with log.open("w") as stderr, Path("/dev/full").open("w") as full:
        port = free_port()
        command = [sys.executable, "-m", "rolewatch", "simulate", "--listen", f"127.0.0.1:{port}", "--control", "none"]
        with subprocess.Popen(command, stdout=full, stderr=stderr, env=environment()) as process:
            try:
                until(lambda: "Nothing more" in log.read_text(), "the report", patience=LIMIT)
                statuses = [Client(f"http://127.0.0.1:{port}").renew().status for _ in range(3)]
                process.terminate()

                assert (statuses, process.wait(10)) == ([200] * 3, 0)
            finally:
                process.kill()
    assert log.read_text() == (
        "rolewatch: the output cannot be written: No space left on device. Nothing more is printed.\n"
    )


def test_it_goes_on_after_a_stop() -> None:
    """SIGSTOP and SIGCONT interrupt the wait for the signals that end it."""
    with running() as (process, urls, _):
        for _ in range(3):
            stop_and_continue(process, 0.1)
            assert Client(urls["imds"]).renew().status == 200
        process.send_signal(signal.SIGTERM)

        assert process.wait(10) == 0


def test_a_text_list_has_a_line_for_each_scenario(capsys: pytest.CaptureFixture[str]) -> None:
    """Name, state and title."""
    assert main(["simulate", "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()

    assert [line.split()[:2] for line in lines] == [[each.name, each.expect.state.value] for each in SCENARIOS]


def test_a_markdown_list_is_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    """Four columns in every line."""
    assert main(["simulate", "--list", "--format", "markdown"]) == 0
    lines = capsys.readouterr().out.splitlines()

    assert len(lines) == len(SCENARIOS) + 2
    assert {line.count("|") for line in lines} == {5}


def test_a_json_list_is_versioned(capsys: pytest.CaptureFixture[str]) -> None:
    """With what is expected of each."""
    assert main(["simulate", "--list", "--format", "json"]) == 0
    document = json.loads(capsys.readouterr().out)

    assert document["schema"] == 1
    assert [each["name"] for each in document["scenarios"]] == [each.name for each in SCENARIOS]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["imds-hoplimit"], "Did you mean imds_hop_limit"),
        (["--speed", "0"], "at most 3600"),
        (["--listen", "0.0.0.0:1338"], "--allow-non-loopback"),
        (["--listen", "192.0.2.1:1338"], "--allow-non-loopback"),
        (["--control", "[::]:1339"], "--allow-non-loopback"),
        (["--listen", "[fe80::1]:1338"], "[fe80::1%eth0]:1338"),
        (["--control", "[fe80::1]:1339", "--allow-non-loopback"], "[fe80::1%eth0]:1339"),
        (["--listen", "[fe80::1%no-such-one]:1338"], "cannot listen on fe80::1%no-such-one port 1338"),
        (["--listen", "127.0.0.1"], "HOST:PORT"),
        (["--listen", "::1:80"], "HOST:PORT"),
        (["--listen", "127.0.0.1:99999"], "HOST:PORT"),
        (["--listen", "127.0.0.1:" + "0" * 5000], "HOST:PORT"),
        (["--listen", "imds.example:80"], "HOST:PORT"),
    ],
)
def test_what_cannot_be_done_is_said(capsys: pytest.CaptureFixture[str], arguments: list[str], said: str) -> None:
    """With what to do instead, and the exit status of a mistake."""
    assert main(["simulate", *arguments]) == EX_USAGE
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("127.0.0.1:1338", ("127.0.0.1", 1338)),
        ("localhost:0", ("127.0.0.1", 0)),
        ("[::1]:80", ("::1", 80)),
        ("169.254.169.254:80", ("169.254.169.254", 80)),
        ("[fd00:ec2::254]:80", ("fd00:ec2::254", 80)),
        ("[fe80::1%eth0]:80", ("fe80::1%eth0", 80)),
    ],
)
def test_loopback_and_link_local_addresses_are_fine(text: str, read: tuple[str, int]) -> None:
    """IMDS's own two among them: they are wanted in a namespace or a virtual machine."""
    assert address(text, "--listen", anywhere=False) == read


def test_any_address_can_be_allowed() -> None:
    """By a flag, and only so."""
    assert address("0.0.0.0:80", "--listen", anywhere=True) == ("0.0.0.0", 80)  # noqa: S104 - read, not bound
    with pytest.raises(UsageError, match="made up"):
        address("0.0.0.0:80", "--listen", anywhere=False)
