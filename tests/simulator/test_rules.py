"""Each rule of IMDS, over real sockets."""

from __future__ import annotations

import re
import socket
from dataclasses import replace

import pytest

from rolewatch.simulator import Simulator
from rolewatch.simulator.conditions import HEALTHY
from simulator.client import Client, Clock, address

NOT_FOUND = b"""<?xml version="1.0" encoding="iso-8859-1"?>
<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Transitional//EN"
\t\t "http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd">
<html xmlns="http://www.w3.org/1999/xhtml" xml:lang="en" lang="en">
 <head>
  <title>404 - Not Found</title>
 </head>
 <body>
  <h1>404 - Not Found</h1>
 </body>
</html>
"""
TTL = "X-aws-ec2-metadata-token-ttl-seconds"
INFO = "meta-data/iam/info"
TTL_60 = {"X_aws_ec2_metadata_token_ttl_seconds": "60"}


def test_a_token_comes_as_recorded(client: Client) -> None:
    """56 bytes of text/plain without a newline, with the life that was asked for."""
    answer = client.renew(21600)

    assert (answer.status, len(answer.body), answer.body[-1:]) == (200, 56, b"=")
    assert answer.headers == {
        TTL: "21600",
        "Content-Type": "text/plain",
        "Content-Length": "56",
        "Date": "Sun, 01 Mar 2026 12:00:00 GMT",
        "Server": "EC2ws",
        "Connection": "close",
    }


def test_a_document_comes_as_recorded(client: Client) -> None:
    """text/plain although it is JSON, no newline at the end, and `Last-Modified` is its `LastUpdated`."""
    answer = client.get(INFO)

    assert answer.body.endswith(b"\n}")
    assert answer.headers == {
        TTL: "60",
        "Content-Type": "text/plain",
        "Accept-Ranges": "none",
        "Last-Modified": "Sun, 01 Mar 2026 11:39:28 GMT",
        "Content-Length": str(len(answer.body)),
        "Date": "Sun, 01 Mar 2026 12:00:00 GMT",
        "Server": "EC2ws",
        "Connection": "close",
    }
    assert b'"LastUpdated" : "2026-03-01T11:39:28Z"' in answer.body


def test_what_is_not_there_is_an_html_page(client: Client) -> None:
    """404: 339 bytes of text/html with a newline at the end, and the token's remaining life."""
    answer = client.get("meta-data/nothing")

    assert (answer.status, answer.body, len(answer.body)) == (404, NOT_FOUND, 339)
    assert (answer.headers["Content-Type"], answer.headers[TTL]) == ("text/html", "60")


def test_an_answer_has_the_remaining_lifetime_of_the_token(client: Client, clock: Clock) -> None:
    """The header of a GET is the remaining life, of a 404 likewise."""
    clock.move(seconds=45)

    assert [client.get(path).headers[TTL] for path in (INFO, "nothing")] == ["15", "15"]


def test_a_token_expires(client: Client, clock: Clock) -> None:
    """401 from the end of its life on."""
    clock.move(seconds=59)
    before = client.get(INFO).status
    clock.move(seconds=1)

    assert (before, client.get(INFO).status) == (200, 401)


@pytest.mark.parametrize("life", ["0", "21601", "-1", "abc", "1.5", ""])
def test_a_wrong_life_is_a_bad_request(client: Client, life: str) -> None:
    """400 to a PUT whose TTL is not 1 to 21600."""
    assert client.ask("PUT", "/latest/api/token", X_aws_ec2_metadata_token_ttl_seconds=life).status == 400


def test_a_missing_life_is_a_bad_request(client: Client) -> None:
    """400 to a PUT without the header."""
    assert client.ask("PUT", "/latest/api/token").status == 400


def test_a_get_without_a_token_is_unauthorized(simulator: Simulator) -> None:
    """401 where tokens are required; before it is said whether there is such a document."""
    client = Client(simulator.endpoint)

    assert [client.get(path).status for path in (INFO, "nothing")] == [401, 401]


