"""Every parser of outside text in the package, with the input that would cost it most: for tests/test_linear_work.py.

A parser is a function that uses a regular expression, splits a text, or calls one of `DECODERS`. The test finds them in
the source. To add one: give it a `Parser` here that reaches it, with frames in which ``§`` marks the part that an
attacker repeats; or, where only texts of our own reach it, name it in `OWN_TEXTS` with the reason.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import socket
import ssl
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Callable

from prometheus_client.exposition import choose_encoder

import builders
from rolewatch import authority, config, files, http, shell
from rolewatch.aws import client, credentials, queries, revocation, trust_policy
from rolewatch.aws.diagnose import host, overrides, programs
from rolewatch.aws.preflight import names
from rolewatch.cli import ask_daemon, history, journal_reader, poll_once, simulate
from rolewatch.config.keys import KEYS
from rolewatch.errors import RolewatchError
from rolewatch.faults import Fault, explain
from rolewatch.http import own_names, tls
from rolewatch.http.listener import bind as server_bind
from rolewatch.http.request import BadRequestError, RequestParser
from rolewatch.http.server import MAX_HEAD
from rolewatch.imds import documents
from rolewatch.imds.client import Client
from rolewatch.monitor import classify, confirmation
from rolewatch.monitor.state_file import NAME, StateFile
from rolewatch.publish import metrics
from rolewatch.settings import ImdsSettings, Settings, TlsSettings
from rolewatch.simulator import Simulator, imds, server
from rolewatch.text import parse_duration, timestamp
from wire import GRANT, TOKEN_PATH, Request, Script, Wire

DECODERS = frozenset(
    {
        "IPv4Address",
        "IPv6Address",
        "PEM_cert_to_DER_cert",
        "b64decode",
        "fnmatchcase",
        "fromhex",
        "ip_address",
        "ip_network",
        "literal_eval",
        "loads",
        "parse_qs",
        "parsedate_to_datetime",
        "strptime",
        "unquote",
        "urlsplit",
    }
)
"""What makes values of texts, in the standard library and elsewhere."""

OWN_TEXTS: Mapping[str, str] = {
    "__init__.project_url": "the metadata of our own package",
    "imds.host.": "answers of the kernel, in messages of at most 8 KiB",
    "imds.hop_limit.Measurement.__init__": "the endpoint of the settings",
    "alerts.": "renders the table of faults",
    "aws.diagnose.aws_checks.served_credentials": "an instance id, whose pattern has 19 characters",
    "cli.diagnose.run": "likewise",
    "aws.diagnose.programs.request_as": "what our own child process writes",
    "aws.diagnose.program_checks._contains": "networks of a unit, which root writes",
    "cli.render.": "a command of the table of faults",
    "http.page._parts": "our own page.html",
    "http.page.command": "a command of the table of faults",
    "simulator.server.Control.respond": "the methods of its own table",
}
"""Functions, or with a dot at the end whole modules and rooms, that no outside text reaches; and why."""

UNITS = (
    *" \t\n\r\0a0x9_*?[]{}()\"'\\/.,:;=%+-@#&<é",
    "\x7f",
    "\r\n",
    "a.",
    ".a",
    "a,",
    ";=",
    "a=b;",
    '\\"',
    "''",
    '""',
    "[a",
    "*a",
    "a-",
    "%41",
    "//",
    "https://",
    "1m",
    "::",
)
"""What an attacker may repeat."""


class Place:
    """Where parsers read: a directory, an IMDS with scripted answers, and a simulator."""

    def __init__(self, directory: Path, opened: contextlib.ExitStack) -> None:
        """Start the servers; *opened* ends them."""
        self.directory = directory
        self._answer = b""
        self._imds = opened.enter_context(Wire(self._play))
        settings = ImdsSettings(timeout=5.0, deadline=10.0, attempts=1)
        self._token = b""
        self.client = Client(self._imds.endpoint, settings, monotonic=time.monotonic)
        self._simulator = opened.enter_context(Simulator(now=lambda: datetime.now(timezone.utc)))
        ttl = b"X-aws-ec2-metadata-token-ttl-seconds: 21600"
        granted = self.ask_simulator(b"PUT /latest/api/token HTTP/1.1\r\n%s\r\nContent-Length: 0\r\n\r\n" % ttl)
        self._token = granted.rpartition(b"\r\n")[2]

    def _play(self, request: Request) -> Script:
        return [GRANT if request.path == TOKEN_PATH else self._answer]

    def written(self, name: str, text: str) -> Path:
        """Write the file *name*, and return its path."""
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode("utf-8", "replace"))
        return path

    def poll(self, answer: bytes) -> None:
        """Let IMDS answer a request for a document with *answer*, and send one."""
        self._answer = answer
        self._imds.requests.clear()
        self.client.session().get("meta-data/iam/info")

    def ask_simulator(self, head: bytes) -> bytes:
        """Send *head* to the simulator, and return its answer. TOKEN is replaced by a session token."""
        host, _, port = self._simulator.endpoint.rpartition("/")[2].partition(":")
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(head.replace(b"TOKEN", self._token))
            connection.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: connection.recv(1 << 16), b""))


Run = Callable[[str, Place], object]


@dataclass(frozen=True)
class Parser:
    """One way in, and what may come by it."""

    run: Run
    """Parses a text. `REFUSALS` are expected."""
    largest: int
    """Characters of the largest text that is accepted; where nothing bounds it, enough to see how the work grows."""
    frames: Sequence[str]
    """Texts; ``§`` marks what is repeated. One without it is parsed as it is, to reach what good texts reach."""
    units: Sequence[str] = UNITS

    def inputs(self) -> Iterator[tuple[str, str]]:
        """Yield each frame with each unit."""
        return ((frame, unit) for frame in self.frames for unit in (self.units if "§" in frame else ("",)))


def text_of(frame: str, unit: str, length: int) -> str:
    """Return *frame* with *unit* repeated until it has some *length* characters."""
    return frame.replace("§", unit * (max(0, length - len(frame)) // max(1, len(unit))))


REFUSALS = (RolewatchError, BadRequestError, server.BadRequestError)
"""What parsers raise for what they refuse."""


def _dripped(text: str, _: Place) -> None:
    parser = RequestParser(MAX_HEAD)
    for byte in text.encode("latin-1", "replace"):
        parser.feed(bytes((byte,)))


def _document(read: Callable[[bytearray], object]) -> Run:
    return lambda text, _: read(bytearray(text.encode("utf-8", "replace")))


def _settings(text: str, place: Place) -> None:
    config.load(place.written("rolewatch.toml", text), environ={}, flags={})


def _environment(text: str, place: Place) -> None:
    environ = {key.variable: text for key in KEYS.values()}
    sdk = ("ENDPOINT", "ENDPOINT_MODE", "TIMEOUT", "NUM_ATTEMPTS")
    environ.update({f"AWS_EC2_METADATA_SERVICE_{name}": text for name in sdk})
    environ.update({"AWS_METADATA_SERVICE_TIMEOUT": text, "AWS_METADATA_SERVICE_NUM_ATTEMPTS": text})
    environ["ROLEWATCH_POLL_X"] = text
    del place
    config.load(None, environ=environ, flags={}, default=Path("/nowhere/rolewatch.toml"))


def _pattern(text: str, _: Place) -> None:
    pattern = documents.name_pattern(text.encode("utf-8", "replace"))
    classify.matches("a" * 64, (pattern,) if pattern else ())


def _state(text: str, place: Place) -> None:
    place.written(NAME, text)
    StateFile(place.directory).load(boot_id="")


def _asked(text: str, _: Place) -> None:
    with contextlib.suppress(ValueError, RecursionError):
        ask_daemon.decode(text)


def _shadows(text: str, place: Place) -> None:
    place.written("home/.aws/config", text)
    endpoint = "http://169.254.169.254"
    environ = {"http_proxy": "p", "no_proxy": text.replace("\0", "")}
    overrides.find_overrides(environ, Path("/home"), endpoint, view=overrides.View(place.directory))


def _program(text: str, place: Place) -> None:
    plain = text.replace("\0", "")
    place.written("proc/7/environ", text)
    place.written("proc/7/cgroup", plain)
    place.written("proc/7/status", f"Name:\t{plain}\nUid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\n")
    place.written("unit.env", text)
    programs.process(7, proc=place.directory / "proc", run=lambda _: text)
    shown = f"LoadState=loaded\nMainPID=0\nEnvironmentFiles={place.directory}/unit.env (x)\nEnvironment={text}\n"
    programs.running_units(run=lambda _: text)
    programs.unit("a.service", run=lambda _: f"{shown}IPAddressDeny={text}\n")


def _host(text: str, place: Place) -> None:
    for name in (
        "proc/self/net/route",
        "proc/self/net/ipv6_route",
        "proc/cmdline",
        "sys/devices/virtual/dmi/id/board_asset_tag",
    ):
        place.written(name, text)
    host.inspect("http://169.254.169.254", root=place.directory)
    host.inspect("http://[fd00:ec2::254]", root=place.directory)


def _names(text: str, _: Place) -> None:
    for parse in (names.parse_profile, names.parse_role, names.parse_principal):
        with contextlib.suppress(RolewatchError):
            parse(text)


class _Door(client.Api):
    """Answers every question with the same."""

    def __init__(self, answer: Mapping[str, Any]) -> None:
        self._said = answer

    def ask(self, call: client.Call, **parameters: object) -> Mapping[str, Any]:
        """Answer."""
        del call, parameters
        return self._said


def _aws(text: str, _: Place) -> None:
    queries.last_segment(text)
    queries.account_of(text)
    queries.caller(_Door({"Arn": text, "Account": "111122223333", "UserId": text}))
    queries.caller(_Door({"Arn": "arn:aws:sts::111122223333:assumed-role/a/b", "Account": text, "UserId": text}))
    error = Exception()
    error.response = {"Error": {"Code": text, "Message": text}}  # type: ignore[attr-defined]
    client.refusal(error, "iam:GetRole")


def _served(text: str, place: Place) -> None:
    place._answer = b"HTTP/1.1 200 OK\r\n\r\n" + text.encode("utf-8", "replace")  # noqa: SLF001 - what it answers next
    credentials._keys("a", bytearray(text.encode("utf-8", "replace")))  # noqa: SLF001 - the rest of `fetch` is `documents`


def _certificate(text: str, place: Place) -> None:
    path = str(place.written("x.pem", text))
    tls.validity(text)
    times = b"\x30\x1e\x17\x0d260101000000Z\x17\x0d270101000000Z"
    tls.validity(ssl.DER_cert_to_PEM_cert(text.encode("utf-8", "replace") + times))
    for settings in (TlsSettings(cert_file=path, key_file=path), TlsSettings(cert_file=path, client_ca_file=path)):
        with contextlib.suppress(RolewatchError):
            tls.make_context(settings)


def _simulator(text: str, place: Place) -> None:
    place.ask_simulator(text.encode("latin-1", "replace"))


async def _read(data: bytes) -> None:
    reader = asyncio.StreamReader(limit=server.MAX_HEAD)
    reader.feed_data(data)
    reader.feed_eof()
    request = await server.read_request(reader)
    if request is not None:
        imds.targets(request)


def _simulated(text: str, _: Place) -> None:
    asyncio.run(_read(text.encode("latin-1", "replace")))


def _token(text: str, _: Place) -> None:
    imds.ttl(text)
    imds.Tokens(b"x").left(text, builders.START)


def _past(text: str, _: Place) -> None:
    """Make an event of each character; the letter is its kind."""
    kinds = {"r": "fault_raised", "c": "fault_cleared", "s": "stopping", "p": "fault_persists"}
    events: list[journal_reader.PastEvent] = []
    for number, letter in enumerate(text):
        at = builders.START + timedelta(seconds=number)
        since = text if letter == "t" else f"{at:%Y-%m-%dT%H:%M:%SZ}"
        fault = f"f{number % 7 if letter == 'p' else number}"
        events.append(
            journal_reader.PastEvent(at, "info", kinds.get(letter, "x"), "It is so.", fault, {"since": since})
        )
        if letter == "t":
            break
    list(history.event_table(events, 80))
    list(history.fault_table(events, builders.START))


def _words(text: str, _: Place) -> None:
    evidence = {"role": text, "expected_role": text, "since": text}
    explain.explain(Fault.ROLE_MISMATCH, evidence, {"region": text, "role": text})
    parse_duration(text)


def _query(text: str, _: Place) -> None:
    request = RequestParser(2 * MAX_HEAD).feed(f"GET /metrics?{text} HTTP/1.1\r\n\r\n".encode("latin-1", "replace"))
    if request is not None:
        http._arguments(request)  # noqa: SLF001 - its caller renders a page


def _accepted(text: str, _: Place) -> None:
    metrics._accepts_gzip(text)  # noqa: SLF001 - its caller renders a page
    choose_encoder(text)


def _addresses(text: str, _: Place) -> None:
    with contextlib.suppress(RolewatchError):
        simulate.address(text, "--listen", anywhere=True)
    with contextlib.suppress(RolewatchError):
        server_bind([text])
    environ = {"STATE_DIRECTORY": text, "RUNTIME_DIRECTORY": text}
    poll_once.confirmation_request(Settings(), environ)
    poll_once.state_file(Settings(), environ)


def _authority(text: str, place: Place) -> None:
    authority.host_of(text)
    authority.host_of("a" + text)
    authority.is_same_ip(text, text)
    own_names(place.written("hosts", f"127.0.0.1 {socket.gethostname()} {text}\n{text}"))


def _field(text: str, _: Place) -> None:
    at = {"__REALTIME_TIMESTAMP": 0, "ROLEWATCH_EVENT": "stopping"}
    journal_reader.read_event({**at, "ROLEWATCH_DURATION_SECONDS": text, "ROLEWATCH_ROLE": text, "MESSAGE": text})
    with contextlib.suppress(argparse.ArgumentTypeError):
        history.uid(text)
    with contextlib.suppress(argparse.ArgumentTypeError):
        history.unit(text)


def _name(text: str, _: Place) -> None:
    shell.shorthand(text)
    shell.option("role-name", text)
    shell.fill(text, "Name=")


def _replaced(text: str, place: Place) -> None:
    directory = place.directory / "replaced"
    directory.mkdir(exist_ok=True)
    with contextlib.suppress(OSError, ValueError):
        (directory / f".a.{text[:200]}").touch()
    files.replace(directory / "a", b"", mode=0o600)


KIB = 1024
_ACCESS = '{"AccessKeyId":"AKIAIOSFODNN7EXAMPLE","SecretAccessKey":"x§","Token":"§"}'
_INFO = '{"Code":"Success","InstanceProfileArn":"arn:aws:iam::111122223333:instance-profile/§","InstanceProfileId":"§"}'

PARSERS: dict[str, Parser] = {
    "request": Parser(
        lambda text, _: RequestParser(MAX_HEAD).feed(text.encode("latin-1", "replace")),
        MAX_HEAD,
        (
            "§",
            "GET § HTTP/1.1\r\n\r\n",
            "GET /§",
            "GET /a HTTP/1.1\r\nA:§\x01\r\n\r\n",
            "GET /a HTTP/1.1\r\nA:§\r\n\r\n",
            "GET /a HTTP/1.1\r\n§\r\n\r\n",
            "GET /a HTTP/1.1\r\n§: b\r\n\r\n",
            "GET /a HTTP/1.1\r\n§",
        ),
        (*UNITS, "A:b\r\n", "a\n"),
    ),
    "request, byte by byte": Parser(
        _dripped, MAX_HEAD, ("GET /§", "GET /a HTTP/1.1\r\nA:§"), (*"a \r", "A\n", "A:b\r\n")
    ),
    "query": Parser(_query, MAX_HEAD, ("§", "name[]=§"), (*UNITS, "name[]=a&")),
    "accept": Parser(_accepted, MAX_HEAD, ("§", "gzip;q=§", "application/openmetrics-text;§")),
    "answer of IMDS": Parser(
        lambda text, place: place.poll(text.encode("latin-1", "replace")),
        64 * KIB,
        (
            "§",
            "HTTP/1.1 200 OK\r\n§\r\n\r\n",
            "HTTP/1.1 200 OK\r\nDate: §\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA: b\r\n §\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n§",
            "HTTP/1.1 200 OK\r\n\r\n§",
            "HTTP/1.1 200 OK\r\nDate: Mon, 23 Nov 2026 17:31:25 GMT\r\n\r\n",
        ),
        (
            *" ;\rx0:",
            "A: b\r\n",
            ' ";";\r\n',
            'Content-Type: multipart/x; a=";\r\n ;;;;;;;;;;;;;;;;;;;;;;;;\r\n',
            "1\r\nx\r\n",
        ),
    ),
    "header of IMDS": Parser(
        lambda text, place: place.poll(f"HTTP/1.1 200 OK\r\n{text}\r\n\r\n".encode("latin-1", "replace")),
        8 * KIB,
        (
            "Content-Type: §",
            'Content-Type: multipart/x; a="§',
            "Date: §",
            "Content-Length: §",
            'A: b\rContent-Type: m/x; a="§',
        ),
    ),
    "iam/info": Parser(
        _document(documents.profile_info), 64 * KIB, ("§", '{"§', _INFO, '{"Code":"§"}', '{"Message":"§"}')
    ),
    "role listing": Parser(_document(documents.role_listing), 64 * KIB, ("§", "a§")),
    "credentials": Parser(
        _document(lambda body: documents.credentials("a", body)),
        64 * KIB,
        ("§", '{"Code":"§"}', _ACCESS, '{"Token"§', '{"Token":§', '"Token":"x§\\', '{"Expiration":"§"}', '{"a":§}'),
        (*UNITS, '"Token":"', '"Token":', '"Token" ', '{"a":', "12345678\\"),
    ),
    "identity": Parser(
        _document(documents.identity),
        64 * KIB,
        ("§", '{"instanceId":"i-§"}', '{"instanceId":"i-0123456789abcdef0","region":"§"}'),
    ),
    "tag": Parser(_pattern, 64 * KIB, ("§", "arn:§", "arn:a/§"), (*UNITS, "[!-", "a/")),
    "name pattern": Parser(_pattern, 128, ("§", "[§", "*§b", "§*b"), (*UNITS, "*a", "[a]", "[a-z]*", "?*")),
    "timestamp": Parser(lambda text, _: timestamp(text), 64 * KIB, ("§", "2026-11-23T17:31:25.§")),
    "confirmation": Parser(
        lambda text, _: confirmation.decode(text),
        confirmation.MAX_SIZE,
        ("§", '{"polled":"§"}', '{"schema":§}', '{"checks":[§]}', builders.diagnosis()),
        (*' [{0"\\a,', '{"a":', "0,", "{},"),
    ),
    "state file": Parser(
        _state,
        64 * KIB,
        ("§", '{"version":1,"boot_id":"§"}', '{"version":§}', '{"version":1,"intervals":[§]}'),
        (*' [{0"\\a,', "0,"),
    ),
    "answer of the daemon": Parser(
        _asked, ask_daemon.MAX_SIZE, ("§", '{"schema":1,"state":"§"}', '{"schema":1,"a":§}'), (*' [{0"\\,', '{"a":')
    ),
    "settings": Parser(
        _settings,
        64 * KIB,
        ("§", "§ = 1", "a = [§]", "[expect]\nrole = [§]", "[poll]\ninterval = 5\na", '[expect]\nrole = ["[a-c]*"]'),
        (*"\n[{0\"'.#", '"a",', "a=1\n", "[a]\n", "[[a]]\n", "a={b=1}\n", "a.", '"a".', "'a'\n", '\\"""'),
    ),
    "texts in the settings": Parser(
        _settings,
        64 * KIB,
        (
            'a = "§"',
            'a = """§"""',
            "a = '''§'''",
            '[expect]\nrole = "§"',
            '[expect]\nrole = ["arn:aws:iam::1:role/§"]',
            '[poll]\ninterval = "§"',
            '[metrics]\nlisten = "§"',
            '[imds]\nendpoint = "http://§"',
        ),
        (*" a0*[.:/\\", "[a-z]", "//@"),
    ),
    "environment": Parser(
        _environment,
        64 * KIB,
        ("§", "http://§", "127.0.0.1:§", "arn:aws:iam::1:role/§", "[§", "5"),
        (*" a0*[.:/,", "[a-z]", "//a@", "a,"),
    ),
    "revocation": Parser(
        lambda text, _: revocation.find({"p": text}),
        64 * KIB,
        ("§", '{"Statement":{"Effect":"Deny","Condition":{"DateLessThan":{"aws:TokenIssueTime":"§"}}}}'),
    ),
    "trust policy": Parser(
        lambda text, _: trust_policy.judge(text),
        64 * KIB,
        (
            "§",
            "%§",
            '{"Statement":{"Effect":"Allow","Action":"§x","Principal":{"Service":"ec2.amazonaws.com"}}}',
            '{"Statement":{"Effect":"Allow","NotAction":"§","Principal":{"Service":"ec2.amazonaws.com"}}}',
            '{"Statement":{"Effect":"Allow","Action":"sts:*","Principal":{"Service":"ec2.§"}}}',
            '{"Statement":{"Effect":"Allow","Action":["a"§],"Principal":{"Service":["a"§]}}}',
            '{"Statement":[{}§]}',
            '{"Statement":{"Condition":{"§":{"a":"b"}}}}',
        ),
        (*UNITS, '"a",', ',"*a"', ",{}", "s*", ".amazonaws.com"),
    ),
    "configuration of the SDKs": Parser(
        _shadows,
        256 * KIB,
        ("§", "[§", "[profile §", '["§"]', "[default]\nrole_arn§", "[default]\nrole_arn = §", "[ § ]"),
        (*' \na[]"=_', "[a]\n", "a=b\n"),
    ),
    "program": Parser(
        _program,
        64 * KIB,
        ("§", "0::/§.service", "http_proxy=§", '"§'),
        (*" \0\n=/'\"\\", "A=b\0", "/a.service", "::/0 "),
    ),
    "host": Parser(
        _host,
        16 * KIB,
        ("§", "localhost,§", "eth0 0 0 3 0 0 0 0"),
        (*" \na,:.", "a,", "1.1.1.1,", "a b c\n"),
    ),
    "names on the command line": Parser(
        _names,
        64 * KIB,
        ("§", "arn:aws§", "arn:aws:iam::111122223333:role/§", "arn:aws:iam::111122223333:user/a/b"),
    ),
    "answers of AWS": Parser(
        _aws, 64 * KIB, ("§", "arn:aws§", "arn:aws:sts::111122223333:assumed-role/§", "i-§", "arn:§/a")
    ),
    "keys": Parser(_served, 64 * KIB, ("§", '{"a":§}', _ACCESS), (*' [{0"\\a,', '{"a":')),
    "certificate": Parser(
        _certificate,
        1 << 20,
        ("§", "-----BEGIN CERTIFICATE-----§", "-----BEGIN PRIVATE KEY-----\n-----BEGIN CERTIFICATE-----\n§"),
        (
            *"-A\n",
            "-----BEGIN CERTIFICATE-----\n",
            "-----END CERTIFICATE-----\n",
            "-----BEGIN ",
            "PRIVATE KEY",
            "-----BEGIN A PRIVATE KEY----",
        ),
    ),
    "addresses": Parser(_addresses, 64 * KIB, ("§", "[§", "127.0.0.1:§", "[§]:1", "[::1]:99999")),
    "request to the simulator": Parser(
        _simulated,
        server.MAX_HEAD,
        (
            "§\r\n\r\n",
            "GET /§ HTTP/1.1\r\n\r\n",
            "GET /latest/§ HTTP/1.1\r\n\r\n",
            "GET /a HTTP/1.1\r\nA:§\r\n\r\n",
            "§",
        ),
    ),
    "simulator": Parser(
        _simulator,
        server.MAX_HEAD,
        (
            "GET /§ HTTP/1.1\r\n\r\n",
            "GET /latest/meta-data/ HTTP/1.1\r\nX-aws-ec2-metadata-token: §\r\n\r\n",
            "GET /latest/meta-data/§ HTTP/1.1\r\nX-aws-ec2-metadata-token: TOKEN\r\n\r\n",
            "GET /latest/meta-data HTTP/1.1\r\nX-aws-ec2-metadata-token: TOKEN\r\n\r\n",
            "PUT /latest/api/token HTTP/1.1\r\nX-aws-ec2-metadata-token-ttl-seconds: 60\r\n\r\n",
        ),
        (*"/%a.", "%2f", "a/"),
    ),
    "token": Parser(_token, server.MAX_HEAD, ("§", "AQAEA§")),
    "history": Parser(_past, 4_000, ("§",), ("r", "p", "c", "rc", "rp", "rs", "t")),
    "authority": Parser(_authority, 64 * KIB, ("§", "[§]", "[::1]:§", "§:80"), (*UNITS, "a.", "a b\n", "#\n")),
    "field of the journal": Parser(_field, 64 * KIB, ("§", "1.§", "1e§", "-§", "1§")),
    "name in a command": Parser(_name, 64 * KIB, ("§", "<§>", "a=§")),
    "name of a leftover": Parser(_replaced, 200, ("§", "0123456789abcdef§")),
    "words": Parser(_words, 64 * KIB, ("§", "{§}", "2026-11-23T17:31:25Z", "1d2h")),
}
"""By what comes in."""
