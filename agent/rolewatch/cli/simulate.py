"""``rolewatch simulate``: an IMDS with every fault, to test alerts and applications."""

from __future__ import annotations

import argparse
import ipaddress
import json
import signal
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from rolewatch import files
from rolewatch.authority import split_address
from rolewatch.cli import COMMANDS, output
from rolewatch.errors import UsageError
from rolewatch.simulator import Exchange, Simulator
from rolewatch.simulator.scenarios import SCENARIOS, catalog, scenario
from rolewatch.text import printable, shortened

LISTEN = "127.0.0.1:1338"
"""The default port of amazon-ec2-metadata-mock, too: its scripts work unchanged."""
CONTROL = "127.0.0.1:1339"
STOPS = (signal.SIGINT, signal.SIGTERM)
IMDS_IPV6 = ipaddress.IPv6Address("fd00:ec2::254")
MAX_USER_DATA = 16384
"""Bytes of user-data, before it is base64-encoded (EC2 user guide, "Run commands when you launch", 2026-11)."""
_LONGEST_PATH = 200
_LONGEST_METHOD = 20


def add_parser(commands: Any) -> None:  # noqa: ANN401 - argparse has no public name for it
    """Add ``simulate``."""
    parser = commands.add_parser(
        "simulate",
        help=COMMANDS["simulate"],
        description="Run a simulated IMDS on loopback, with a scenario for each fault and each network fault, switched "
        "while it runs. Its credentials are made up and valid nowhere. It prints each request. SIGINT or SIGTERM ends "
        "it.",
    )
    parser.add_argument(
        "scenario", nargs="?", metavar="SCENARIO", default="healthy", help="first scenario (default: healthy)"
    )
    parser.add_argument("--list", action="store_true", help="list the scenarios and exit")
    parser.add_argument(
        "--format", choices=("text", "markdown", "json"), default="text", help="of --list (default: text)"
    )
    parser.add_argument(
        "--listen", metavar="HOST:PORT", default=LISTEN, help=f"address of the IMDS (default: {LISTEN})"
    )
    parser.add_argument(
        "--control",
        metavar="HOST:PORT",
        default=CONTROL,
        help=f"address of the control port, or none (default: {CONTROL})",
    )
    parser.add_argument(
        "--speed",
        metavar="N",
        type=float,
        default=1.0,
        help="expire and rotate credentials N times as fast (default: 1)",
    )
    parser.add_argument("--role", metavar="NAME", default="", help="name of the role (default: web-server)")
    parser.add_argument(
        "--instance-profile", metavar="NAME", default="", help="name of the instance profile (default: as the role)"
    )
    parser.add_argument(
        "--user-data",
        metavar="FILE",
        type=Path,
        help="serve FILE as the instance's user-data, for cloud-init (default: none)",
    )
    parser.add_argument(
        "--allow-non-loopback",
        action="store_true",
        help="allow addresses that are neither loopback nor link-local",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Simulate until SIGINT or SIGTERM; return 0. Raise `UsageError` or `UnavailableError`."""
    if arguments.list:
        print("\n".join(listing(arguments.format)))
        return 0
    anywhere = arguments.allow_non_loopback
    host, port = address(arguments.listen, "--listen", anywhere=anywhere)
    control: tuple[str, int | None] = ("127.0.0.1", None)
    if arguments.control != "none":
        control = address(arguments.control, "--control", anywhere=anywhere)
    user_data = b"" if arguments.user_data is None else read_user_data(arguments.user_data)
    # Before the simulator's thread starts, which inherits the mask: `sigwait` gets the signals.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
    try:
        simulator = Simulator(
            now=utc_now,
            scenario_name=arguments.scenario,
            host=host,
            port=port,
            control_host=control[0],
            control_port=control[1],
            speed=arguments.speed,
            role=arguments.role,
            instance_profile=arguments.instance_profile,
            user_data=user_data,
            on_exchange=show,
        )
        with simulator:
            output.say("\n".join(greeting(simulator)))
            signal.sigwait(STOPS)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return 0


def read_user_data(file: Path) -> bytes:
    """Return the bytes of *file*. Raise `UsageError` if it cannot be read, or is larger than EC2 accepts."""
    shown = shortened(str(file), _LONGEST_PATH)
    try:
        return files.read(file, limit=MAX_USER_DATA, follow_links=True).data
    except files.TooLargeError:
        message = f"--user-data {shown} has more than {MAX_USER_DATA} bytes, the limit of EC2: compress it with gzip."
    except (OSError, ValueError) as error:  # ValueError: a null character
        message = f"--user-data {shown} cannot be read: {getattr(error, 'strerror', None) or error}."
    raise UsageError(message)


def utc_now() -> datetime:
    """Return the time in UTC."""
    return datetime.now(timezone.utc)


def address(text: str, option: str, *, anywhere: bool) -> tuple[str, int]:
    """Parse ``HOST:PORT`` or ``[IPV6]:PORT``, the value of *option*; return the IP address and the port.

    Raise `UsageError` if it is neither, or if it is not loopback or link-local and *anywhere* is False.
    """
    host, port = split_address(text) or ("", 0)
    try:
        ip = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host)
    except ValueError:
        message = (
            f"{option} {text!r} is not an address: write HOST:PORT with an IP address, such as {LISTEN} or [::1]:1338."
        )
        raise UsageError(message) from None
    if isinstance(ip, ipaddress.IPv6Address) and ip.is_link_local and not ip.scope_id:
        message = f"{option} {text} names no interface. Add one to the link-local address, as in [{ip}%eth0]:{port}."
        raise UsageError(message)
    if not (anywhere or ip.is_loopback or ip.is_link_local or ip == IMDS_IPV6):
        message = (
            f"{option} {text}: other hosts can reach this address. Use a loopback or link-local address, or add "
            "--allow-non-loopback: the credentials are made up, but clients may use them."
        )
        raise UsageError(message)
    return str(ip), port


def greeting(simulator: Simulator) -> Iterator[str]:
    """Yield the lines that say how to use the running *simulator*."""
    yield f"The simulated IMDS listens on {simulator.endpoint}, in the scenario {simulator.scenario}. To use it:"
    yield f"  export AWS_EC2_METADATA_SERVICE_ENDPOINT={simulator.endpoint}"
    yield f"  {scenario(simulator.scenario).command}"
    if simulator.control:
        yield "To change the scenario while it runs:"
        yield f"  curl -X PUT -d assume_role_unauthorized {simulator.control}/scenario"
        yield f"  curl -X POST {simulator.control}/rotate"
        yield f"  curl {simulator.control}/scenarios"
    yield "Ctrl-C stops the simulator. Requests:"


def show(exchange: Exchange) -> None:
    """Print one request."""
    method, path = shortened(exchange.method, _LONGEST_METHOD), shortened(exchange.path, _LONGEST_PATH)
    output.say(f"{utc_now():%H:%M:%S} {method} {path} {printable(exchange.outcome)}")


def listing(form: str) -> Iterator[str]:
    """Yield the lines of the list of scenarios, as ``text``, ``markdown`` or ``json``."""
    if form == "json":
        yield json.dumps({"schema": 1, "scenarios": catalog()}, indent=2)
    elif form == "markdown":
        yield "| scenario | what it shows | state | faults |"
        yield "|---|---|---|---|"
        for each in SCENARIOS:
            faults = ", ".join(f"`{fault.value}`" for fault in each.expect.faults)
            note = f" {each.note}" if each.note else ""
            yield f"| `{each.name}` | {each.title}.{note} | {each.expect.state.value} | {faults or 'none'} |"
    else:
        width = max(len(each.name) for each in SCENARIOS)
        for each in SCENARIOS:
            yield f"{each.name:<{width}}  {each.expect.state.value:<8}  {each.title}"
