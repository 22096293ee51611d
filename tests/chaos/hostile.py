"""A daemon in a process of its own, and a hostile IMDS. A behaviour changes a good response."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from pathlib import Path
from re import compile as pattern
from typing import Any, Callable

import pytest

from builders import INSTANCE_ID, PROFILE, ROLE
from daemon_process import environment
from promises import Measured
from rolewatch.faults import Fault
from rolewatch.settings import ImdsSettings
from rolewatch.text import rfc3339
from wire import EC2_404, INFO_PATH, ROLES_PATH, TOKEN, TOKEN_PATH, Request, Script, Wire, answer

TESTS = Path(__file__).resolve().parents[1]
HASTY = ImdsSettings(timeout=0.3, deadline=0.6)
"""For an IMDS that lets time pass."""
PATIENT = ImdsSettings(timeout=2.0, deadline=4.0)
"""For one that does anything else: no busy machine takes so long to answer."""
OVERSHOOT = 2.0
"""Seconds beyond the deadline that a poll may take, publishing included: they are a busy machine's."""
ATTEMPTS = 5
"""Polls of which a hasty daemon must find one good: a busy machine stalls for more than its time-out, now and then."""
MOST = 2.0
"""MiB by which one poll may make the process grow, whatever it is sent."""
LEAK = 3.0
"""MiB by which hundreds of them may."""
CANARY = "wJalrCANARYtnFEMI/K7MDENG+bPxRfiCYCANARY"
KEY_ID = "ASIACANARY7CANARY7QX"

PATHS: Mapping[str, str] = {
    "token": TOKEN_PATH,
    "info": INFO_PATH,
    "listing": ROLES_PATH,
    "credentials": ROLES_PATH + ROLE,
    "identity": "/latest/dynamic/instance-identity/document",
    "tag": "/latest/meta-data/tags/instance/role",
}
"""What a poll asks for, by phase; the last two only in the first poll of a daemon, and every now and then."""
PHASES = tuple(PATHS)
EVERY_POLL = PHASES[:4]
OPTIONAL = frozenset(PHASES[4:])

_ROLE = pattern(ROLES_PATH + r"(?!\.{1,2}\Z)([A-Za-z0-9_.-]|%2B|%3D|%2C|%40){1,128}")
"""The only path that may contain a name from IMDS: of IAM's characters only (IAM API reference, 2026), quoted."""
_HEADERS = frozenset({"host", "accept", "accept-encoding", "user-agent"})


def documents(now: datetime | None = None) -> dict[str, bytes]:
    """Return the body of each phase, of an instance with nothing wrong."""
    now = now or datetime.now(timezone.utc)
    made, expires = rfc3339(now - timedelta(minutes=10)), rfc3339(now + timedelta(hours=6))
    arn = f"arn:aws:iam::123456789012:instance-profile/{PROFILE}"
    info = {"Code": "Success", "LastUpdated": made, "InstanceProfileArn": arn, "InstanceProfileId": "AIPAEXAMPLE01"}
    secrets = {"AccessKeyId": KEY_ID, "SecretAccessKey": CANARY, "Token": CANARY * 20}
    credentials = {"Code": "Success", "LastUpdated": made, "Type": "AWS-HMAC", **secrets, "Expiration": expires}
    identity = {"instanceId": INSTANCE_ID, "region": "eu-central-1", "accountId": "123456789012"}
    return {
        "token": TOKEN.encode(),
        "info": json.dumps(info, indent=2).encode(),
        "listing": ROLE.encode(),
        "credentials": json.dumps(credentials, indent=2).encode(),
        "identity": json.dumps(identity).encode(),
        "tag": ROLE.encode(),
    }


def whole(body: bytes, status: str = "200 OK", **headers: str) -> bytes:
    """Return the response with *body*, dated now."""
    return answer(body, status, headers={"Date": format_datetime(datetime.now(timezone.utc), usegmt=True), **headers})


