"""Each network fault, on the wire."""

from __future__ import annotations

import json
import socket
from dataclasses import replace

import pytest

from rolewatch.simulator import Simulator
from rolewatch.simulator.conditions import HEALTHY, Effect, NetworkFault, Target
from rolewatch.simulator.network_faults import ELSEWHERE, HUGE
from simulator.client import Client, address

LEAF = "meta-data/iam/security-credentials/web-server"


def raw(simulator: Simulator, client: Client, path: str = LEAF, *, limit: int = 1 << 30, timeout: float = 5) -> bytes:
    """Return every byte of the answer, up to *limit*."""
    with socket.create_connection(address(simulator.endpoint), timeout=timeout) as connection:
        request = f"GET /latest/{path} HTTP/1.1\r\nHost: imds\r\nX-aws-ec2-metadata-token: {client.token}\r\n\r\n"
        connection.sendall(request.encode())
        received = b""
        while len(received) < limit and (chunk := connection.recv(65536)):
            received += chunk
    return received


def inject(simulator: Simulator, effect: Effect, target: Target = Target.CREDENTIALS, **more: float) -> None:
    """Enter the healthy instance with one network fault."""
    fault = replace(NetworkFault(effect, target), **more)  # type: ignore[arg-type]  # seconds and status, by name
    simulator.enter(replace(HEALTHY, network_faults=(fault,)))


def test_silence_lasts_until_the_client_gives_up(simulator: Simulator, client: Client) -> None:
    """The connection is accepted, and nothing comes."""
    inject(simulator, Effect.SILENCE)

    with pytest.raises(socket.timeout):
        raw(simulator, client, timeout=0.2)


def test_a_silent_token_leaves_imdsv1_answering(simulator: Simulator, client: Client) -> None:
    """The hop limit: only the answer to the PUT gets lost."""
    simulator.switch("imds_hop_limit")
    with socket.create_connection(address(simulator.endpoint), timeout=0.2) as connection:
        connection.sendall(b"PUT /latest/api/token HTTP/1.1\r\nX-aws-ec2-metadata-token-ttl-seconds: 60\r\n\r\n")
        with pytest.raises(socket.timeout):
            connection.recv(1)

    assert (client.get(LEAF).status, Client(simulator.endpoint).get(LEAF).status) == (200, 200)


def test_a_reset_is_a_reset(simulator: Simulator, client: Client) -> None:
    """RST, not an orderly end."""
    inject(simulator, Effect.RESET)

    with pytest.raises(ConnectionResetError):
        raw(simulator, client)


def test_a_drip_is_one_byte_at_a_time(simulator: Simulator, client: Client) -> None:
    """A first byte, and then hardly another."""
    inject(simulator, Effect.DRIP, seconds=5.0)

    assert raw(simulator, client, limit=1) == b"H"


def test_a_drip_comes_to_an_end(simulator: Simulator, client: Client) -> None:
    """All bytes arrive in the end, in their order."""
    inject(simulator, Effect.DRIP, Target.LISTING, seconds=0.0)

    assert raw(simulator, client, "meta-data/iam/security-credentials/").endswith(b"\r\n\r\nweb-server")


def test_a_truncated_answer_promises_more(simulator: Simulator, client: Client) -> None:
    """Content-Length is twice the number of bytes that arrive."""
    inject(simulator, Effect.TRUNCATED)
    head, _, body = raw(simulator, client).partition(b"\r\n\r\n")

    assert f"Content-Length: {2 * len(body)}".encode() in head


def test_an_empty_answer_is_a_success(simulator: Simulator, client: Client) -> None:
    """200 and nothing."""
    inject(simulator, Effect.EMPTY)
    answer = client.get(LEAF)

    assert (answer.status, answer.body, answer.headers["Content-Length"]) == (200, b"", "0")


def test_a_malformed_document_contains_all_secrets(simulator: Simulator, client: Client) -> None:
    """Not JSON, and dangerous to log."""
    inject(simulator, Effect.MALFORMED)
    body = client.get(LEAF).body.decode()

    with pytest.raises(json.JSONDecodeError):
        json.loads(body)
    assert sum(secret in body for secret in simulator.secrets) == 3


