"""The HTTP endpoint: routes, and the host names that the page and the status are served for.

The page of another site, open in a browser on this host or within the VPC, can read what is served under that site's
own host name, and the site's DNS decides to which address that name leads (DNS rebinding). So ``/`` and
``/status.json`` are served only for names that no site can choose: IP addresses, ``localhost``, this host's own names,
and those that the settings allow. X-Forwarded-Host is ignored: a request can have any.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Callable
from urllib.parse import parse_qs

from rolewatch.authority import host_name, host_of, is_ip
from rolewatch.http.page import RecentEvents, View, content_security_policy, render_page
from rolewatch.http.request import BadRequestError, Request, Response
from rolewatch.http.server import DEADLINE, Server
from rolewatch.publish import Report, Snapshot
from rolewatch.publish.metrics import Metrics
from rolewatch.publish.status import status_document, unpolled_document

if TYPE_CHECKING:
    from ssl import SSLContext

SLOWEST_INTERVAL = 120.0
"""Seconds between two polls when IMDS throttles. Until then the loop is not stuck."""
MISSED = 3
"""Number of intervals without a report after which the loop counts as stuck."""
MAX_ARGUMENTS = 100
"""Arguments that a query may have. That is more than there are metrics to select."""

MIN_REFRESH = 10
"""Least seconds between two refreshes of the page."""
STARTING_REFRESH = 2
"""Seconds between two refreshes of the page before the first poll has ended."""

HOSTS = Path("/etc/hosts")
MAX_HOSTS = 1 << 16
"""Characters of /etc/hosts that are read. Lists of blocked sites make it megabytes long, after the host's own names."""

_FOR_ANY_HOST = frozenset({"/metrics", "/-/healthy", "/-/ready"})
"""Paths that are served for every host name: scrapers and probes may use any."""

_HTML = "text/html; charset=utf-8"
_JSON = "application/json"
_MALFORMED_HOST = Response(
    HTTPStatus.BAD_REQUEST, b"The request must name one host: send one Host header, HOST or HOST:PORT.\n"
)


