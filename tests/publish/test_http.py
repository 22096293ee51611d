"""The endpoint: which path gives what, over real sockets."""

from __future__ import annotations

import base64
import contextlib
import gzip
import hashlib
import html.parser
import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from page.views import changed, raised
from publish.pages import parse_openmetrics, parse_text
from publish.raw import ask, exchange, idle
from publish.snapshots import DEGRADED, FIRST, OK, STATUS, active, report, with_changes
from rolewatch.errors import UnavailableError
from rolewatch.faults import Fault
from rolewatch.http import Endpoint
from rolewatch.publish import AgentStatus, Publisher, Report, Snapshot
from rolewatch.publish.metrics import Metrics
from rolewatch.publish.status import status_document
from rolewatch.vocabulary import State

PATHS = ("/", "/metrics", "/status.json", "/-/healthy", "/-/ready")
SINCE_BOOT = 1000.0
"""How long the machine runs when an endpoint starts."""


@dataclass
class Uptime:
    """A clock that a test moves."""

    seconds: float = SINCE_BOOT

    def __call__(self) -> float:
        """Return the time."""
        return self.seconds


@dataclass
class House:
    """An endpoint with its metrics, and its clock."""

    metrics: Metrics
    endpoint: Endpoint
    uptime: Uptime

    @property
    def address(self) -> str:
        """Where it answers."""
        return self.endpoint.addresses[0]

    def publish(self, snapshot: Snapshot) -> None:
        """Publish as the loop does: to the metrics, then to the endpoint."""
        for publisher in (self.metrics, self.endpoint):
            publisher.publish(report(snapshot))


@contextlib.contextmanager
def answering(snapshot: Snapshot | None = OK, *, status: AgentStatus = STATUS) -> Iterator[House]:
    """Run an endpoint, after one report where there is a *snapshot*."""
    uptime = Uptime()
    metrics = Metrics(version="1.2.3", health=lambda: status)
    endpoint = Endpoint(metrics, version="1.2.3", addresses=("127.0.0.1:0",), uptime=uptime)
    house = House(metrics, endpoint, uptime)
    endpoint.start()
    try:
        if snapshot is not None:
            house.publish(snapshot)
        yield house
    finally:
        endpoint.stop()


@pytest.fixture
def house() -> Iterator[House]:
    """Return an endpoint whose role is healthy."""
    with answering() as running:
        yield running


def test_the_endpoint_is_a_publisher() -> None:
    """The loop hands it every report, as it does to the others."""
    publisher: Publisher = Endpoint(
        Metrics(version="", health=lambda: STATUS), version="", addresses=(), uptime=Uptime()
    )

    assert publisher.name == "http"


@pytest.mark.parametrize("path", PATHS)
def test_head_has_the_fields_of_get(house: House, path: str) -> None:
    """The same status and fields, and no body. The page of metrics may change its length meanwhile."""
    got, headed = ask(house.address, path), ask(house.address, path, "HEAD")
    for each in (got, headed):
        assert int(each.headers.pop("Content-Length")) > 0

    assert headed.body == b""
    assert (headed.status, headed.headers) == (got.status, got.headers) == (200, got.headers)


@pytest.mark.parametrize(
    "path",
    [
        "/metrics/",
        "//metrics",
        "/metrics/x",
        "/Metrics",
        "/%6detrics",
        "/metrics%00",
        "/../metrics",
        "/-/",
        "/-/reload",
        "/-/quit",
        "/favicon.ico",
        "/status",
        "/index.html",
        "*",
    ],
)
def test_paths_are_exact(house: House, path: str) -> None:
    """A path that is nearly right is wrong; a scraper with a typo must not conclude that there is no fault."""
    assert ask(house.address, path).status == 404


def test_metrics_are_served_as_text() -> None:
    """If the request has no Accept header."""
    with answering(DEGRADED) as house:
        response = ask(house.address, "/metrics")
    state = {
        sample.labels["state"]: sample.value
        for family in parse_text(response.body.decode())
        for sample in family.samples
        if sample.name == "rolewatch_state"
    }

    assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert "Content-Encoding" not in response.headers
    assert state == {"starting": 0, "ok": 0, "degraded": 1, "failed": 0, "unknown": 0}


def test_metrics_are_served_as_prometheus_asks_for_them(house: House) -> None:
    """OpenMetrics and gzip, negotiated by its real headers."""
    response = ask(
        house.address,
        "/metrics",
        Accept="application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
        Accept_Encoding="gzip",
        X_Prometheus_Scrape_Timeout_Seconds="10",
    )

    assert response.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    assert response.headers["Content-Encoding"] == "gzip"
    assert response.headers["Vary"] == "Accept, Accept-Encoding"
    assert any(
        family.name == "rolewatch_state" for family in parse_openmetrics(gzip.decompress(response.body).decode())
    )


def test_a_query_may_narrow_the_page_down(house: House) -> None:
    """As with prometheus-client's own server."""
    response = ask(house.address, "/metrics?name[]=rolewatch_state&name%5B%5D=rolewatch_polls_total&x=1")

    assert {family.name for family in parse_text(response.body.decode())} == {"rolewatch_state", "rolewatch_polls"}