@dataclass(frozen=True)
class Behaviour:
    """One way to misbehave."""

    name: str
    play: Callable[[bytes], Script]
    """Makes the script from a whole good response."""
    right: frozenset[Fault] = frozenset({Fault.IMDS_ERROR})
    """The faults that the poll may find, in a phase that every poll has."""
    harmless: bool = False
    """Whether a client may also read the good response in it, and find no fault."""
    silent: bool = False
    """Whether not a byte is sent: for the token that is the fault of the hop limit."""

    def __str__(self) -> str:
        """Return its name."""
        return self.name

    def faults(self, phase: str) -> frozenset[Fault]:
        """Return the faults that the poll may find with this behaviour in *phase*."""
        if phase in OPTIONAL:  # optional: without them the last values stay
            return self.right - {Fault.IMDS_ERROR, Fault.IMDS_HOP_LIMIT, Fault.IMDS_INTERCEPTED}
        if self.silent and phase == "token":
            return frozenset({Fault.IMDS_HOP_LIMIT})
        return self.right if phase == "token" else self.right - {Fault.IMDS_INTERCEPTED}


Make = Callable[[bytes], bytes]
"""Changes a response, or a body."""


def bytes_of(name: str, make: Make, *right: Fault, harmless: bool = False) -> Behaviour:
    """Return the behaviour that sends what *make* makes of the good answer, and hangs up."""
    return Behaviour(name, lambda good: [make(good)], frozenset(right or {Fault.IMDS_ERROR}), harmless)


def body_of(name: str, body: bytes | Callable[[bytes], bytes], *right: Fault, harmless: bool = False) -> Behaviour:
    """Return the behaviour that answers correctly, with another body."""

    def make(good: bytes) -> bytes:
        return whole(body if isinstance(body, bytes) else body(parts(good)[1]))

    return bytes_of(name, make, *right, harmless=harmless)


def parts(good: bytes) -> Sequence[bytes]:
    """Return head and body of a whole answer; the head with its blank line."""
    head, _, body = good.partition(b"\r\n\r\n")
    return head + b"\r\n\r\n", body


def with_header(good: bytes, *lines: bytes, without: bytes = b"") -> bytes:
    """Return *good* with more header lines, and without that which begins with *without*."""
    head, body = parts(good)
    first, *others = head.rstrip(b"\r\n").split(b"\r\n")
    kept = [line for line in others if not (without and line.lower().startswith(without.lower()))]
    return b"\r\n".join([first, *kept, *lines]) + b"\r\n\r\n" + body


def cases(
    behaviours: Sequence[Behaviour | str], phases: Sequence[str], *, name: str = "behaviour"
) -> pytest.MarkDecorator:
    """Return the parameters *name* and ``phase``: each with each. The quick form has each behaviour once."""
    return pytest.mark.parametrize(
        (name, "phase"),
        [
            pytest.param(each, phase, id=f"{each}, {phase}", marks=() if phase == chosen else pytest.mark.thorough)
            for each, chosen in zip(behaviours, itertools.cycle(phases))
            for phase in phases
        ],
    )


@dataclass(frozen=True)
class Poll:
    """One poll: its requests, its outcome and its cost."""

    requests: Sequence[Request]
    seconds: float
    mebibytes: float
    """Peak growth of the process."""
    resident: float
    descriptors: int
    threads: int
    held: Mapping[Fault, Mapping[str, Any]]
    """The faults that the poll found, before debouncing, with their evidence."""
    state: str
    usable: bool | None
    role: str | None
    events: Sequence[str]


