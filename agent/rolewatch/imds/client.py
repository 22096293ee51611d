"""The client of IMDSv2: its requests, and what the status of an answer means.

Each poll has its own `Session` with a fresh token. No token is kept: the PUT fails first (hop limit, 403), and
applications depend on it, too. There is no fallback to IMDSv1.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from urllib.parse import quote

import requests

from rolewatch.errors import ImdsError
from rolewatch.imds.ethtool import DriverCounter
from rolewatch.imds.hop_limit import Measurement
from rolewatch.imds.host import host_of_url, interface_to, lacks_ipv4
from rolewatch.imds.transport import BoundedRequests, Monotonic, Wire, read_body, wipe
from rolewatch.observation import Absent, Failure
from rolewatch.settings import IPV4, IPV6, ImdsSettings
from rolewatch.vocabulary import Phase, Reason, Responder

TOKEN_PATH = "api/token"  # noqa: S105 - a path
TOKEN_HEADER = "X-aws-ec2-metadata-token"  # noqa: S105 - a header's name
TTL_HEADER = "X-aws-ec2-metadata-token-ttl-seconds"
TTL_SECONDS = "60"
"""Life of the session token: longer than any poll. IMDS accepts 1 to 21600 (EC2 user guide, 2026)."""

PATIENCE = 2.5
"""By default 5 seconds: longer than proxies take to give up a dead backend (haproxy: 3 s, seen in 2026)."""
DROPPED_PACKETS = "linklocal_allowance_exceeded"
"""The counter of the ENA driver (EC2 user guide, "Monitor network performance for ENA settings", 2026)."""


@dataclass(frozen=True)
class Document:
    """One answer with a body: 200. The body may be a secret."""

    body: bytearray

    def wipe(self) -> None:
        """Overwrite the body. Call it once the body was parsed."""
        wipe(self.body)

    def __repr__(self) -> str:
        """Return the length of the body, and nothing of its content."""
        return f"Document({len(self.body)} bytes)"


@dataclass(frozen=True)
class Answer:
    """The answer to one request, whatever its status."""

    status: int
    date: str
    """The `Date` header as received; empty if there is none."""
    body: bytearray = field(repr=False)
    """Overwritten already, unless the status is 200."""
    responder: Responder | None = None
    """Who sent it, if its headers show that it was not EC2's IMDS."""
    server: str = ""
    """The name in its `Server` header, if that is not IMDS's."""
    names_ec2: bool = True
    """Whether its `Server` header is that of EC2's IMDS."""
    has_ttl: bool = True
    """Whether it says how long the session token is valid, as EC2's IMDS does in each answer to one."""


