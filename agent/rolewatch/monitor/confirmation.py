"""Read the result of a confirmation: the JSON form of ``rolewatch diagnose``, written by another process.

The daemon holds no credentials and sends AWS no request. It reads four results from this file: the faults that IMDS
alone does not show. docs/diagnose.schema.json describes the file; its other members are ignored.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from rolewatch import files
from rolewatch.aws_names import name
from rolewatch.errors import ConfirmationError
from rolewatch.faults import CONFIRMED_FAULTS, FAULTS, Fault
from rolewatch.monitor.classify import Finding
from rolewatch.monitor.state_file import Fields
from rolewatch.text import rfc3339, timestamp

SCHEMA = 1
MAX_SIZE = 256 * 1024
"""Bytes; a diagnosis has some twenty kB."""
AHEAD = timedelta(minutes=5)
"""How far evidence may be dated ahead of the local clock, which dated it too and may have been set back since."""
DECIDED_BY: Mapping[str, Fault] = {FAULTS[fault].decided_by: fault for fault in CONFIRMED_FAULTS}
"""The check whose ``pass`` rules a fault out. If it was skipped or is unknown, the fault is undetermined."""


@dataclass(frozen=True)
class Confirmation:
    """What one confirmation found of the four faults."""

    at: datetime
    """When it was made, by the clock of the instance."""
    instance_id: str | None
    findings: tuple[Finding, ...]
    undetermined: tuple[Fault, ...]
    """The faults that it could not decide: no permission, no network, throttled."""


class ConfirmationFile:
    """The file with the result of the last confirmation. It is read when it has changed."""

    name = "confirmation"

    def __init__(self, path: Path) -> None:
        """Prepare to read *path*, which may not exist yet."""
        self.path = path
        self._read: tuple[int, int, int] | None = None
        self._last: Confirmation | None = None
        self._believed = self._refused = False

    def read(self, now: datetime) -> Confirmation | None:
        """Return the last confirmation, or None if there is none or it is dated after *now*, the local time.

        A confirmation that was believed once stays believed if the clock is set back later. Raise `ConfirmationError`
        once for each bad file.
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
                f"{self.path} is dated {rfc3339(self._last.at)}, which is after the local time {rfc3339(now)}. It is "
                "ignored. Check the clock of this host, then confirm again: rolewatch diagnose"
            )
            raise ConfirmationError(message)
        return self._last if self._believed else None

    def _text(self) -> str:
        """Return the text of the file. Raise `ConfirmationError`."""
        try:
            return files.read(self.path, limit=MAX_SIZE, follow_links=False).data.decode("utf-8")
        except (files.NotRegularError, files.TooLargeError) as error:
            message = f"{self.path} is not a result of rolewatch diagnose ({error.strerror})"
            raise ConfirmationError(message) from None
        except (OSError, UnicodeDecodeError) as error:
            message = f"{self.path} cannot be read ({getattr(error, 'strerror', None) or 'not UTF-8'})"
            raise ConfirmationError(message) from None


def decode(text: str) -> Confirmation:
    """Return the confirmation that *text* describes. Raise `ConfirmationError` if it is none."""
    try:
        document = Fields.parse(text)
        schema = document.get("schema")
        decided, findings = set(_decided(document)), tuple(_findings(document))
        polled, instance_id = document.get("polled"), document.get("instance_id")
    except (ValueError, RecursionError):
        message = f"the file is not a diagnosis of schema {SCHEMA}"
        raise ConfirmationError(message) from None
    at = timestamp(polled) if isinstance(polled, str) else None
    if schema != SCHEMA or at is None:
        # Only a number is shown: anything else may hold a secret.
        shown = f"{schema!r:.20}" if isinstance(schema, int) else "none"
        message = f"the file is of schema {shown}, or has no time in `polled`; schema {SCHEMA} is needed"
        raise ConfirmationError(message)
    held = {finding.fault for finding in findings}
    undetermined = tuple(fault for fault in CONFIRMED_FAULTS if fault not in decided and fault not in held)
    return Confirmation(at, instance_id if isinstance(instance_id, str) else None, findings, undetermined)


def _decided(document: Fields) -> Iterator[Fault]:
    """Yield the faults that a check of *document* decided."""
    for check in document.objects("checks"):
        fault = DECIDED_BY.get(check.text("id"))
        if fault is not None and check.get("status") in ("pass", "fail"):
            yield fault


def _findings(document: Fields) -> Iterator[Finding]:
    """Yield the findings of *document* that a confirmation decides.

    Journal and page show their evidence, so each text must be an IAM name: few secrets look like one.
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


def request(path: Path) -> None:
    """Request a confirmation: replace *path*, in a directory that a path unit watches. Raise `OSError` on failure."""
    files.replace(path, b"", mode=0o600)