@dataclass
class Subject:
    """A daemon that polls on demand, and its IMDS."""

    directory: Path
    bounds: ImdsSettings = PATIENT
    _playing: dict[str, Script] = field(default_factory=dict)

    @property
    def longest(self) -> float:
        """The seconds that a poll may take."""
        return self.bounds.deadline + OVERSHOOT

    @property
    def pid(self) -> int:
        """The daemon's process id."""
        return self._process.pid

    def __enter__(self) -> Subject:
        """Start both, and let them warm up: what is imported late is there then."""
        self._wire = Wire(self._answer).__enter__()
        bounds = (self.bounds.timeout, self.bounds.deadline)
        self._log = (self.directory / "stderr").open("w+")
        self._process = subprocess.Popen(
            [sys.executable, TESTS / "chaos" / "subject.py", self.directory, self._wire.endpoint, *map(str, bounds)],
            env=environment(PYTHONPATH=f"{TESTS}:{TESTS.parent / 'agent'}"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )
        spoilt = [
            b"",
            b"HTTP/1.1 503 No\r\n\r\n",
            b"nonsense\n",
            b"HTTP/1.1 200 OK\r\n\r\n{",
            b"HTTP/1.1 200 OK\r\n\r\n",
        ]
        for each in (*spoilt, b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * (1 << 20)):
            for phase in EVERY_POLL:
                self.poll({phase: [each]})
        for _ in range(ATTEMPTS):
            self.first = self.poll()
        self.recover()
        return self

    def __exit__(self, *_: object) -> None:
        """End both."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._log):
            if pipe is not None:
                pipe.close()
        self._wire.__exit__()

    def poll(self, playing: Mapping[str, Script] = {}) -> Poll:
        """Let the daemon poll once, with the scripts *playing* in place of the good responses."""
        self._playing = dict(playing)
        del self._wire.requests[:]
        said = self._say("poll")
        outputs = said.pop("outputs")
        assert CANARY not in outputs
        assert KEY_ID not in outputs
        requests = [request for request in self._wire.requests if not _measures(request)]
        for request in requests:
            polite(request)
        faults = {Fault(name): evidence for name, evidence in said.pop("held").items()}
        return Poll(requests=requests, held=faults, **said)

    def restart(self) -> None:
        """End the daemon, and start another on its state file: it asks for everything anew."""
        self._say("restart")

    def check_behaviour(self, behaviour: Behaviour, phase: str, measured: Measured) -> Poll:
        """Let IMDS show *behaviour* in *phase* of one poll, and check all promises."""
        if phase in OPTIONAL:
            self.restart()
        bad = self.poll({phase: behaviour.play(whole(documents()[phase]))})
        if phase in OPTIONAL:  # the daemon keeps what it got for ten minutes
            self.restart()
        self.recover()
        assert any(request.path == PATHS[phase] for request in bad.requests)
        assert set(bad.held) <= behaviour.faults(phase), bad.held
        assert bad.held or behaviour.harmless or phase in OPTIONAL, "no fault was found"
        measured("longest poll", round(bad.seconds, 2), "s", bound=self.longest)
        measured("memory taken", round(bad.mebibytes, 2), "MiB", bound=MOST)
        return bad

    def recover(self) -> None:
        """Check that the next good poll finds no fault, and that two of them clear every fault."""
        good = self._good()
        assert good.held == {}
        assert (good.usable, good.role) == (True, ROLE)
        if good.state != "ok":
            good = self._good()
        assert good.state == "ok"
        assert good.descriptors - self.first.descriptors in (0, 1)  # that of the hop limit, after a restart
        assert good.threads == self.first.threads
        assert good.resident - self.first.resident <= LEAK

    def _good(self) -> Poll:
        """Return the next poll of a good IMDS; of a hasty daemon, the next in which the machine does not stall."""
        poll = self.poll()
        for _ in range(ATTEMPTS if self.bounds is HASTY else 0):
            if poll.held:
                poll = self.poll()
        return poll

    def _say(self, word: str) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(word + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            self._log.seek(0)
            pytest.fail(f"the daemon is dead: {self._log.read()}")
        said: dict[str, Any] = json.loads(line)
        return said

    def _answer(self, request: Request) -> Script:
        if _measures(request):
            return [whole(documents()["token"])]
        phase = next((name for name, path in PATHS.items() if path == request.path), None)
        if phase is None:
            return [whole(b"", "404 Not Found", **EC2_404)]
        if phase in self._playing:
            return self._playing[phase]
        return [whole(documents()[phase])]


def _measures(request: Request) -> bool:
    """Return whether *request* measures the hop limit: beside a poll, for a token that is valid for a second."""
    return request.headers.get("x-aws-ec2-metadata-token-ttl-seconds") == "1"


def polite(request: Request) -> None:
    """Check that *request* is one of ours, header by header, and that of what IMDS sent it has only a name."""
    put = request.method == "PUT"
    assert put or request.method == "GET"
    assert request.path in PATHS.values() or _ROLE.fullmatch(request.path), request.path
    assert put is (request.path == TOKEN_PATH)
    token = {"x-aws-ec2-metadata-token-ttl-seconds", "content-length"} if put else {"x-aws-ec2-metadata-token"}
    assert set(request.headers) == _HEADERS | token
    assert request.raw.count(b"\r\n\r\n") == 1
    assert request.raw.endswith(b"\r\n\r\n")


def names(requests: Sequence[Request]) -> list[str]:
    """Return the roles whose documents were requested."""
    return [each.path[len(ROLES_PATH) :] for each in requests if each.path.startswith(ROLES_PATH)]
