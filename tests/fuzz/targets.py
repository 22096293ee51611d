"""What is fuzzed: functions of bytes that raise where a promise is broken.

`run.py` drives them with atheris, guided by coverage; `test_targets.py` with hypothesis, as ordinary tests.

An answer of IMDS is written down as ``STATUS DATE``, a line feed, and the body; or as ``!NUMBER``, one of `FAILURES`.
Answers are separated by RS, and polls by GS. A poll's first record says how many seconds it comes after the last, how
far the wall clock is off, and whether the daemon is started again before it: ``30 0 r``, or ``b`` for a boot.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Callable

from audited import AuditedDaemon, Time
from offline import Scripted
from rolewatch import text
from rolewatch.errors import ImdsError
from rolewatch.imds import documents
from rolewatch.imds.client import Answer
from rolewatch.observation import Failure
from rolewatch.settings import ExpectSettings, Settings
from rolewatch.vocabulary import Phase, Reason

POLL, ANSWER = b"\x1d", b"\x1e"
MOST_POLLS, MOST_ANSWERS = 12, 12
LONGEST_STEP = 10 * 365 * 86400

SECRETS: Mapping[bytes, str] = {
    b"@K": "ASIACANARY7CANARY7QX",
    b"@S": "wJalrCANARYtnFEMI/K7MDENG+bPxRfiCYCANARY",
    b"@T": "IQoJb3JpZ2luX2VjCANARY//////////wEaCXVzLWVhc3QtMSJHMEUCIQDCANARY==",
}
"""What is a secret, by how it is written in what is fuzzed: there, as a whole JSON string or a whole body."""

FAILURES: tuple[Failure, ...] = tuple(
    Failure(phase, reason, "meta-data/iam/info", errno=number)
    for phase in Phase
    for reason in Reason
    for number in (None, 111)
)

SETTINGS = (
    Settings(),
    Settings(expect=ExpectSettings(role=("web-server",), instance_profile=("web-*",))),
    Settings(expect=ExpectSettings(role_tag="role", instance_profile_tag="profile")),
)

PARSERS: Mapping[str, Callable[[bytes], object]] = {
    "info": documents.profile_info,
    "listing": documents.role_listing,
    "credentials": lambda body: documents.credentials("web-server", body),
    "identity": documents.identity,
    "tag": documents.name_pattern,
    "timestamp": lambda body: text.timestamp(body.decode("utf-8", "replace")),
}


def with_secrets(data: bytes) -> bytes:
    """Return *data* with the secrets themselves where a JSON string is one's mark."""
    for mark, secret in SECRETS.items():
        data = data.replace(b'"' + mark + b'"', json.dumps(secret).encode())
    return data


def parse(data: bytes) -> None:
    """Parse *data* with every parser: the result is a value or an `ImdsError`, without a secret in any object of it."""
    for parser in PARSERS.values():
        error = None
        result: object = None
        try:
            result = parser(SECRETS.get(data, "").encode() or with_secrets(data))
        except ImdsError as caught:
            error = caught
        if error is not None:
            assert (error.__cause__, error.__context__) == (None, None)
            result = (error.failure, error.args)
        assert_no_secret(repr(result))


def watch(data: bytes) -> None:
    """Run a whole daemon for some polls with the answers in *data*: it continues, and no output has a secret."""
    which, polls = (data[0] if data else 0), data[1:].split(POLL)[:MOST_POLLS]
    directory = Path(tempfile.mkdtemp(prefix="rolewatch-fuzz-"))
    try:
        client, clock = Scripted(), Time()
        daemon = AuditedDaemon(SETTINGS[which % len(SETTINGS)], directory, client, clock)
        for number, poll in enumerate(polls):
            first, *answers = poll.split(ANSWER)[: MOST_ANSWERS + 1]
            _pass_time(daemon, clock, first, f"boot-{number}")
            client.answers = iter([_answer(answer) for answer in answers])
            daemon.poll()
        assert_no_secret("\n".join(daemon.outputs.parts))
    finally:
        shutil.rmtree(directory)


TARGETS: dict[str, Callable[[bytes], None]] = {"parse": parse, "watch": watch}


def _pass_time(daemon: AuditedDaemon, clock: Time, record: bytes, boot_id: str) -> None:
    words = record.split()
    clock.uptime += min(_number(words, 0), LONGEST_STEP)
    clock.error = max(-LONGEST_STEP, min(_number(words, 1), LONGEST_STEP))
    if b"r" in words:
        daemon.restart()
    elif b"b" in words:
        clock.uptime = 0.0
        daemon.restart(boot_id)


def _number(words: list[bytes], index: int) -> int:
    """Return the number at this place, or 0."""
    word = words[index] if index < len(words) else b""
    digits = word.lstrip(b"-")[:12]
    number = int(digits) if digits.isdigit() else 0
    return -number if word.startswith(b"-") and index else number


def _answer(record: bytes) -> Answer | Failure:
    head, _, body = record.partition(b"\n")
    if head.startswith(b"!"):
        return FAILURES[_number([head[1:]], 0) % len(FAILURES)]
    status, _, date = head.partition(b" ")
    secret = SECRETS.get(body, "").encode()
    number = _number([status], 0)
    status_code = number if 100 <= number <= 999 else 200
    return Answer(status_code, date.decode("latin-1"), bytearray(secret or with_secrets(body)))


def assert_no_secret(output: str) -> None:
    """Fail if a secret is in *output*."""
    assert not [secret for secret in SECRETS.values() if secret in output], "a secret is in the output"
