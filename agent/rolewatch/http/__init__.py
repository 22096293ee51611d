"""The HTTP endpoint: which path serves what."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Callable
from urllib.parse import parse_qs

from rolewatch.http.host_check import HostCheck, own_names
from rolewatch.http.page import RecentEvents, View, content_security_policy, render_page
from rolewatch.http.request import BadRequestError, Request, Response
from rolewatch.http.server import DEADLINE, Server
from rolewatch.publish import Report, Snapshot
from rolewatch.publish.metrics import Metrics
from rolewatch.publish.status import status_document, unpolled_document

if TYPE_CHECKING:
    import socket
    from ssl import SSLContext

SLOWEST_INTERVAL = 120.0
"""Seconds between two polls when IMDS throttles: as long as that nothing is wrong with the loop."""
MISSED = 3
"""So many intervals without a report, and the loop counts as stuck."""
MAX_NAMES = 100
"""Arguments that a request may have. There are fewer metrics to name."""

MIN_REFRESH = 10
"""Seconds between two looks of a browser at the page, at the least."""
STARTING_REFRESH = 2
"""The same before the first poll has ended, which is soon."""

_FOR_ANY_HOST = frozenset({"/metrics", "/-/healthy", "/-/ready"})
"""What is answered whichever host a request names: scrapers and probes may know this one by any name."""

_HTML = "text/html; charset=utf-8"
_JSON = "application/json"


class Endpoint:
    """The publisher that answers who asks, with the last report."""

    name = "http"

    def __init__(  # noqa: PLR0913 - every one but the first has a name
        self,
        metrics: Metrics,
        *,
        version: str,
        addresses: Sequence[str],
        uptime: Callable[[], float],
        sockets: Sequence[socket.socket] = (),
        tls: SSLContext | None = None,
        deadline: float = DEADLINE,
        allowed_hosts: Sequence[str] = (),
        runbooks: str = "",
        homepage: str = "",
    ) -> None:
        """Open nothing yet. *uptime* is the clock that tells how old the last report is, in seconds.

        *runbooks* and *homepage* are URLs that the page links to.
        """
        self._metrics = metrics
        self._version = version
        self._runbooks, self._homepage = runbooks, homepage
        self._recent = RecentEvents()
        self.allow(allowed_hosts)
        self._uptime = uptime
        self._snapshot: Snapshot | None = None
        self._ticked = uptime()
        self._server = Server(self.answer, addresses=addresses, sockets=sockets, tls=tls, deadline=deadline)
        self._routes: Mapping[str, Callable[[Request], Response]] = {
            "/": self._page,
            "/metrics": self._page_of_metrics,
            "/status.json": self._status,
            "/-/healthy": self._healthy,
            "/-/ready": self._ready,
        }

    @property
    def addresses(self) -> tuple[str, ...]:
        """What is listened on, as a URL has it; empty before `start`, and where nothing was asked for."""
        return self._server.addresses

    @property
    def urls(self) -> tuple[str, ...]:
        """The same as URLs; a socket in the file system as it is."""
        scheme = "https" if self._server.tls else "http"
        return tuple(each if each.startswith("unix:") else f"{scheme}://{each}" for each in self.addresses)

    def secure(self, tls: SSLContext | None) -> None:
        """Let connections that come from now on speak *tls*, or plain HTTP. Those that are open stay as they are."""
        self._server.tls = tls

    def allow(self, hosts: Sequence[str]) -> None:
        """Answer for the names in *hosts* from now on, besides this host's own, which are read again."""
        self._host_check = HostCheck(hosts, own_names())

    def start(self) -> None:
        """Answer from now on. Raise `ConfigError` or `UnavailableError` where an address cannot be listened on."""
        self._ticked = self._uptime()
        self._server.start()

    def stop(self) -> None:
        """Close everything, within a second."""
        self._server.stop()

    def publish(self, report: Report) -> None:
        """Keep *report* for who asks. Raise what went wrong in answering since the last one, to be told and counted."""
        self._snapshot = report.snapshot
        self._recent = self._recent.after(report)
        self._ticked = self._uptime()
        failure = self._server.take_failure()
        if failure is not None:
            raise failure

    def answer(self, request: Request) -> Response:
        """Return the answer to *request*. The paths are exact."""
        route = self._routes.get(request.path)
        if route is None:
            return Response(HTTPStatus.NOT_FOUND, b"There is nothing here. The metrics are at /metrics.\n")
        refusal = None if request.path in _FOR_ANY_HOST else self._host_check.refusal(request)
        if refusal is not None:
            return refusal
        try:
            return route(request)
        except BadRequestError as error:
            return error.response

    def _page(self, request: Request) -> Response:
        """Return the page for people. ``/?refresh=off`` is the one that stands still."""
        snapshot = self._snapshot
        still = _arguments(request).get("refresh") == ["off"]
        every = max(MIN_REFRESH, round(snapshot.polls.interval)) if snapshot else STARTING_REFRESH
        view = View(
            snapshot,
            age=max(0.0, self._uptime() - self._ticked),
            stuck=self._is_stuck(),
            recent=self._recent,
            refresh=None if still else every,
            version=self._version,
            runbooks=self._runbooks,
            homepage=self._homepage,
            uid=os.getuid(),
        )
        headers = {
            "Content-Security-Policy": content_security_policy(),
            "Referrer-Policy": "no-referrer",
            "X-Frame-Options": "DENY",
            **({} if still else {"Refresh": str(every)}),
        }
        return Response(HTTPStatus.OK, render_page(view), _HTML, headers)

    def _page_of_metrics(self, request: Request) -> Response:
        names = _arguments(request).get("name[]", [])
        accept, encoding = request.headers.get("accept", ""), request.headers.get("accept-encoding", "")
        page, content_type, coding = self._metrics.render(accept, encoding, names)
        headers = {"Vary": "Accept, Accept-Encoding"}
        return Response(
            HTTPStatus.OK, page, content_type, {**headers, "Content-Encoding": coding} if coding else headers
        )

    def _status(self, _request: Request) -> Response:
        snapshot = self._snapshot
        if snapshot is None:
            return _json(HTTPStatus.SERVICE_UNAVAILABLE, unpolled_document(version=self._version))
        return _json(HTTPStatus.OK, status_document(snapshot, version=self._version, uid=os.getuid()))

    def _healthy(self, _request: Request) -> Response:
        if self._is_stuck():
            return Response(HTTPStatus.SERVICE_UNAVAILABLE, b"rolewatch has stopped polling.\n")
        return Response(HTTPStatus.OK, b"rolewatch is healthy.\n")

    def _is_stuck(self) -> bool:
        interval = self._snapshot.polls.interval if self._snapshot else 0.0
        return self._uptime() - self._ticked >= MISSED * max(interval, SLOWEST_INTERVAL)

    def _ready(self, _request: Request) -> Response:
        if self._snapshot is None:
            return Response(HTTPStatus.SERVICE_UNAVAILABLE, b"rolewatch is not ready: no poll has ended yet.\n")
        return Response(HTTPStatus.OK, b"rolewatch is ready.\n")


def _arguments(request: Request) -> Mapping[str, list[str]]:
    """Return what the query asks for. Raise `BadRequestError` where that is more than there is to ask for."""
    try:
        return parse_qs(request.query, max_num_fields=MAX_NAMES)
    except ValueError:
        raise BadRequestError(HTTPStatus.BAD_REQUEST, "The query has too many arguments.") from None


def _json(status: HTTPStatus, document: Mapping[str, object]) -> Response:
    return Response(status, (json.dumps(document, indent=2) + "\n").encode("ascii"), _JSON)
