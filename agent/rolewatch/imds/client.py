"""The client of IMDSv2: what is asked, and what an answer's status means.

One `Session` for each poll: a fresh session token, and what is read with it. No token is kept: the PUT is the path that
breaks first (hop limit, 403), and applications walk it too. There is no fallback to IMDSv1, ever.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from urllib.parse import quote

import requests

from rolewatch.errors import ImdsError
from rolewatch.imds.transport import Body, BoundedRequests, Monotonic, Wire, read_body, wipe
from rolewatch.observation import Failure
from rolewatch.settings import ImdsSettings
from rolewatch.vocabulary import Phase, Reason

TOKEN_PATH = "api/token"  # noqa: S105 - a path
TOKEN_HEADER = "X-aws-ec2-metadata-token"  # noqa: S105 - a header's name
TTL_HEADER = "X-aws-ec2-metadata-token-ttl-seconds"
TTL_SECONDS = "60"
"""Life of the session token: longer than any poll. IMDS takes 1 to 21600 (EC2 user guide, 2026)."""


@dataclass(frozen=True)
class Document:
    """One answer with a body: 200. The body may be a secret."""

    body: bytearray

    def wipe(self) -> None:
        """Overwrite the body, once it was read: what is only freed stays in memory."""
        wipe(self.body)

    def __repr__(self) -> str:
        """Say how long the body is, and nothing of what it holds."""
        return f"Document({len(self.body)} bytes)"


@dataclass(frozen=True)
class Answer:
    """What came back of one request, whatever its status."""

    status: int
    date: str
    """IMDS's clock, as it wrote it; empty where it did not."""
    body: bytearray = field(repr=False)
    """Wiped already, unless the status is 200."""


class Client:
    """What stays the same from poll to poll: where IMDS is, and how long to wait."""

    def __init__(self, endpoint: str, settings: ImdsSettings, *, monotonic: Monotonic) -> None:
        """Prepare to ask *endpoint* (``http://HOST[:PORT]``) within the bounds of *settings*. Nothing is sent yet."""
        self._base = endpoint.rstrip("/") + "/latest/"
        self._settings = settings
        self._monotonic = monotonic
        self._wire = Wire(monotonic)
        self._http = BoundedRequests(self._wire)

    def session(self) -> Session:
        """Open the session of one poll: PUT for a token. Raise `ImdsError` where there is none.

        The deadline of the poll runs from here.
        """
        if self._settings.disabled:
            raise ImdsError(Failure(Phase.CONNECT, Reason.SWITCHED_OFF))
        self._wire.deadline = self._monotonic() + self._settings.deadline
        return Session(self)

    def send(self, method: str, path: str, headers: Mapping[str, str], shown_path: str) -> Answer:
        """Send one request, as often as the settings say, and return the answer with its bounded body read.

        *shown_path* is the path without names, for the evidence. Raise `ImdsError` where there is no whole answer. A
        status is an answer: to ask a throttling IMDS again at once would make it worse.
        """
        attempt = 1
        while True:
            try:
                return self._send_once(method, path, headers, shown_path)
            except ImdsError as error:
                # With the poll's time used up another attempt could only tell of that, and hide what came before.
                given_up = attempt >= self._settings.attempts or self._monotonic() >= self._wire.deadline
                if given_up or error.failure.reason is Reason.TOO_LARGE:
                    raise
                attempt += 1

    def _send_once(self, method: str, path: str, headers: Mapping[str, str], shown_path: str) -> Answer:
        phase = Phase.TOKEN if method == "PUT" else Phase.DOCUMENT
        wire = self._wire
        wire.start()
        try:
            response, body = self._exchange(method, path, headers)
        # Whatever a server can do to requests, urllib3 and http.client ends here. They raise more than their own
        # errors (ValueError, AttributeError on a header line, UnicodeError), and none may end the watching.
        except Exception:  # noqa: BLE001 - see above; the errors that were made on purpose are values from here on
            failure: Failure | None = wire.failure(phase, shown_path)
        else:
            failure = Failure(phase, body.reason, shown_path, status=response.status_code) if body.reason else None
            if failure or response.status_code != requests.codes.ok:
                wipe(body.content)  # nobody reads it
        wire.error = None
        if failure:  # Raised out here, for in the chain of causes requests' errors would carry the session token along.
            raise ImdsError(failure)
        return Answer(response.status_code, response.headers.get("Date", ""), body.content)

    def _exchange(self, method: str, path: str, headers: Mapping[str, str]) -> tuple[requests.Response, Body]:
        """Return the answer and its body. Raise anything."""
        response = self._http.request(
            method,
            self._base + path,
            headers=dict(headers),
            timeout=self._settings.timeout,
            allow_redirects=False,
            stream=True,
        )
        with response:
            self._wire.headers_end()
            return response, read_body(response)