class Endpoint:
    """The publisher that serves the last report over HTTP."""

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
        """Open nothing until `start`. *uptime* is a monotonic clock in seconds, for the age of the last report.

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
        self._server = Server(self.respond, addresses=addresses, sockets=sockets, tls=tls, deadline=deadline)
        self._routes: Mapping[str, Callable[[Request], Response]] = {
            "/": self._page,
            "/metrics": self._metrics_page,
            "/status.json": self._status,
            "/-/healthy": self._healthy,
            "/-/ready": self._ready,
        }

    @property
    def addresses(self) -> tuple[str, ...]:
        """Addresses that the endpoint listens on, as in a URL; empty before `start`, and without any setting."""
        return self._server.addresses

    @property
    def urls(self) -> tuple[str, ...]:
        """The addresses as URLs; a Unix socket as ``unix:PATH``."""
        scheme = "https" if self._server.tls else "http"
        return tuple(each if each.startswith("unix:") else f"{scheme}://{each}" for each in self.addresses)

    def secure(self, tls: SSLContext | None) -> None:
        """Use *tls*, or plain HTTP, for new connections. Open connections do not change."""
        self._server.tls = tls

    def allow(self, hosts: Sequence[str]) -> None:
        """Serve the page and the status for *hosts*, a name or ``*.`` and a domain, and for this host's own names.

        Read the host's own names again.
        """
        exact = (each for each in hosts if not each.startswith("*."))
        self._host_names = frozenset({"localhost", *own_names(), *exact})
        self._domains = tuple(each[1:] for each in hosts if each.startswith("*."))

    def start(self) -> None:
        """Serve. Raise `UsageError` or `UnavailableError` for an address that cannot be listened on."""
        self._ticked = self._uptime()
        self._server.start()

    def stop(self) -> None:
        """Close everything, within a second."""
        self._server.stop()

    def publish(self, report: Report) -> None:
        """Serve *report* from now on. Raise the last error of serving since the report before, for the loop to log."""
        self._snapshot = report.snapshot
        self._recent = self._recent.after(report)
        self._ticked = self._uptime()
        failure = self._server.take_failure()
        if failure is not None:
            raise failure

    def respond(self, request: Request) -> Response:
        """Return the response to *request*. Paths are exact."""
        route = self._routes.get(request.path)
        if route is None:
            return Response(HTTPStatus.NOT_FOUND, b"This path does not exist. The metrics are at /metrics.\n")
        refusal = None if request.path in _FOR_ANY_HOST else self._refuse_host(request)
        if refusal is not None:
            return refusal
        try:
            return route(request)
        except BadRequestError as error:
            return error.response

    def _refuse_host(self, request: Request) -> Response | None:
        """Return the response to a *request* for a host that is not served, or None. Names are never resolved."""
        authority = request.headers.get("host") if request.authority is None else request.authority
        host = host_of(authority or "")
        if host is None:
            return _MALFORMED_HOST
        if is_ip(host) or host in self._host_names or host.endswith(self._domains):
            return None
        text = (
            f"{host} is not known as a name of this host: use an IP address or localhost, or add the name to "
            "allowed_hosts in [metrics] of rolewatch.toml.\n"
        )
        return Response(HTTPStatus.MISDIRECTED_REQUEST, text.encode())

    def _page(self, request: Request) -> Response:
        """Return the page for people. ``/?refresh=off`` does not refresh."""
        snapshot = self._snapshot
        refreshes = _arguments(request).get("refresh") != ["off"]
        every = max(MIN_REFRESH, round(snapshot.polls.interval)) if snapshot else STARTING_REFRESH
        view = View(
            snapshot,
            age=max(0.0, self._uptime() - self._ticked),
            stuck=self._is_stuck(),
            recent=self._recent,
            refresh=every if refreshes else None,
            version=self._version,
            runbooks=self._runbooks,
            homepage=self._homepage,
            uid=os.getuid(),
        )
        headers = {
            "Content-Security-Policy": content_security_policy(),
            "Referrer-Policy": "no-referrer",
            "X-Frame-Options": "DENY",
            **({"Refresh": str(every)} if refreshes else {}),
        }
        return Response(HTTPStatus.OK, render_page(view), _HTML, headers)

    def _metrics_page(self, request: Request) -> Response:
        names = _arguments(request).get("name[]", [])
        accept, encoding = request.headers.get("accept", ""), request.headers.get("accept-encoding", "")
        page, content_type, coding = self._metrics.render(accept, encoding, names)
        headers = {"Vary": "Accept, Accept-Encoding", **({"Content-Encoding": coding} if coding else {})}
        return Response(HTTPStatus.OK, page, content_type, headers)

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


def own_names(hosts: Path = HOSTS) -> frozenset[str]:
    """Return the names of this host, in lower case, without DNS.

    They are the kernel's host name, its first label, and all names on those lines of *hosts* that have the host name,
    such as the fully qualified one. Other lines are for other hosts and blocked sites. *hosts* may be missing.
    """
    name = host_name(socket.gethostname())
    if name is None or is_ip(name):
        return frozenset()
    own = {name, name.partition(".")[0]}
    return frozenset(own.union(*(names for names in _lines(hosts) if name in names)))


def _lines(hosts: Path) -> Iterator[frozenset[str]]:
    """Yield the names in each line of *hosts* (hosts(5))."""
    try:
        with hosts.open(encoding="utf-8", errors="replace") as file:
            text = file.read(MAX_HOSTS)
    except OSError:
        return
    for line in text.splitlines():
        yield frozenset(filter(None, map(host_name, line.partition("#")[0].split()[1:])))


def _arguments(request: Request) -> Mapping[str, list[str]]:
    """Return the arguments of the query by name. Raise `BadRequestError` for more than `MAX_ARGUMENTS`."""
    try:
        return parse_qs(request.query, max_num_fields=MAX_ARGUMENTS)
    except ValueError:
        raise BadRequestError(HTTPStatus.BAD_REQUEST, "The query has too many arguments.") from None


def _json(status: HTTPStatus, document: Mapping[str, object]) -> Response:
    return Response(status, (json.dumps(document, indent=2) + "\n").encode("ascii"), _JSON)