def test_a_get_without_a_token_is_answered_where_tokens_are_optional(simulator: Simulator) -> None:
    """IMDSv1: the document comes, without a token's life."""
    simulator.switch("imdsv1_answered")
    answer = Client(simulator.endpoint).get(INFO)

    assert (answer.status, TTL in answer.headers) == (200, False)


def test_a_wrong_token_is_unauthorized_even_where_tokens_are_optional(client: Client, simulator: Simulator) -> None:
    """Who sends a token is held to it."""
    simulator.switch("imdsv1_answered")
    client.token = "AQAEAwrong=="  # noqa: S105 - not even one here

    assert client.get(INFO).status == 401


def test_a_forwarded_request_is_forbidden(client: Client) -> None:
    """403 to a PUT, and to a GET with a token, behind a proxy that says so."""
    put = client.ask("PUT", "/latest/api/token", b"", **TTL_60, X_Forwarded_For="198.51.100.7")

    assert (put.status, client.get(INFO, X_Forwarded_For="198.51.100.7").status) == (403, 403)


def test_a_disabled_endpoint_forbids_everything(client: Client, simulator: Simulator) -> None:
    """403 without a body to PUT and GET: not a time-out."""
    simulator.switch("imds_disabled")
    answers = [client.renew(), client.get(INFO), client.ask("GET", "/")]

    assert [(answer.status, answer.body) for answer in answers] == [(403, b"")] * 3


def test_a_token_is_only_to_be_had_under_latest(client: Client) -> None:
    """PUT to a dated version is 403."""
    answer = client.ask("PUT", "/2021-03-23/api/token", b"", **TTL_60)

    assert answer.status == 403


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("GET", "/latest/api/token", "OPTIONS, PUT"),
        ("POST", "/latest/api/token", "OPTIONS, PUT"),
        ("DELETE", "/latest/meta-data/iam/info", "OPTIONS, GET, HEAD"),
        ("PUT", "/latest/meta-data/iam/info", "OPTIONS, GET, HEAD"),
    ],
)
def test_a_wrong_method_is_answered_with_the_right_ones(client: Client, method: str, path: str, allow: str) -> None:
    """405 with Allow and no body."""
    answer = client.ask(method, path)

    assert (answer.status, answer.headers["Allow"], answer.body) == (405, allow, b"")


def test_an_expectation_fails(client: Client) -> None:
    """417 to `Expect: 100-continue`."""
    assert client.get(INFO, Expect="100-continue").status == 417


def test_head_is_get_without_the_body(client: Client) -> None:
    """The same headers, and nothing behind them."""
    get, head = client.get(INFO), client.ask("HEAD", "/latest/" + INFO)

    assert (head.headers, head.body) == (get.headers, b"")


def test_the_root_lists_the_versions(client: Client) -> None:
    """One a line, the newest name last."""
    lines = client.ask("GET", "/").body.decode().split("\n")

    assert (lines[0], lines[-1]) == ("1.0", "latest")
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\d", line) for line in lines[1:-1])


def test_a_dated_version_serves_what_there_was(client: Client) -> None:
    """`iam/` came in 2012, the partition in 2015; a version that never was is a 404."""
    paths = (
        "/2012-01-12/meta-data/iam/info",
        "/2011-05-01/meta-data/iam/info",
        "/2015-10-20/meta-data/services/partition",
        "/2014-11-05/meta-data/services/partition",
        "/2013-01-01/meta-data/instance-id",
    )

    assert [client.ask("GET", path).status for path in paths] == [200, 404, 200, 404, 404]


def test_an_old_version_does_not_list_what_came_later(client: Client) -> None:
    """The listing and the items agree."""
    old, new = (client.ask("GET", f"/{version}/meta-data/").body.decode() for version in ("2011-05-01", "latest"))

    assert ("iam/" in old.split("\n"), "iam/" in new.split("\n")) == (False, True)