class Session:
    """One poll's worth of IMDSv2: a short-lived token, and what is read with it."""

    def __init__(self, client: Client) -> None:
        """Get the token. Raise `ImdsError` where there is none."""
        self._client = client
        self.date: datetime | None = None
        self._token = self._new_token()
        self._renewed = False

    def get(self, path: str, *, role: str = "") -> Document | None:
        """Return the document at *path* below ``/latest/``, or None where IMDS has none (404).

        *role* is appended as one quoted segment. Raise `ImdsError` where there is no usable answer. A 401 is cured with
        a new token, once in a session, as the EC2 user guide has it: the first ones were refused at some boots
        (NixOS/amis#137).
        """
        shown = path + ("<role>" if role else "")
        segment = quote(role, safe="", errors="replace")
        answer = self._client.send("GET", path + segment, {TOKEN_HEADER: self._token}, shown)
        self._note_date(answer)
        if answer.status == requests.codes.unauthorized and not self._renewed:
            self._renewed = True
            self._token = self._new_token()
            return self.get(path, role=role)
        if answer.status == requests.codes.not_found:
            return None
        failure = _status_failure(Phase.DOCUMENT, answer.status, shown)
        if failure:
            raise ImdsError(failure)
        return Document(answer.body)

    def __repr__(self) -> str:
        """Never show the token."""
        return "Session()"

    def _new_token(self) -> str:
        """PUT for a token."""
        answer = self._client.send("PUT", TOKEN_PATH, {TTL_HEADER: TTL_SECONDS}, TOKEN_PATH)
        self._note_date(answer)
        failure = _status_failure(Phase.TOKEN, answer.status, TOKEN_PATH)
        if failure:
            raise DatedImdsError(failure, self.date)
        try:
            return _token(answer.body, self.date)
        finally:
            wipe(answer.body)

    def _note_date(self, answer: Answer) -> None:
        try:
            date = parsedate_to_datetime(answer.date)
            if date.tzinfo is not None:
                self.date = date.astimezone(timezone.utc)
        except (TypeError, ValueError, IndexError, OverflowError):
            return


class DatedImdsError(ImdsError):
    """No token, but an answer with a `Date`: IMDS's clock is known."""

    def __init__(self, failure: Failure, date: datetime | None) -> None:
        """Carry *failure* and IMDS's clock."""
        super().__init__(failure)
        self.date = date


def _token(body: bytearray, date: datetime | None) -> str:
    """Return the token where *body* can be one: printable ASCII on one line. It goes into a header."""
    text = body.decode("ascii", "replace").strip()
    if not text:
        raise DatedImdsError(Failure(Phase.TOKEN, Reason.EMPTY, TOKEN_PATH, status=200), date)
    if len(text) > 1024 or not all("!" <= character <= "~" for character in text) or text.startswith("<"):  # noqa: PLR2004 - a real one has 56
        raise DatedImdsError(Failure(Phase.TOKEN, Reason.MALFORMED, TOKEN_PATH, status=200), date)
    return text


_STATUS_REASONS = {
    401: Reason.UNAUTHORIZED,
    403: Reason.FORBIDDEN,
    429: Reason.THROTTLED,
    503: Reason.THROTTLED,
}


def _status_failure(phase: Phase, status: int, path: str) -> Failure | None:
    """Judge *status* at the door: None for 200."""
    if status == requests.codes.ok:
        return None
    other = Reason.SERVER_ERROR if status >= requests.codes.server_error else Reason.UNEXPECTED_STATUS
    return Failure(phase, _STATUS_REASONS.get(status, other), path, status=status)