class Client:
    """The client of one endpoint: where IMDS is, and how long to wait."""

    def __init__(self, endpoint: str, settings: ImdsSettings, *, monotonic: Monotonic) -> None:
        """Prepare requests to *endpoint* (``http://HOST[:PORT]``) within the bounds of *settings*. Send nothing yet."""
        self._endpoint = endpoint
        self._use(endpoint)
        self._settings = settings
        self._monotonic = monotonic
        self._wire = Wire(monotonic)
        self._http = BoundedRequests(self._wire)
        self._dropped = DriverCounter(DROPPED_PACKETS)

    def _use(self, endpoint: str) -> None:
        self.in_use = endpoint
        self._base = endpoint.rstrip("/") + "/latest/"
        self.host = host_of_url(endpoint)

    def session(self) -> Session:
        """Start a poll and its deadline: PUT for a token. Raise `ImdsError` if there is none.

        On a host without IPv4 IMDS's IPv6 address is used, unless the settings name an address: see `in_use`.
        """
        if self._settings.disabled:
            raise ImdsError(Failure(Phase.CONNECT, Reason.SWITCHED_OFF))
        self._wire.deadline = self._monotonic() + self._settings.deadline
        self._use(self._endpoint)
        try:
            return Session(self)
        except ImdsError as error:
            may_change = self._settings.endpoint_mode == "auto" and self._endpoint == IPV4
            if not (may_change and error.failure.reason is Reason.NO_ROUTE and lacks_ipv4()):
                raise
            failed = error
        self._use(IPV6)
        try:
            return Session(self)
        except ImdsError:
            self._use(self._endpoint)
        raise failed

    def patient(self) -> Client:
        """Return a client of the same endpoint that waits `PATIENCE` times as long."""
        longer = replace(self._settings, timeout=PATIENCE * self._settings.timeout, attempts=1)
        return Client(self._endpoint, longer, monotonic=self._monotonic)

    def dropped_packets(self) -> int | None:
        """Return how many packets EC2 has dropped at the interface that leads to IMDS; None if nothing counts them."""
        interface = interface_to(self.host, os.getuid())
        return self._dropped.read(interface) if interface else None

    def measure_hop_limit(self, most: int) -> Measurement:
        """Begin to measure the hop limit, up to *most*. IMDS must have answered a poll just before."""
        return self._token_requests(range(2, most + 1))

    def request_late_token(self) -> Measurement:
        """Request a token whose answer may come later than the time-out of a poll."""
        return self._token_requests([1])

    def _token_requests(self, limits: Sequence[int]) -> Measurement:
        return Measurement(self.in_use, limits, timeout=self._settings.timeout, monotonic=self._monotonic)

    def send(self, method: str, path: str, headers: Mapping[str, str], shown_path: str) -> Answer:
        """Send one request, with as many attempts as the settings allow, and return the answer with its bounded body.

        *shown_path* is the path without names, for the evidence. Any status is an answer: to ask a throttling IMDS
        again at once would make it worse. Raise `ImdsError` if there is no whole answer.
        """
        attempt = 1
        while True:
            outcome = self._exchange(method, path, headers, shown_path)
            if isinstance(outcome, Answer):
                return outcome
            # Once the time of the poll is used up, the failure of another attempt would hide the real one.
            given_up = attempt >= self._settings.attempts or self._monotonic() >= self._wire.deadline
            if given_up or outcome.reason is Reason.TOO_LARGE:
                raise ImdsError(outcome)
            attempt += 1

    def _exchange(self, method: str, path: str, headers: Mapping[str, str], shown_path: str) -> Answer | Failure:
        """Send one request once.

        The failure is a value: the chain of causes of an exception would hold requests' errors with the session token.
        """
        phase = Phase.TOKEN if method == "PUT" else Phase.DOCUMENT
        wire = self._wire
        wire.start()
        try:
            with self._http.request(
                method,
                self._base + path,
                headers=dict(headers),
                timeout=self._settings.timeout,
                allow_redirects=False,
                stream=True,
            ) as response:
                wire.headers_end()
                body = read_body(response)
        # requests, urllib3 and http.client raise more than their own errors (ValueError, AttributeError on a header
        # line, UnicodeError), and no answer of a server may end the loop.
        except Exception:  # noqa: BLE001 - see above; the errors raised on purpose are values from here on
            return wire.failure(phase, shown_path)
        finally:
            wire.error = None
        if body.reason or response.status_code != requests.codes.ok:
            wipe(body.content)
        if body.reason:
            return Failure(phase, body.reason, shown_path, status=response.status_code)
        responder, server = _stranger(response.headers)
        return Answer(
            response.status_code,
            response.headers.get("Date", ""),
            body.content,
            responder,
            server,
            names_ec2=response.headers.get("Server", "").startswith(_OWN_PRODUCT),
            has_ttl=TTL_HEADER in response.headers,
        )