def test_a_query_of_a_thousand_names_is_refused(house: House) -> None:
    """There are not that many metrics."""
    assert ask(house.address, "/metrics?" + "&".join(["name[]=x"] * 500)).status == 400


def test_metrics_are_there_before_the_first_poll() -> None:
    """With the state `starting`, so that Prometheus sees the instance from its first second on."""
    with answering(None) as house:
        assert b'rolewatch_state{state="starting"} 1.0' in ask(house.address, "/metrics").body


def test_status_is_the_document_of_the_last_report(house: House) -> None:
    """And follows it."""
    before = ask(house.address, "/status.json")
    house.publish(DEGRADED)
    after = ask(house.address, "/status.json")

    assert before.headers["Content-Type"] == "application/json"
    assert json.loads(before.body) == status_document(OK, version="1.2.3")
    assert json.loads(after.body) == status_document(DEGRADED, version="1.2.3")


def test_status_before_the_first_poll_is_503_and_json() -> None:
    """A machine that reads it finds what it can parse."""
    with answering(None) as house:
        response = ask(house.address, "/status.json")

    assert response.status == 503
    assert response.headers["Content-Type"] == "application/json"
    assert json.loads(response.body)["state"] == "starting"


def test_ready_means_that_a_poll_has_ended() -> None:
    """With whatever verdict: readiness is rolewatch's, not that of IMDS."""
    with answering(None) as house:
        before = ask(house.address, "/-/ready").status
        house.publish(FIRST)
        after = ask(house.address, "/-/ready").status

    assert (before, after) == (503, 200)


@pytest.mark.parametrize(
    ("interval", "still", "stuck"),
    [pytest.param(30.0, 359.0, 360.0, id="usual"), pytest.param(600.0, 1799.0, 1800.0, id="slow")],
)
def test_healthy_means_that_the_loop_turns(interval: float, still: float, stuck: float) -> None:
    """Three intervals without a report, and it counts as stuck; throttling may stretch one to two minutes."""
    with answering(with_changes(OK, interval=interval)) as house:
        response = {}
        for age in (0.0, still, stuck):
            house.uptime.seconds = SINCE_BOOT + age
            response[age] = ask(house.address, "/-/healthy").status
        house.publish(with_changes(OK, interval=interval))
        again = ask(house.address, "/-/healthy").status

    assert response == {0.0: 200, still: 200, stuck: 503}
    assert again == 200


def test_a_first_poll_that_never_ends_is_not_healthy() -> None:
    """The time counts from the start."""
    with answering(None) as house:
        fresh = ask(house.address, "/-/healthy").status
        house.uptime.seconds += 360
        stuck = ask(house.address, "/-/healthy").status

    assert (fresh, stuck) == (200, 503)


