"""Read what a confirmation left behind: the JSON form of ``rolewatch diagnose``, made by another process.

The daemon holds no credentials and asks AWS nothing. It reads four answers from this file: those faults that IMDS alone
cannot tell. docs/diagnose.schema.json describes the file; whatever else stands in it is not looked at.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from rolewatch import files
from rolewatch.aws_names import name
from rolewatch.errors import ConfirmationError
from rolewatch.faults import CONFIRMED_FAULTS, FAULTS, Fault
from rolewatch.imds.documents import whole_number
from rolewatch.monitor.classify import Finding
from rolewatch.monitor.decoding import Fields
from rolewatch.text import rfc3339, timestamp

SCHEMA = 1
MAX_SIZE = 256 * 1024
"""Bytes; a diagnosis has some twenty kB."""
AHEAD = timedelta(minutes=5)
"""How far evidence may be dated ahead of the local clock, which dated it too and may have been set back since."""
DECIDED_BY: Mapping[str, Fault] = {FAULTS[fault].decided_by: fault for fault in CONFIRMED_FAULTS}
"""The check whose ``pass`` says that a fault does not hold. One that was skipped or not decided says nothing."""


@dataclass(frozen=True)
class Confirmation:
    """What one confirmation said of the four faults."""

    at: datetime
    """When it was made, by the clock of the instance."""
    instance_id: str | None
    findings: tuple[Finding, ...]
    untold: tuple[Fault, ...]
    """The faults that it could not decide: no permission, no network, throttled."""


class ConfirmationFile:
    """The file in which a confirmation leaves its evidence. It is read when it has changed."""

    name = "confirmation"

    def __init__(self, path: Path) -> None:
        """Read from *path* when asked; it need not be there yet."""
        self.path = path
        self._read: tuple[int, int, int] | None = None
        self._last: Confirmation | None = None
        self._believed = self._refused = False

    def read(self, now: datetime) -> Confirmation | None:
        """Return the last confirmation, or None if there is none or it is dated after *now*, the local time.

        Raise `ConfirmationError` once for each bad file. A confirmation that was believed once stays believed, though
        the clock is set back.
        """
        try:
            status = self.path.lstat()
        except OSError:
            self._read = self._last = None
            return None
        version = (status.st_mtime_ns, status.st_size, status.st_ino)
        if version != self._read:
            self._read, self._last, self._believed, self._refused = version, None, False, False
            self._last = decode(self._text())
        self._believed = self._last is not None and (self._believed or self._last.at - now <= AHEAD)
        if self._last is not None and not self._believed and not self._refused:
            self._refused = True
            message = (
                f"{self.path} is dated {rfc3339(self._last.at)}, and the local clock says {rfc3339(now)}: evidence of "
                "the future is refused. Check the clock of this host, then confirm again: rolewatch diagnose"
            )
            raise ConfirmationError(message)
        return self._last if self._believed else None

    def _text(self) -> str:
        """Return the text of the file, which another user writes. Raise `ConfirmationError`."""
        try:
            return files.read(self.path, limit=MAX_SIZE, follow_links=False).data.decode("utf-8")
        except (files.NotRegularError, files.TooLargeError) as error:
            message = f"{self.path} is no evidence of a confirmation: too large, or no file ({error.strerror})"
            raise ConfirmationError(message) from None
        except (OSError, UnicodeDecodeError) as error:
            message = f"{self.path} cannot be read ({getattr(error, 'strerror', None) or 'not UTF-8'})"
            raise ConfirmationError(message) from None


def decode(text: str) -> Confirmation:
    """Return the confirmation that *text* describes. Raise `ConfirmationError` where it is none."""
    try:
        document = Fields(json.loads(text, parse_int=whole_number))
        schema = document.get("schema")
        decided, findings = set(_decided(document)), tuple(_findings(document))
        polled, instance_id = document.get("polled"), document.get("instance_id")
    except (ValueError, RecursionError):
        message = f"the file is no diagnosis of schema {SCHEMA}"
        raise ConfirmationError(message) from None
    at = timestamp(polled) if isinstance(polled, str) else None
    if schema != SCHEMA or at is None:
        # What is no number is not shown: it may be anything.
        shown = f"{schema!r:.20}" if isinstance(schema, int) else "none"
        message = f"the file is of schema {shown}, or does not say when it was made; {SCHEMA} is needed"
        raise ConfirmationError(message)
    held = {finding.fault for finding in findings}
    untold = tuple(fault for fault in CONFIRMED_FAULTS if fault not in decided and fault not in held)
    return Confirmation(at, instance_id if isinstance(instance_id, str) else None, findings, untold)


def _decided(document: Fields) -> Iterator[Fault]:
    """Yield the faults that a check of *document* decided."""
    for check in document.objects("checks"):
        fault = DECIDED_BY.get(check.text("id"))
        if fault is not None and check.get("status") in ("pass", "fail"):
            yield fault


def _findings(document: Fields) -> Iterator[Finding]:
    """Yield the findings of *document* that a confirmation decides.

    Journal and page show their evidence: no text passes but what can be a name, which no secret is but one without a
    slash.
    """
    for each in document.objects("faults"):
        fault = Fault(each.text("fault"))
        if fault in CONFIRMED_FAULTS:
            yield Finding(fault, each.evidence("evidence", _name))


def _name(value: object) -> str:
    found = name(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError("not a name")
    return found


def ask(path: Path) -> None:
    """Request a confirmation: replace *path*, in a directory that a path unit watches. Raise `OSError` if that fails.

    A link or a FIFO that a daemon before this one left there is replaced, too.
    """
    files.replace(path, b"", mode=0o600)
