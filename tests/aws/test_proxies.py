"""Which clients send requests for IMDS to a proxy: judged as botocore and curl do, which are asked here."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from rolewatch.aws.diagnose.overrides import proxies

IMDS = "169.254.169.254"
BOTOCORE, GO, CURL = "botocore (AWS CLI)", "Go", "curl"
EVERY = (BOTOCORE, GO, CURL)
FORMS = [
    ({}, ()),
    ({"http_proxy": "PROXY"}, EVERY),
    ({"HTTP_PROXY": "PROXY"}, (BOTOCORE, GO)),
    ({"HTTP_PROXY": "PROXY", "http_proxy": ""}, (GO,)),
    ({"https_proxy": "PROXY"}, ()),
    ({"all_proxy": "PROXY"}, (CURL,)),
    ({"ALL_PROXY": "PROXY"}, (CURL,)),
    ({"http_proxy": "PROXY", "no_proxy": "IMDS"}, ()),
    ({"http_proxy": "PROXY", "no_proxy": "localhost, IMDS"}, ()),
    ({"http_proxy": "PROXY", "no_proxy": "*"}, ()),
    ({"http_proxy": "PROXY", "no_proxy": "localhost,*"}, (BOTOCORE, CURL)),
    ({"http_proxy": "PROXY", "no_proxy": "IMDS/16"}, (BOTOCORE,)),
    ({"http_proxy": "PROXY", "no_proxy": "IMDS:PORT"}, (CURL,)),
    ({"http_proxy": "PROXY", "no_proxy": "IMDS:9"}, EVERY),
    ({"http_proxy": "PROXY", "no_proxy": "localhost|IMDS"}, EVERY),
    ({"http_proxy": "PROXY", "no_proxy": "http://IMDS"}, EVERY),
    ({"http_proxy": "PROXY", "no_proxy": "IMDS "}, ()),
    ({"http_proxy": "PROXY", "NO_PROXY": "IMDS"}, ()),
    ({"http_proxy": "PROXY", "NO_PROXY": "IMDS", "no_proxy": "localhost"}, (BOTOCORE, CURL)),
    ({"http_proxy": "PROXY", "NO_PROXY": "localhost", "no_proxy": "IMDS"}, (GO,)),
]
BY_FORM = pytest.mark.parametrize(("environ", "clients"), FORMS, ids=lambda value: str(value)[:60])


def filled(environ: dict[str, str], host: str, port: str, proxy: str) -> dict[str, str]:
    """Return *environ* for IMDS at *host* and *port*, and a *proxy*."""
    words = (("IMDS", host), ("PORT", port), ("PROXY", proxy))
    made = dict(environ)
    for word, value in words:
        made = {name: text.replace(word, value) for name, text in made.items()}
    return made


@BY_FORM
def test_the_clients_that_use_the_proxy_are_named(environ: dict[str, str], clients: tuple[str, ...]) -> None:
    """By name; the value of a variable may have a password."""
    made = filled(environ, IMDS, "8080", "http://user:canary@10.9.9.9:3128")
    found = proxies(f"http://{IMDS}:8080", made)

    assert tuple(found) == clients
    assert set(found.values()) <= set(environ)


@pytest.mark.parametrize("port", ["", ":80"])
def test_a_port_in_an_exception_is_understood_by_go_only(port: str) -> None:
    """IMDS's own URL has none, so that botocore compares the bare address."""
    found = proxies(f"http://{IMDS}", {"http_proxy": "p", "no_proxy": f"{IMDS}{port}"})

    assert set(found) == ({BOTOCORE, CURL} if port else set())


@pytest.mark.parametrize(
    ("excepted", "clients"),
    [("fd00:ec2::254", [BOTOCORE]), ("[fd00:ec2::254]", [GO, CURL]), ("fd00:ec2::254,[fd00:ec2::254]", [])],
)
def test_ipv6_needs_both_forms(excepted: str, clients: list[str]) -> None:
    """Botocore compares the text of the URL, which has brackets."""
    assert list(proxies("http://[fd00:ec2::254]", {"http_proxy": "p", "no_proxy": excepted})) == clients


class Recorder(BaseHTTPRequestHandler):
    """Answers "proxy" to a request for a whole URL, and "direct" to one for a path."""

    def do_GET(self) -> None:
        """Answer."""
        body = b"proxy" if self.path.startswith("http://") else b"direct"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """Run a server that is both IMDS and the proxy, and yield its port."""
    with HTTPServer(("127.0.0.1", 0), Recorder) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@BY_FORM
@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
def test_curl_does_as_it_is_judged(environ: dict[str, str], clients: tuple[str, ...], port: int) -> None:
    """It is run, on loopback, which it does not treat in another way."""
    made = filled(environ, "127.0.0.1", str(port), f"http://127.0.0.1:{port}")
    done = subprocess.run(
        ["curl", "-sS", "-m", "5", f"http://127.0.0.1:{port}/"],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": os.environ["PATH"], **made},
    )

    assert done.stdout == ("proxy" if CURL in clients else "direct")


@BY_FORM
def test_botocore_does_as_it_is_judged(
    environ: dict[str, str], clients: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own function chooses the proxy for IMDS."""
    utils = pytest.importorskip("botocore.utils")
    for name, value in filled(environ, IMDS, "8080", "http://10.9.9.9:3128").items():
        monkeypatch.setenv(name, value)

    assert ("http" in utils.get_environ_proxies(f"http://{IMDS}:8080/")) == (BOTOCORE in clients)
