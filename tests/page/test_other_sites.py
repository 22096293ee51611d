"""A page of another site, in a real browser on this host, can reach neither the daemon nor the simulator.

Two attacks. *Cross-site*: the page sends requests to the port by its address. *DNS rebinding*: the page's own name
resolves to the port's address, so that the browser takes page and port for the same site.
"""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import pytest

from harness import POLLS, in_process, utc_now
from page.browser import ATTACKER, Browser
from rolewatch.simulator import Simulator
from simulator.client import Client

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

ROLE = "web-server"
"""The role of the scenario `healthy`."""

NO_POLICY = "/-/healthy"
"""A path that is answered without a Content-Security-Policy, so that a script there may fetch."""

FETCH = """
fetch({url}, {options}).then(
    async response => [response.status, response.type, await response.text()],
    error => [0, 'error', String(error)])
"""


class EmptyPage(http.server.BaseHTTPRequestHandler):
    """The page of the other site, to send requests from."""

    def do_GET(self) -> None:
        """Answer with an empty page."""
        body = b"<!doctype html><title>Other site</title>"
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name in the standard library
        """Log nothing."""


@pytest.fixture
def other_site() -> Iterator[str]:
    """Return the URL of a page of another site."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), EmptyPage) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://{ATTACKER}:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    """Return a simulator with a control port."""
    with Simulator(now=utc_now, control_port=0) as running:
        yield running


def fetch(browser: Browser, url: str, **options: str) -> list[Any]:
    """Return status, type and text of the response that the page in *browser* gets for *url*; status 0 if none."""
    script = FETCH.format(url=json.dumps(url), options=json.dumps(options))
    found: list[Any] = browser.evaluate(script)
    return found


def rebound(url: str) -> str:
    """Return *url* with the name of the other site."""
    return url.replace("127.0.0.1", ATTACKER)


def credentials(simulator: Simulator) -> bytes:
    """Return the credentials document that *simulator* serves: a rotation changes it."""
    client = Client(simulator.endpoint)
    client.renew()
    return client.get(f"meta-data/iam/security-credentials/{ROLE}").body


def run_daemon(directory: Path, attack: Callable[[str], None]) -> None:
    """Run a daemon and start *attack* with the URL of its page when it has polled."""
    addresses: list[str] = []
    with in_process(directory, "healthy") as daemon:
        daemon.run((POLLS - 1, lambda: attack(f"http://{addresses[0]}")), polls=POLLS, ready=addresses.append)


def test_the_page_itself_reads_the_status(chromium: Browser, tmp_path: Path) -> None:
    """The control for the tests below: the same script gets the status under a name of this host."""
    got: dict[str, Any] = {}

    def attack(url: str) -> None:
        chromium.open(f"{url}{NO_POLICY}")
        got["status"], _, got["text"] = fetch(chromium, "/status.json")

    run_daemon(tmp_path, attack)

    assert got["status"] == 200
    assert json.loads(got["text"])["role"] == ROLE


def test_a_rebound_name_reads_neither_page_nor_status(chromium: Browser, tmp_path: Path) -> None:
    """To the browser the daemon is the other site's server. The daemon responds with 421 and no data."""
    got: dict[str, Any] = {}

    def attack(url: str) -> None:
        chromium.open(f"{rebound(url)}/")
        got["page"] = chromium.evaluate("document.documentElement.textContent")
        chromium.open(f"{rebound(url)}{NO_POLICY}")
        got["status"], _, got["text"] = fetch(chromium, "/status.json")

    run_daemon(tmp_path, attack)

    assert ROLE not in got["page"] + got["text"]
    assert got["status"] == 421
    assert "allowed_hosts" in got["page"]
    assert "allowed_hosts" in got["text"]


def test_another_site_reads_neither_page_nor_status(chromium: Browser, other_site: str, tmp_path: Path) -> None:
    """It uses the daemon's address: the browser withholds the response, because the daemon allows no other origin."""
    got: list[list[Any]] = []

    def attack(url: str) -> None:
        chromium.open(other_site)
        got.extend(fetch(chromium, f"{url}{path}") for path in ("/", "/status.json"))
        got.extend(fetch(chromium, f"{url}{path}", mode="no-cors") for path in ("/", "/status.json"))

    run_daemon(tmp_path, attack)

    assert [(status, text) for status, kind, text in got if kind != "error"] == [(0, ""), (0, "")]
    assert ROLE not in json.dumps(got)


def test_another_site_cannot_drive_the_simulator(chromium: Browser, other_site: str, simulator: Simulator) -> None:
    """POST and PUT to the control port's address, with and without CORS."""
    control = f"{simulator.control}"
    before = credentials(simulator)
    chromium.open(other_site)
    for mode in ("no-cors", "cors"):
        fetch(chromium, f"{control}/rotate", method="POST", mode=mode)
    fetch(chromium, f"{control}/scenario", method="PUT", body="credentials_expired")

    assert simulator.scenario == "healthy"
    assert credentials(simulator) == before


def test_a_rebound_name_cannot_drive_the_simulator(chromium: Browser, simulator: Simulator) -> None:
    """To the browser the control port is the other site's server, and it sends any request."""
    before = credentials(simulator)
    chromium.open(f"{rebound(str(simulator.control))}/")
    answers = [
        fetch(chromium, "/scenario"),
        fetch(chromium, "/rotate", method="POST"),
        fetch(chromium, "/scenario", method="PUT", body="credentials_expired"),
    ]

    assert simulator.scenario == "healthy"
    assert credentials(simulator) == before
    assert [status for status, _, _ in answers] == [421, 403, 403]
    assert all("healthy" not in text for _, _, text in answers)