class Session:
    """The requests of one poll, with one short-lived token."""

    def __init__(self, client: Client) -> None:
        """PUT for the token. Raise `ImdsError` if there is none."""
        self._client = client
        self.date: datetime | None = None
        self.proxy: str | None = None
        """The server of the first answer in which a proxy shows itself, possibly empty; None if none does."""
        self._token = self._new_token()
        self._renewed = False

    def get(self, path: str, *, role: str = "") -> Document | Absent:
        """Return the document at *path* below ``/latest/``, or that IMDS has none (404).

        *role* is appended as one quoted segment. After a 401 there is one retry with a new token in a session, as the
        EC2 user guide advises: the first tokens were refused at some boots (NixOS/amis#137). Raise `ImdsError` if there
        is no usable answer.
        """
        shown = path + ("<role>" if role else "")
        segment = quote(role, safe="", errors="replace")
        answer = self._client.send("GET", path + segment, {TOKEN_HEADER: self._token}, shown)
        self._note(answer)
        if answer.status == requests.codes.unauthorized and not self._renewed:
            self._renewed = True
            self._token = self._new_token()
            return self.get(path, role=role)
        if answer.status == requests.codes.not_found:
            return Absent(like_ec2=answer.has_ttl)
        failure = _status_failure(Phase.DOCUMENT, answer, shown)
        if failure:
            raise ImdsError(failure)
        return Document(answer.body)

    def __repr__(self) -> str:
        """Return a text without the token."""
        return "Session()"

    def _new_token(self) -> str:
        """PUT for a token."""
        answer = self._client.send("PUT", TOKEN_PATH, {TTL_HEADER: TTL_SECONDS}, TOKEN_PATH)
        self._note(answer)
        failure = _status_failure(Phase.TOKEN, answer, TOKEN_PATH)
        if failure:
            raise DatedImdsError(failure, self.date)
        try:
            return _token(answer.body, self.date)
        finally:
            wipe(answer.body)

    def _note(self, answer: Answer) -> None:
        if answer.responder is Responder.PROXY and self.proxy is None:
            self.proxy = answer.server
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
    """Return the token in *body*. Raise `ImdsError` if it is not printable ASCII on one line: it goes into a header."""
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


def _status_failure(phase: Phase, answer: Answer, path: str) -> Failure | None:
    """Return the failure that the status of *answer* means; None for 200."""
    status, responder = answer.status, answer.responder
    if status == requests.codes.ok:
        return None
    other = Reason.SERVER_ERROR if status >= requests.codes.server_error else Reason.UNEXPECTED_STATUS
    reason = _STATUS_REASONS.get(status, other)
    # 503 is how a proxy says that nothing is behind it, some of them without naming themselves.
    if status == requests.codes.service_unavailable and not answer.names_ec2:
        reason = other
    if phase is Phase.TOKEN and reason is Reason.UNEXPECTED_STATUS:  # EC2 never answers so: 400, 404, 405 of others
        responder = responder or Responder.NOT_EC2
    return Failure(phase, reason, path, status=status, responder=responder, server=answer.server)


_OWN_PRODUCT = "EC"
"""What `_PRODUCT` finds in `EC2ws`."""
_PROXY_HEADERS = ("Via", "X-Cache", "X-Squid-Error", "Proxy-Authenticate", "X-Envoy-Upstream-Service-Time")
_PROXIES = re.compile(
    r"squid|nginx|envoy|haproxy|varnish|tinyproxy|apache|ats|mitmproxy|privoxy|openresty", re.IGNORECASE
)
_PRODUCT = re.compile(r"[A-Za-z][A-Za-z-]{0,15}")
"""The name of a product in a `Server` header (RFC 9110, section 10.2.4). Without digits and this short it is no key."""


def _stranger(headers: Mapping[str, str]) -> tuple[Responder | None, str]:
    """Return who sent *headers*, and the name of its server, if they show that it was not EC2's IMDS.

    The answers of EC2 on record have `Server: EC2ws`. Some role proxies have it, too: it proves nothing.
    """
    match = _PRODUCT.match(headers.get("Server", _OWN_PRODUCT)[:64])
    server = match[0] if match and match[0] != _OWN_PRODUCT else ""
    if any(name in headers for name in _PROXY_HEADERS) or _PROXIES.match(server):
        return Responder.PROXY, server
    return (Responder.NOT_EC2 if server else None), server