class Page(html.parser.HTMLParser):
    """What a browser finds in a page."""

    def __init__(self, body: bytes) -> None:
        """Read the page *body*."""
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[tuple[str, str]] = []
        self.tags: list[str] = []
        self.words = ""
        self.feed(body.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note links, and what the browser would fetch by itself."""
        self.tags.append(tag)
        found: dict[str, str] = {name: value or "" for name, value in attrs}
        if tag == "a":
            self.links.append(found["href"])
        self.loaded += [
            (name, value) for name, value in found.items() if name == "src" or (tag, name) == ("link", "href")
        ]

    def handle_data(self, data: str) -> None:
        """Note the text."""
        self.words += data


def test_the_page_shows_the_state_and_links() -> None:
    """Every local link works, nothing is loaded from elsewhere, and there is no script."""
    with answering(DEGRADED) as house:
        response = ask(house.address, "/")
        page = Page(response.body)
        ours = [link for link in page.links if link.startswith("/")]
        statuses = {link: ask(house.address, link).status for link in ours}

    assert response.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "rolewatch 1.2.3" in page.words
    assert "Degraded" in page.words
    assert all(each.fault.value in page.words for each in DEGRADED.faults)
    assert statuses == dict.fromkeys(("/?refresh=off", "/metrics", "/status.json", "/-/healthy", "/-/ready"), 200)
    assert all(value.startswith("data:image/svg+xml,") for _, value in page.loaded)
    assert "script" not in page.tags


def test_the_page_follows_the_reports(house: House) -> None:
    """It has the events since the start, newest first, and the age of the last poll."""
    house.endpoint.publish(Report(DEGRADED, (raised(DEGRADED.faults[0], DEGRADED), changed(State.OK, State.DEGRADED))))
    house.uptime.seconds += 42
    words = Page(ask(house.address, "/").body).words

    assert "Polled 42 s ago." in words
    assert words.index("state changed") < words.index("fault raised")


def test_the_page_refreshes_itself_until_the_reader_stops_that(house: House) -> None:
    """A header refreshes it at the interval of the polls; ``/?refresh=off`` has none, and a link back."""
    moving, still = ask(house.address, "/"), ask(house.address, "/?refresh=off")

    assert moving.headers["Refresh"] == "30"
    assert "Refresh" not in still.headers
    assert "/" in Page(still.body).links
    assert "/?refresh=off" not in Page(still.body).links


def test_the_page_refreshes_gently() -> None:
    """A daemon that polls every five seconds is not asked as often; one that has not polled yet is soon asked again."""
    with answering(None) as house:
        starting = ask(house.address, "/").headers["Refresh"]
        house.publish(with_changes(OK, interval=5.0))
        quick = ask(house.address, "/").headers["Refresh"]

    assert (starting, quick) == ("2", "10")


@pytest.mark.parametrize(
    "query", ["refresh=on", "refresh=off&refresh=off", "x=1", "refresh", "%00=&&=&", "refresh=OFF"]
)
def test_other_queries_change_nothing(house: House, query: str) -> None:
    """The page has one switch."""
    assert ask(house.address, f"/?{query}").headers["Refresh"] == "30"


def test_a_query_of_a_thousand_arguments_is_refused_by_the_page(house: House) -> None:
    """No person writes such a query."""
    assert ask(house.address, "/?" + "&".join(["refresh=off"] * 500)).status == 400


def test_the_page_shows_that_the_daemon_is_stuck(house: House) -> None:
    """With the same limit as ``/-/healthy``: what it shows was true once."""
    house.uptime.seconds += 360
    body = Page(ask(house.address, "/").body)

    assert "OK, 6 min ago" in body.words
    assert "rolewatch is stuck" in body.words


def test_the_policy_allows_the_page_and_nothing_else(house: House) -> None:
    """The policy allows the one style that is in the page, by its hash, and no other; no foreign frame, no cache."""
    response = ask(house.address, "/")
    style = response.body.decode().partition("<style>")[2].partition("</style>")[0]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = dict(each.strip().split(" ", 1) for each in response.headers["Content-Security-Policy"].split(";"))

    assert policy == {
        "default-src": "'none'",
        "style-src": f"'sha256-{digest}'",
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["X-Frame-Options"] == "DENY"
    assert response.headers["Referrer-Policy"] == "no-referrer"
    assert response.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", "\ud800", '"&'], ids=["script", "half", "entities"])
def test_values_from_imds_are_not_html(name: str) -> None:
    """A role's name is text, wherever it shows."""
    fault = active(Fault.ROLE_MISMATCH, role=name, expected_role=name)
    with answering(with_changes(OK, role=name, instance_profile=name, faults=(fault,))) as house:
        response = ask(house.address, "/")
        document = ask(house.address, "/status.json")

    assert response.status == document.status == 200
    assert "script" not in Page(response.body).tags
    assert json.loads(document.body)["role"] == name


def test_an_error_of_a_page_is_raised_at_the_next_report() -> None:
    """The loop counts it and writes it into the journal, once for however many scrapes; a scraper sees 500."""
    broken: Any = None
    with answering(status=broken) as house:
        statuses = [ask(house.address, "/metrics").status for _ in range(3)]

        with pytest.raises(AttributeError):
            house.endpoint.publish(report(OK))
        house.endpoint.publish(report(OK))
        assert statuses == [500, 500, 500]
        assert ask(house.address, "/-/ready").status == 200


def test_a_report_that_raises_an_error_is_served() -> None:
    """The error is of an earlier response."""
    broken: Any = None
    with answering(status=broken) as house:
        ask(house.address, "/metrics")
        with contextlib.suppress(AttributeError):
            house.endpoint.publish(report(DEGRADED))

        assert json.loads(ask(house.address, "/status.json").body)["state"] == "degraded"


def test_an_address_in_use_is_an_error_at_the_start(house: House) -> None:
    """Before the first poll: a daemon that cannot be scraped must not seem to run."""
    second = Endpoint(house.metrics, version="", addresses=(house.address,), uptime=Uptime())

    with pytest.raises(UnavailableError, match=house.address):
        second.start()
    assert second.addresses == ()


def test_sockets_of_systemd_are_used_and_closed() -> None:
    """The endpoint owns what it was handed."""
    handed_in = socket.create_server(("127.0.0.1", 0))
    metrics = Metrics(version="1.2.3", health=lambda: STATUS)
    endpoint = Endpoint(metrics, version="", addresses=("127.0.0.1:1",), sockets=(handed_in,), uptime=Uptime())
    endpoint.start()
    status = ask(endpoint.addresses[0], "/metrics").status
    endpoint.stop()

    assert status == 200
    assert handed_in.fileno() == -1


def test_scrapes_go_on_beside_slow_peers(house: House) -> None:
    """Incomplete requests delay no other."""
    with idle(house.address, 20) as connections:
        for each in connections:
            each.sendall(b"GET /metrics HTTP/1.1\r\n")

        assert ask(house.address, "/metrics").status == 200


def test_a_raw_exchange_shows_no_more_than_it_has_to(house: House) -> None:
    """The head does not show the version of Python or of a library."""
    head = exchange(house.address, b"GET /-/ready HTTP/1.1\r\n\r\n").partition(b"\r\n\r\n")[0]

    assert b"Server" not in head
    assert b"ython" not in head
