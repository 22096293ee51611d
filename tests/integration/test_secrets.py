"""No secret that IMDS serves is found in anything that comes out, however odd the document that held it."""

from __future__ import annotations

import contextlib
import http.server
import json
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from forms import one_of_each
from harness import InProcessDaemon, in_process, timeouts_for
from promises import Area, promise
from rolewatch.cli import main
from rolewatch.imds.client import Client, Document
from rolewatch.settings import ExpectSettings, ImdsSettings
from rolewatch.simulator.scenarios import SCENARIOS, Scenario

SHAPES = {
    "access-key-id": "ASIACANARY7CANARY7QX",
    "secret-access-key": "wJalrCANARYtnFEMI/K7MDENG+bPxRfiCYCANARY",
    "token": "IQoJb3JpZ2luX2VjCANARY//////////wEaCXVzLWVhc3QtMSJHMEUCIQDCANARY==",
    "lines": "x/CANARY\nSecretAccessKey=CANARY/\n",
    "long": "CANARY" * 2000,
}
"""The shape of a secret, in a field where none is expected."""


@promise(
    Area.SECRETS,
    "IMDS is in any of its scenarios",
    "metrics, text file, page, status, journal at debug, STATUS, state file and `check` have no secret that was served",
)
@pytest.mark.parametrize(
    "scenario",
    one_of_each(SCENARIOS, lambda each: (each.expect.faults, each.expect.reason), lambda each: each.name),
)
def test_no_served_secret_comes_out_of_the_daemon(
    scenario: Scenario, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Metrics, status, page, journal at debug, STATUS, state file, console and the environment have none of them."""
    monkeypatch.setenv("ROLEWATCH_IMDS_TIMEOUT", str(timeouts_for(scenario).timeout))
    monkeypatch.setenv("ROLEWATCH_IMDS_DEADLINE", str(timeouts_for(scenario).deadline))
    with in_process(tmp_path, scenario.name, expect=ExpectSettings(role=("nobody",))) as daemon:
        seen = daemon.run()
        main(["check", "--json", "--endpoint", daemon.endpoint])
        main(["check", "--endpoint", daemon.endpoint])
        assert daemon.simulator is not None
        secrets = daemon.simulator.secrets
    captured = capfd.readouterr()
    environ = Path("/proc/self/environ").read_bytes().decode(errors="replace")
    out = f"{seen.everything()}\n{captured.out}\n{captured.err}\n{environ}"

    assert not [secret for secret in secrets if secret in out]


def documents(canary: str) -> Mapping[str, bytes]:
    """Return every document, with *canary* in each of its fields."""
    fields = {
        "meta-data/iam/info": ("Code", "Message", "InstanceProfileArn", "InstanceProfileId", "LastUpdated"),
        "meta-data/iam/security-credentials/web": (
            *("Code", "Message", "Type", "AccessKeyId", "SecretAccessKey", "Token", "Expiration", "LastUpdated"),
            "AccountId",
        ),
        "dynamic/instance-identity/document": ("instanceId", "region", "accountId", "pendingTime", "imageId"),
    }
    bodies = {path: json.dumps(dict.fromkeys(names, canary)).encode() for path, names in fields.items()}
    return {
        **bodies,
        "api/token": b"a-token",
        "meta-data/iam/security-credentials/": b"web",
        "meta-data/tags/instance/role": canary.encode(),
    }


@contextlib.contextmanager
def planted(bodies: Mapping[str, bytes]) -> Iterator[str]:
    """Serve *bodies* as an IMDS would; yield the endpoint."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = bodies.get(self.path.partition("/latest/")[2])
            self.send_response(404 if body is None else 200)
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write(body or b"")

        do_PUT = do_GET  # noqa: N815 - what http.server calls

        def log_message(self, *args: object) -> None:
            """Be quiet."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@promise(
    Area.SECRETS,
    "a secret is where none belongs: in every field, as a name, as the whole body, in half a document",
    "it stays inside",
)
@pytest.mark.parametrize("form", ["journal", "json", "console"])
@pytest.mark.parametrize("canary", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("where", ["fields", "names", "everywhere", "cut off"])
def test_no_planted_secret_comes_out_of_the_daemon(
    canary: str, where: str, form: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A secret in any field, as a name, as the whole body, or in a document cut off in its middle stays inside."""
    bodies = dict(documents(canary))
    if where == "names":
        bodies["meta-data/iam/security-credentials/"] = canary.encode()
    elif where == "everywhere":
        bodies = {path: b"a-token" if path == "api/token" else canary.encode() for path in bodies}
    elif where == "cut off":
        bodies = {path: body[: len(body) - 3] if body.startswith(b"{") else body for path, body in bodies.items()}
    with planted(bodies) as endpoint:
        daemon = InProcessDaemon(tmp_path, endpoint, expect=ExpectSettings(role_tag="role"), log_format=form)
        seen = daemon.run()
        main(["check", "--endpoint", endpoint])
    captured = capfd.readouterr()

    assert "CANARY" not in f"{seen.everything()}\n{captured.out}\n{captured.err}"
    assert seen.ready == 200


def test_a_session_token_is_not_in_what_the_client_shows_of_itself(tmp_path: Path) -> None:
    """The representations that a traceback or a debugger prints have no token and no body."""
    canary = SHAPES["secret-access-key"]
    with planted({"api/token": canary.encode(), "meta-data/iam/info": canary.encode()}) as endpoint:
        client = Client(endpoint, ImdsSettings(), monotonic=lambda: 0.0)
        session = client.session()
        document = session.get("meta-data/iam/info")

    assert isinstance(document, Document)
    assert "CANARY" not in f"{session!r} {document!r} {client!r} {tmp_path}"