def test_a_page_can_come_with_status_200(simulator: Simulator, client: Client) -> None:
    """text/html where a name was asked for."""
    inject(simulator, Effect.HTML)
    answer = client.get(LEAF)

    assert (answer.status, answer.headers["Content-Type"], answer.body[:5]) == (200, "text/html", b"<?xml")


def test_what_is_not_http_contains_all_secrets_in_its_first_line(simulator: Simulator, client: Client) -> None:
    """A client that shows the bad status line shows the secrets."""
    inject(simulator, Effect.NOT_HTTP)
    line = raw(simulator, client).split(b"\r\n")[0].decode()

    assert line.startswith("{")
    assert sum(secret in line for secret in simulator.secrets) == 3


def test_invalid_utf8_is_in_the_body(simulator: Simulator, client: Client) -> None:
    """Two bytes that UTF-8 does not have."""
    inject(simulator, Effect.INVALID_UTF8)

    with pytest.raises(UnicodeDecodeError):
        client.get(LEAF).body.decode()


def test_a_huge_answer_has_ten_megabytes(simulator: Simulator, client: Client) -> None:
    """And says so in its head."""
    inject(simulator, Effect.HUGE)
    answer = client.get(LEAF)

    assert len(answer.body) == int(answer.headers["Content-Length"]) > HUGE


def test_a_client_may_leave_a_huge_answer(simulator: Simulator, client: Client) -> None:
    """The simulator serves the next one."""
    inject(simulator, Effect.HUGE)
    raw(simulator, client, limit=1)

    assert client.get("meta-data/instance-id").status == 200


def test_a_redirect_points_where_nobody_may_ask(simulator: Simulator, client: Client) -> None:
    """302 to a path of the same host, so that a test sees who follows."""
    inject(simulator, Effect.REDIRECT)
    answer = client.get(LEAF)

    assert (answer.status, answer.headers["Location"]) == (302, ELSEWHERE)


def test_gzip_is_said_and_not_meant(simulator: Simulator, client: Client) -> None:
    """A gzip head, and the secrets behind it."""
    inject(simulator, Effect.GZIP)
    answer = client.get(LEAF)

    assert (answer.headers["Content-Encoding"], answer.body[:3]) == ("gzip", b"\x1f\x8b\x08")


def test_headers_go_on_and_on(simulator: Simulator, client: Client) -> None:
    """More than any client should read: a hundred at least."""
    inject(simulator, Effect.ENDLESS_HEADERS)

    assert raw(simulator, client, limit=1 << 18).count(b"\r\nX-More-") > 100


@pytest.mark.parametrize("status", [401, 429, 500, 503])
def test_any_status_can_come(simulator: Simulator, client: Client, status: int) -> None:
    """With the page that goes with it, for the token, too."""
    inject(simulator, Effect.STATUS, Target.ANY, status=status)

    assert [client.get(LEAF).status, client.renew().status] == [status, status]


def test_latency_delays_and_changes_nothing(simulator: Simulator, client: Client) -> None:
    """Impatient clients get nothing, patient ones the document."""
    whole = raw(simulator, client)

    inject(simulator, Effect.LATENCY, seconds=60)
    with pytest.raises(socket.timeout):
        raw(simulator, client, timeout=0.1)
    inject(simulator, Effect.LATENCY, seconds=0.3)
    assert raw(simulator, client) == whole


def test_a_network_fault_affects_only_its_target(simulator: Simulator, client: Client) -> None:
    """Each target is hit by its own requests and by no others."""
    paths = {
        Target.INFO: "meta-data/iam/info",
        Target.LISTING: "meta-data/iam/security-credentials/",
        Target.CREDENTIALS: LEAF,
        Target.IDENTITY: "dynamic/instance-identity/document",
    }
    for target in paths:
        inject(simulator, Effect.STATUS, target, status=500)
        hit = {where for where, path in paths.items() if client.get(path).status == 500}
        assert hit == {target}
    inject(simulator, Effect.STATUS, Target.DOCUMENTS, status=500)
    assert [client.get(path).status for path in paths.values()] == [500] * 4


def test_a_network_fault_can_happen_once(simulator: Simulator, client: Client) -> None:
    """And once more when the scenario is entered anew."""
    seen = []
    for _ in range(2):
        simulator.switch("one_unauthorized")
        seen += [client.get("meta-data/iam/info").status for _ in range(3)]

    assert seen == [401, 200, 200] * 2