@pytest.mark.parametrize(
    ("path", "listing"),
    [
        ("", "dynamic\nmeta-data"),
        ("dynamic/", "instance-identity/"),
        ("dynamic/instance-identity/", "document"),
        ("meta-data/iam/", "info\nsecurity-credentials/"),
        ("meta-data/iam", "info\nsecurity-credentials/"),
        ("meta-data/iam/security-credentials/", "web-server"),
        ("meta-data/iam/security-credentials", "web-server"),
        ("meta-data/placement/", "availability-zone\navailability-zone-id\nregion"),
        ("meta-data/public-keys/", "0=rolewatch-simulator"),
        ("meta-data/public-keys/0/", "openssh-key"),
        ("meta-data//placement//region", "eu-west-1"),
        ("meta-data/services/partition", "aws"),
        ("meta-data/iam/security-credentials/?x=y", "web-server"),
    ],
)
def test_a_directory_is_listed(client: Client, path: str, listing: str) -> None:
    """A name a line, directories with a slash, no newline at the end; with or without the slash."""
    answer = client.get(path)

    assert (answer.status, answer.body.decode()) == (200, listing)


@pytest.mark.parametrize(
    "path",
    [
        "meta-data/iam/security-credentials/another-role",
        "meta-data/iam/security-credentials/web-server/",
        "meta-data/iam/security-credentials-extended/",
        "meta-data/tags/instance/",
        "user-data",
        "meta-data/instance-id/",
        "meta-data/inst",
    ],
)
def test_what_is_optional_or_wrong_is_not_found(client: Client, path: str) -> None:
    """404: another role's name, tags that are not enabled, a document with a slash behind it."""
    assert client.get(path).status == 404


def test_everything_that_is_listed_is_there(client: Client, simulator: Simulator) -> None:
    """A walk through all listings, as cloud-init walks, finds no dead end."""
    simulator.enter(replace(HEALTHY, tags=(("Name", "web 1"),), container_roles=True))
    found, todo = [], ["meta-data/", "dynamic/"]
    while todo:
        path = todo.pop()
        answer = client.get(path)
        assert answer.status == 200, path
        found.append(path)
        if path.endswith("/"):
            names = (line.partition("=") for line in answer.body.decode().split("\n"))
            todo += [path + name + ("/" if equals else "") for name, equals, _ in names]

    assert len(found) > 60


def test_tags_are_served_where_they_are_enabled(client: Client, simulator: Simulator) -> None:
    """By key, the value as it is."""
    simulator.switch("instance_tags")

    assert client.get("meta-data/tags/instance/").body == b"ExpectedRole\nName\nteam"
    assert client.get("meta-data/tags/instance/ExpectedRole").body == b"web-server"


def test_a_role_name_may_be_quoted(client: Client, simulator: Simulator) -> None:
    """Percent-encoded or not: IAM allows + = , . @ - _ in names."""
    simulator.switch("odd_role_name")
    path = "meta-data/iam/security-credentials/"

    assert client.get(path + "App+web=1,eu.west@prod-_").status == 200
    assert client.get(path + "App%2Bweb%3D1%2Ceu.west%40prod-_").status == 200


def test_every_answer_closes_the_connection(simulator: Simulator) -> None:
    """The end of the stream follows the answer."""
    with socket.create_connection(address(simulator.endpoint), timeout=5) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: imds\r\n\r\n")
        received = b""
        while chunk := connection.recv(4096):
            received += chunk

    assert received.startswith(b"HTTP/1.1 401 Unauthorized\r\n")


@pytest.mark.parametrize(
    "nonsense",
    [
        b"\x16\x03\x01\x02\x00\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: " + b"x" * 40000 + b"\r\n\r\n",
        b"PUT / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"PUT / HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n",
        b"GET http://[/ HTTP/1.1\r\n\r\n",
    ],
    ids=["TLS", "one word", "too long", "negative length", "huge length", "no URL"],
)
def test_what_is_no_request_is_a_bad_request(simulator: Simulator, nonsense: bytes) -> None:
    """400, and the simulator goes on."""
    for _ in range(2):
        with socket.create_connection(address(simulator.endpoint), timeout=5) as connection:
            connection.sendall(nonsense)
            assert connection.recv(12) == b"HTTP/1.1 400"


def test_ipv6_is_served(clock: Clock) -> None:
    """The endpoint is written in brackets, and answers."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6 loopback")
    with Simulator(now=clock, host="::1") as simulator:
        assert simulator.endpoint.startswith("http://[::1]:")
        assert Client(simulator.endpoint).renew().status == 200
