"""A clock that the test moves, and a client that returns whole responses."""

from __future__ import annotations

import http
import http.client
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from urllib.parse import urlsplit

NOON = datetime(2026, 3, 1, 12, 0, 0, tzinfo=timezone.utc)


@dataclass
class Clock:
    """A clock that only `move` changes."""

    time: datetime = NOON

    def __call__(self) -> datetime:
        """Return the time."""
        return self.time

    def move(self, **by: float) -> None:
        """Move on by a `timedelta`."""
        self.time += timedelta(**by)


def address(url: str) -> tuple[str, int]:
    """Return host and port of *url*."""
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or 80


@dataclass(frozen=True)
class Answer:
    """One whole response."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass
class Client:
    """A client of one simulator: a connection per request, with a session token if it has one."""

    url: str
    token: str = ""
    timeout: float = 5

    def ask(self, method: str, path: str, body: bytes = b"", **headers: str) -> Answer:
        """Send one request; underscores in *headers* are dashes."""
        connection = http.client.HTTPConnection(*address(self.url), timeout=self.timeout)
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.token:
            sent.setdefault("X-aws-ec2-metadata-token", self.token)
        try:
            connection.request(method, path, body=body or None, headers=sent)
            response = connection.getresponse()
            return Answer(response.status, dict(response.getheaders()), response.read())
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Answer:
        """GET *path* below ``/latest/``."""
        return self.ask("GET", "/latest/" + path, b"", **headers)

    def attempt(self, path: str) -> Answer | None:
        """GET *path* below ``/latest/``; return None if no response arrives."""
        try:
            return self.get(path)
        except (OSError, http.client.HTTPException):
            return None

    def renew(self, seconds: int = 60) -> Answer:
        """Get a new token; keep the old one if that fails."""
        answer = self.ask("PUT", "/latest/api/token", X_aws_ec2_metadata_token_ttl_seconds=str(seconds))
        if answer.status == http.HTTPStatus.OK:
            self.token = answer.body.decode()
        return answer
