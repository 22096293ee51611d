"""Whatever a server does to the client: a value or an `ImdsError`, in time, and no secret elsewhere."""

from __future__ import annotations

import contextlib
import errno
import gc
import gzip
import logging
import socket
import tempfile
import threading
import time
import tracemalloc
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Callable, Union

import pytest
import responses
from hypothesis import given, settings
from hypothesis import strategies as st

from forms import Form
from promises import Area, promise
from rolewatch.errors import ImdsError
from rolewatch.imds.client import Client, DatedImdsError, Document
from rolewatch.imds.transport import MAX_BODY, MAX_LINE, MAX_LINES, AnswerReader
from rolewatch.imds.transport import Wire as OnWire
from rolewatch.observation import Absent, Failure
from rolewatch.settings import ImdsSettings
from rolewatch.vocabulary import Phase, Reason, Responder
from stalls import STALL
from wire import (
    AT_ONCE,
    DATE,
    GRANT,
    HOLD,
    INFO_PATH,
    NOT_FOUND,
    RESET,
    ROLES_PATH,
    TOKEN,
    TOKEN_PATH,
    Drip,
    Pause,
    Play,
    Request,
    Script,
    Wire,
    answer,
    imds,
    not_listening,
)

INFO = "meta-data/iam/info"
INFO_BODY = b'{\n  "Code" : "Success"\n}'
INFO_ANSWER = answer(INFO_BODY)
KIND = imds({INFO_PATH: INFO_ANSWER})
MOMENT = datetime(2026, 11, 23, 17, 31, 25, tzinfo=timezone.utc)
PATIENT = 15.0
"""Seconds. Longer than any answer takes on a busy machine; a test that waits as long has failed."""
SHORT = 2 * STALL
"""Seconds of time-outs that are to be over, and not before the server has said what it says: what makes that late is a
stall, and then the test is played again."""

Seen = Union[Document, Failure, Absent]


def of(body: bytes) -> Document:
    """Return the document whose body is *body*."""
    return Document(bytearray(body))


def client(endpoint: str, *, timeout: float = PATIENT, deadline: float = 2 * PATIENT, attempts: int = 1) -> Client:
    """Return a client of *endpoint* with a real clock."""
    bounds = ImdsSettings(timeout=timeout, deadline=deadline, attempts=attempts)
    return Client(endpoint, bounds, monotonic=time.monotonic)


def poll(asked: Client, path: str = INFO) -> Seen:
    """Open a session and get one document. Anything but an answer or an `ImdsError` is raised, and fails the test."""
    try:
        return asked.session().get(path)
    except ImdsError as error:
        caught = error
    assert (caught.__cause__, caught.__context__) == (None, None), "requests' errors have the request, token included"
    return caught.failure


def play(*, token: bytes | Script = GRANT, info: bytes | Script = INFO_ANSWER) -> Play:
    """Play an IMDS that answers the PUT with *token* and the GET with *info*."""
    return imds({INFO_PATH: info}, token=token)


def poll_with(script: bytes | Script, phase: Phase, *, timeout: float = PATIENT, deadline: float = 2 * PATIENT) -> Seen:
    """Poll once an IMDS that plays *script* in *phase*, and assert that it was asked nothing but IMDSv2."""
    with Wire(play(token=script) if phase is Phase.TOKEN else play(info=script)) as wire:
        seen = poll(client(wire.endpoint, timeout=timeout, deadline=deadline))
    assert_only_v2(wire.requests)
    assert wire.connections == len(wire.requests)
    return seen


def assert_only_v2(requests: list[Request]) -> None:
    """Assert that each request is a PUT for a token, or a GET with that token."""
    for request in requests:
        if request.method == "PUT":
            assert request.path == TOKEN_PATH
        else:
            assert (request.method, request.headers.get("x-aws-ec2-metadata-token")) == ("GET", TOKEN)


@contextlib.contextmanager
def within(seconds: float) -> Iterator[None]:
    """Assert that the block takes no longer than *seconds*."""
    begun = time.monotonic()
    yield
    assert time.monotonic() - begun < seconds


BOTH_PHASES = pytest.mark.parametrize("phase", [Phase.TOKEN, Phase.DOCUMENT], ids=["token", "document"])


# What is asked.


def test_a_poll_is_a_put_and_a_get_with_its_token() -> None:
    """The PUT asks for a short-lived token; the GET shows it; the answer is the body as sent."""
    with Wire(KIND) as wire:
        session = client(wire.endpoint).session()
        document = session.get(INFO)

    put, get = wire.requests
    assert document == of(INFO_BODY)
    assert session.date == MOMENT
    assert (put.method, put.path) == ("PUT", TOKEN_PATH)
    assert put.headers["x-aws-ec2-metadata-token-ttl-seconds"] == "60"
    assert (get.method, get.path) == ("GET", INFO_PATH)
    assert get.headers["x-aws-ec2-metadata-token"] == TOKEN


def test_a_request_has_no_header_but_these() -> None:
    """No Expect (417), no X-Forwarded-For (403), no cookie, no authorization; and no token where none is due."""
    with Wire(KIND) as wire:
        poll(client(wire.endpoint))

    common = {"host", "accept", "accept-encoding", "user-agent"}
    assert set(wire.requests[0].headers) == {*common, "x-aws-ec2-metadata-token-ttl-seconds", "content-length"}
    assert set(wire.requests[1].headers) == {*common, "x-aws-ec2-metadata-token"}
    assert wire.requests[0].headers["content-length"] == "0"
    for request in wire.requests:
        assert request.headers["user-agent"].startswith("rolewatch")
        assert request.headers["accept-encoding"] == "identity"


def test_nothing_is_sent_before_a_session_is_opened() -> None:
    """To make a client costs nothing and asks nothing."""
    with Wire(KIND) as wire:
        client(wire.endpoint)

    assert wire.connections == 0


def test_a_session_asks_for_a_token_and_for_nothing_else() -> None:
    """Opening a session is one PUT."""
    with Wire(KIND) as wire:
        client(wire.endpoint).session()

    assert wire.seen == [("PUT", TOKEN_PATH)]


def test_every_session_gets_a_token_of_its_own() -> None:
    """No token is kept: the PUT is the path that breaks first."""
    with Wire(KIND) as wire:
        asked = client(wire.endpoint)
        poll(asked)
        poll(asked)

    assert [method for method, _ in wire.seen] == ["PUT", "GET", "PUT", "GET"]


def test_switched_off_asks_nothing_and_says_so() -> None:
    """AWS_EC2_METADATA_DISABLED: not one connection, and a reason of its own."""
    with Wire(KIND) as wire:
        seen = poll(Client(wire.endpoint, ImdsSettings(disabled=True), monotonic=time.monotonic))

    assert seen == Failure(Phase.CONNECT, Reason.SWITCHED_OFF)
    assert wire.connections == 0


@pytest.mark.parametrize(
    ("role", "path"),
    [
        ("Web+Server=,.@-_", "Web%2BServer%3D%2C.%40-_"),
        ("../../api/token", "..%2F..%2Fapi%2Ftoken"),
        ("a?b#c", "a%3Fb%23c"),
        ("a b\r\nX-Evil: 1", "a%20b%0D%0AX-Evil%3A%201"),
        ("Rôle\0", "R%C3%B4le%00"),
        ("half\udcff", "half%3F"),
    ],
)
def test_a_name_is_one_quoted_segment(role: str, path: str) -> None:
    """Whatever the name: it is one segment of the path, and makes neither folders nor headers, nor an exception."""
    with Wire(imds({ROLES_PATH + path: INFO_ANSWER})) as wire:
        document = client(wire.endpoint).session().get("meta-data/iam/security-credentials/", role=role)

    assert document == of(INFO_BODY)
    assert "x-evil" not in wire.requests[1].headers


def test_a_failure_names_the_document_without_the_role() -> None:
    """Evidence is for logs and labels: the role's name is not in the path."""
    with Wire(imds({ROLES_PATH + "Web": answer(status="500 Oops")})) as wire, pytest.raises(ImdsError) as caught:
        client(wire.endpoint).session().get("meta-data/iam/security-credentials/", role="Web")

    assert caught.value.failure.document == "meta-data/iam/security-credentials/<role>"


def test_the_same_over_ipv6() -> None:
    """An IPv6 endpoint is written in brackets, and asked in brackets."""
    try:
        wire = Wire(KIND, host="::1")
    except OSError as error:
        pytest.skip(f"no IPv6 loopback here: {error}")
    with wire:
        assert poll(client(wire.endpoint)) == of(INFO_BODY)

    assert wire.requests[0].headers["host"] == f"[::1]:{wire.port}"


def test_an_endpoint_may_end_with_a_slash() -> None:
    """``http://host:port/``, as the SDKs' variable is often set, is the same endpoint."""
    with Wire(KIND) as wire:
        assert poll(client(wire.endpoint + "/")) == of(INFO_BODY)


def test_neither_session_nor_document_shows_its_secrets() -> None:
    """The token and the body are secrets; a repr ends in logs and in tracebacks."""
    with Wire(KIND) as wire:
        session = client(wire.endpoint).session()

    assert repr(session) == "Session()"
    assert repr(of(b"secret")) == "Document(6 bytes)"
    assert str(of(b"secret")) == "Document(6 bytes)"


# Statuses.

STATUSES = {
    201: Reason.UNEXPECTED_STATUS,
    204: Reason.UNEXPECTED_STATUS,
    206: Reason.UNEXPECTED_STATUS,
    301: Reason.UNEXPECTED_STATUS,
    302: Reason.UNEXPECTED_STATUS,
    303: Reason.UNEXPECTED_STATUS,
    304: Reason.UNEXPECTED_STATUS,
    307: Reason.UNEXPECTED_STATUS,
    308: Reason.UNEXPECTED_STATUS,
    400: Reason.UNEXPECTED_STATUS,
    401: Reason.UNAUTHORIZED,
    403: Reason.FORBIDDEN,
    405: Reason.UNEXPECTED_STATUS,
    417: Reason.UNEXPECTED_STATUS,
    429: Reason.THROTTLED,
    500: Reason.SERVER_ERROR,
    502: Reason.SERVER_ERROR,
    503: Reason.SERVER_ERROR,
    599: Reason.SERVER_ERROR,
}
ENDPOINT = "http://127.0.0.1:1"


@responses.activate
@pytest.mark.parametrize(("status", "reason"), STATUSES.items(), ids=str)
def test_each_status_of_the_put_has_its_reason(status: int, reason: Reason) -> None:
    """The status is judged at the door and kept as evidence; there is no GET after it."""
    responses.put(f"{ENDPOINT}{TOKEN_PATH}", status=status, body=TOKEN, headers={"Location": f"{ENDPOINT}/x"})

    stranger = Responder.NOT_EC2 if reason is Reason.UNEXPECTED_STATUS else None
    assert poll(client(ENDPOINT)) == Failure(Phase.TOKEN, reason, "api/token", status=status, responder=stranger)
    assert [call.request.method for call in responses.calls] == ["PUT"]


@responses.activate
@pytest.mark.parametrize(("status", "reason"), STATUSES.items(), ids=str)
def test_each_status_of_a_get_has_its_reason(status: int, reason: Reason) -> None:
    """The same for a document: one GET, whatever the status; after a 401 one more, with a new token."""
    responses.put(f"{ENDPOINT}{TOKEN_PATH}", body=TOKEN)
    responses.get(f"{ENDPOINT}{INFO_PATH}", status=status, body=INFO_BODY, headers={"Location": f"{ENDPOINT}/x"})

    assert poll(client(ENDPOINT)) == Failure(Phase.DOCUMENT, reason, INFO, status=status)
    assert [call.request.method for call in responses.calls] == ["PUT", "GET"] * (2 if status == 401 else 1)


@responses.activate
def test_a_404_to_the_put_is_a_failure() -> None:
    """Whatever answers 404 to the PUT is no IMDSv2."""
    responses.put(f"{ENDPOINT}{TOKEN_PATH}", status=404)

    assert poll(client(ENDPOINT)) == Failure(
        Phase.TOKEN, Reason.UNEXPECTED_STATUS, "api/token", status=404, responder=Responder.NOT_EC2
    )


@responses.activate
def test_a_404_to_a_get_is_an_answer() -> None:
    """There is none, says IMDS: that is no failure."""
    responses.put(f"{ENDPOINT}{TOKEN_PATH}", body=TOKEN)
    responses.get(f"{ENDPOINT}{INFO_PATH}", status=404, body="<html>")

    assert isinstance(poll(client(ENDPOINT)), Absent)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@BOTH_PHASES
def test_a_redirect_is_never_followed(status: int, phase: Phase) -> None:
    """The session token goes to IMDS and nowhere else, over real sockets, too."""
    with Wire(KIND) as elsewhere:
        redirect = answer("moved", f"{status} Moved", headers={"Location": elsewhere.endpoint + INFO_PATH})
        seen = poll_with(redirect, phase)

    assert isinstance(seen, Failure)
    assert (seen.reason, seen.status) == (Reason.UNEXPECTED_STATUS, status)
    assert elsewhere.connections == 0


@pytest.mark.parametrize("location", ["http://[::1", "", "//", "\xff\xfe", "http://" + "a" * 300, "http://a:99999999/"])
def test_a_location_that_cannot_be_read_is_never_read(location: str) -> None:
    """A redirect is a status, whatever is in its Location."""
    seen = poll_with(answer("moved", "302 Found", headers={"Location": location}), Phase.DOCUMENT)

    assert seen == Failure(Phase.DOCUMENT, Reason.UNEXPECTED_STATUS, INFO, status=302)


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_not_slept_on(status: int) -> None:
    """When to ask again is the loop's business: the poll ends at once."""
    with within(PATIENT / 2):
        seen = poll_with(answer(status=f"{status} Slow Down", headers={"Retry-After": "3600"}), Phase.DOCUMENT)

    assert seen == Failure(Phase.DOCUMENT, Reason.THROTTLED, INFO, status=status)


# The token.


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        pytest.param(b"", Reason.EMPTY, id="empty"),
        pytest.param(b" \r\n", Reason.EMPTY, id="blank"),
        pytest.param(b"AQAE\r\nX-Evil: 1", Reason.MALFORMED, id="cr-lf"),
        pytest.param(b"AQAE AQAE", Reason.MALFORMED, id="blank-inside"),
        pytest.param(b"AQAE\0", Reason.MALFORMED, id="nul"),
        pytest.param(b"AQAE\xff", Reason.MALFORMED, id="not-ascii"),
        pytest.param(b"A" * 10_000, Reason.MALFORMED, id="10-kB"),
        pytest.param(b"<html><body>Sign in</body></html>", Reason.MALFORMED, id="html"),
        pytest.param(b"<html/>", Reason.MALFORMED, id="html-in-one-word"),
    ],
)
def test_what_cannot_be_a_token_is_never_sent_back(body: bytes, reason: Reason) -> None:
    """A token goes into a header: it is one printable word of a sane length, or the poll ends here."""
    with Wire(play(token=answer(body))) as wire, pytest.raises(DatedImdsError) as caught:
        client(wire.endpoint).session()

    assert caught.value.failure == Failure(Phase.TOKEN, reason, "api/token", status=200)
    assert caught.value.date == MOMENT
    assert wire.seen == [("PUT", TOKEN_PATH)]


def test_a_newline_behind_the_token_is_no_part_of_it() -> None:
    """Emulators end the token with a newline."""
    with Wire(play(token=answer(TOKEN + "\n"))) as wire:
        assert poll(client(wire.endpoint)) == of(INFO_BODY)

    assert_only_v2(wire.requests)


UNAUTHORIZED = answer(status="401 Unauthorized")


def fickle(*good: str) -> Play:
    """Play an IMDS that issues token-1, token-2, … and takes only those of *good*."""
    numbers = iter(range(1, 1 << 30))

    def take(request: Request) -> Script:
        if request.method == "PUT":
            return [answer(f"token-{next(numbers)}")]
        return [INFO_ANSWER if request.headers.get("x-aws-ec2-metadata-token") in good else UNAUTHORIZED]

    return take


def test_a_401_is_cured_with_a_new_token() -> None:
    """The token of this very poll is refused: a new one is asked for, and serves for the rest of the poll."""
    with Wire(fickle("token-2")) as wire:
        session = client(wire.endpoint).session()
        read = [session.get(INFO), session.get(INFO)]

    assert read == [of(INFO_BODY)] * 2
    assert [method for method, _ in wire.seen] == ["PUT", "GET", "PUT", "GET", "GET"]


def test_a_401_is_cured_once_in_a_poll() -> None:
    """An IMDS that refuses every token is asked for two, and not for one with each document."""
    with Wire(fickle()) as wire:
        session = client(wire.endpoint).session()
        for _ in range(3):
            with pytest.raises(ImdsError) as caught:
                session.get(INFO)
            assert caught.value.failure == Failure(Phase.DOCUMENT, Reason.UNAUTHORIZED, INFO, status=401)

    assert [method for method, _ in wire.seen] == ["PUT", "GET", "PUT", "GET", "GET", "GET"]


def test_a_401_without_a_new_token_blames_the_token() -> None:
    """The second PUT fails: that is the failure, and it comes without an exception behind it."""
    with Wire([GRANT], [UNAUTHORIZED], [answer(status="403 Forbidden")]) as wire:
        seen = poll(client(wire.endpoint))

    assert seen == Failure(Phase.TOKEN, Reason.FORBIDDEN, "api/token", status=403)
    assert wire.connections == 3


# The wire: connecting.


def test_refused_is_a_failure_to_connect() -> None:
    """Nothing listens, or a firewall rejects: the errno is the evidence."""
    with not_listening() as endpoint:
        seen = poll(client(endpoint))

    assert seen == Failure(Phase.CONNECT, Reason.REFUSED, "api/token", errno=111)


def test_refused_after_the_token_is_a_failure_to_connect() -> None:
    """Every request connects anew, and so a wall that goes up in mid-poll is noticed, with the document's path."""
    with Wire(KIND) as wire:
        session = client(wire.endpoint).session()
    with pytest.raises(ImdsError) as caught:
        session.get(INFO)

    assert caught.value.failure == Failure(Phase.CONNECT, Reason.REFUSED, INFO, errno=111)


@pytest.mark.parametrize(
    "endpoint", ["http://[", "http://127.0.0.1:99999999", "http://" + "a" * 300, "http://a..b", "ftp://127.0.0.1", "x"]
)
def test_an_endpoint_that_is_none_is_a_failure(endpoint: str) -> None:
    """The settings refuse such endpoints; if one comes through, the watching goes on all the same."""
    assert poll(client(endpoint)) == Failure(Phase.CONNECT, Reason.CONNECT_ERROR, "api/token", errno=None)


def test_a_full_backlog_is_a_connect_timeout() -> None:
    """Nobody answers the SYN, as behind a firewall that drops: a time-out while connecting, and no errno."""
    with socket.socket() as listener, contextlib.ExitStack() as waiting:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(8):  # Linux takes one more than the backlog says, and drops the SYN of the next.
            filler = waiting.enter_context(socket.socket())
            filler.setblocking(False)  # noqa: FBT003 - the standard library's own signature
            filler.connect_ex(listener.getsockname())
        with within(PATIENT):
            seen = poll(client(f"http://127.0.0.1:{listener.getsockname()[1]}", timeout=0.2))

    assert seen == Failure(Phase.CONNECT, Reason.CONNECT_TIMEOUT, "api/token")


# The wire: silence, drips, resets, closes.


@BOTH_PHASES
def test_silence_is_no_answer(phase: Phase) -> None:
    """Connected, and not a byte: on the token that is the hop limit."""
    with within(PATIENT):
        seen = poll_with([HOLD], phase, timeout=SHORT)

    assert isinstance(seen, Failure)
    assert (seen.phase, seen.reason, seen.errno) == (phase, Reason.NO_ANSWER, None)


@BOTH_PHASES
@pytest.mark.parametrize("sent", [1, 9, 40, 200], ids=["one-byte", "status-line", "headers", "body"])
def test_silence_in_mid_answer_is_slow(phase: Phase, sent: int) -> None:
    """An answer began and was not finished in time: that is no hop limit."""
    whole = answer("x" * 400)
    with within(PATIENT):
        seen = poll_with([whole[:sent], HOLD], phase, timeout=SHORT)

    assert isinstance(seen, Failure)
    assert (seen.phase, seen.reason) == (phase, Reason.SLOW)


@BOTH_PHASES
@pytest.mark.parametrize(
    "head",
    [
        pytest.param(b"", id="status-line"),
        pytest.param(b"HTTP/1.1 200 OK\r\n", id="headers"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n", id="body"),
        pytest.param(b"HTTP/1.1 200 OK\r\n\r\n", id="body-without-length"),
        pytest.param(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", id="chunk-size"),
        pytest.param(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffff\r\n", id="chunk"),
        pytest.param(b"HTTP/1.1 100 Continue\r\n", id="continue"),
        pytest.param(b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 60000\r\n\r\n", id="redirect"),
        pytest.param(b"HTTP/1.1 503 Slow\r\nContent-Length: 60000\r\n\r\n", id="error"),
    ],
)
def test_a_drip_cannot_stretch_the_deadline(phase: Phase, head: bytes) -> None:
    """One byte at a time keeps each read within its time-out for ever; the deadline of the poll ends it, everywhere."""
    begun = time.monotonic()
    seen = poll_with([head, Drip(b"0" * 1000, 0.03)], phase, timeout=0.4, deadline=0.5)
    taken = time.monotonic() - begun

    assert isinstance(seen, Failure)
    assert (seen.phase, seen.reason) == (phase, Reason.SLOW)
    assert 0.4 < taken < PATIENT / 2


def test_the_deadline_is_the_whole_polls() -> None:
    """Answers that are each in time, and together are not: the deadline runs from the session on."""
    with Wire(play(token=[Pause(0.6), GRANT], info=[Pause(0.6), INFO_ANSWER])) as wire:
        begun = time.monotonic()
        session = client(wire.endpoint, timeout=1.2, deadline=1.5).session()
        assert session.get(INFO) == of(INFO_BODY)
        with pytest.raises(ImdsError) as late:
            session.get(INFO)
        with pytest.raises(ImdsError) as too_late:
            session.get(INFO)
        taken = time.monotonic() - begun

    assert late.value.failure == Failure(Phase.DOCUMENT, Reason.NO_ANSWER, INFO)
    assert too_late.value.failure == Failure(Phase.DOCUMENT, Reason.SLOW, INFO)
    assert taken < 2.4
    assert wire.connections == 3


def test_the_next_poll_has_a_deadline_of_its_own() -> None:
    """A poll that ran out of time takes nothing from the next."""
    with Wire([HOLD], KIND) as wire:
        asked = client(wire.endpoint, timeout=SHORT, deadline=SHORT)
        assert poll(asked) == Failure(Phase.TOKEN, Reason.NO_ANSWER, "api/token")

        assert poll(asked) == of(INFO_BODY)


@BOTH_PHASES
@pytest.mark.parametrize(
    "script",
    [
        pytest.param([RESET], id="after-the-request"),
        pytest.param([b"HTTP/1.1 2", RESET], id="status-line"),
        pytest.param([b"HTTP/1.1 200 OK\r\nDate: Mon", RESET], id="headers"),
        pytest.param([b"HTTP/1.1 200 OK\r\nContent-Length: 56\r\n\r\nAQAE", RESET], id="body"),
        pytest.param([b"HTTP/1.1 200 OK\r\n\r\nAQAE", RESET], id="body-without-length"),
        pytest.param([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nAQ", RESET], id="chunk"),
        pytest.param([b"HTTP/1.1 404 Not Found\r\nContent-Length: 339\r\n\r\n<", RESET], id="not-found"),
    ],
)
def test_a_reset_is_a_reset_at_every_stage(phase: Phase, script: Script) -> None:
    """RST, whenever it comes: the reason and the errno say so."""
    seen = poll_with(script, phase)

    assert isinstance(seen, Failure)
    assert (seen.phase, seen.reason, seen.errno) == (phase, Reason.RESET, 104)


@pytest.mark.parametrize("script", [[AT_ONCE, RESET], [AT_ONCE]], ids=["reset", "closed"])
def test_a_peer_that_hangs_up_at_once_is_a_reset(script: Script) -> None:
    """Hung up before the request was read, perhaps while still connecting: no answer was begun."""
    with Wire(script) as wire:
        seen = poll(client(wire.endpoint))

    assert isinstance(seen, Failure)
    assert (seen.phase, seen.reason, seen.errno) in {
        (Phase.CONNECT, Reason.CONNECT_ERROR, errno.ECONNRESET),
        (Phase.TOKEN, Reason.RESET, errno.ECONNRESET),
        (Phase.TOKEN, Reason.RESET, errno.EPIPE),
        (Phase.TOKEN, Reason.RESET, None),
    }


def test_a_reset_before_the_request_is_sent_is_a_reset() -> None:
    """Connected, and gone before the first byte could be sent: the clock, asked before each step, waits for that."""
    connected = threading.Event()
    with Wire([AT_ONCE, connected, RESET]) as wire:
        reads = iter(range(1 << 30))

        def clock() -> float:
            if next(reads) == 2:  # After that for the deadline and that before connecting: the one before sending.
                connected.set()
                wire.hung_up.wait(PATIENT)
            return 0.0

        seen = poll(Client(wire.endpoint, ImdsSettings(timeout=PATIENT), monotonic=clock))

    assert seen == Failure(Phase.TOKEN, Reason.RESET, "api/token", errno=errno.ECONNRESET)


@BOTH_PHASES
def test_a_close_without_a_byte_is_a_reset(phase: Phase) -> None:
    """FIN instead of an answer."""
    seen = poll_with([], phase)

    assert isinstance(seen, Failure)
    assert (seen.phase, seen.reason, seen.errno) == (phase, Reason.RESET, None)


@pytest.mark.parametrize(
    ("whole", "phase"),
    [
        pytest.param(GRANT, Phase.TOKEN, id="token"),
        pytest.param(INFO_ANSWER, Phase.DOCUMENT, id="document"),
        pytest.param(NOT_FOUND, Phase.DOCUMENT, id="not-found"),
    ],
)
def test_every_prefix_of_a_good_answer_is_a_failure(whole: bytes, phase: Phase) -> None:
    """Closed after each byte in turn: a failure each time, and no half answer is taken for a 404 or a token."""
    head = whole.index(b"\r\n\r\n") + 4
    scripts: list[Script | Play] = []
    for length in range(len(whole)):
        scripts += [[whole[:length]]] if phase is Phase.TOKEN else [[GRANT], [whole[:length]]]
    with Wire(*scripts, KIND) as wire:
        asked = client(wire.endpoint)
        for length in range(len(whole)):
            seen = poll(asked)
            expected = Reason.TRUNCATED if length >= head else Reason.RESET
            assert isinstance(seen, Failure), f"{whole[:length]!r} was taken for an answer"
            assert (length, seen.phase, seen.reason) == (length, phase, expected)
        assert poll(asked) == of(INFO_BODY)
    assert_only_v2(wire.requests)


# The wire: what is not quite HTTP.


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"HTTP/1.0 200 OK\r\n\r\n" + INFO_BODY, id="http-1.0"),
        pytest.param(b"HTTP/1.1 200 OK\r\n\r\n" + INFO_BODY, id="no-headers"),
        pytest.param(b"HTTP/1.1 200\r\n\r\n" + INFO_BODY, id="no-phrase"),
        pytest.param(b"HTTP/1.1 200 OK\n\n" + INFO_BODY, id="bare-lf"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX-N: \xff\xfe\x00\r\n\r\n" + INFO_BODY, id="binary-header"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: \t24 \t\r\n\r\n" + INFO_BODY, id="blanks-around-length"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 00024\r\n\r\n" + INFO_BODY, id="zeros-before-length"),
        pytest.param(b"HTTP/1.1 100 Continue\r\n\r\n" + INFO_ANSWER, id="continue"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n"
            + INFO_BODY[:4]
            + b"\r\n%x;a=b\r\n" % len(INFO_BODY[4:])
            + INFO_BODY[4:]
            + b"\r\n0\r\nX-Trailer: 1\r\n\r\n",
            id="chunked",
        ),
        pytest.param(INFO_ANSWER + b"more than was promised", id="more-than-promised"),
    ],
)
def test_what_other_clients_would_read_is_read(body: bytes) -> None:
    """Emulators and proxies speak HTTP in their own ways; the document arrives whole."""
    assert poll_with(body, Phase.DOCUMENT) == of(INFO_BODY)


@BOTH_PHASES
@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"<html>hello</html>\n", id="http-0.9"),
        pytest.param(b"\r\n" + INFO_ANSWER, id="blank-line-first"),
        pytest.param(b"SSH-2.0-OpenSSH_9.2p1\r\n", id="ssh"),
        pytest.param(b"\x15\x03\x01\x00\x02\x02\x46\n", id="tls-alert"),
        pytest.param(b"HTTP/2.0 200 OK\r\n\r\n", id="http-2"),
        pytest.param(b"HTTP/1.1 OK\r\n\r\n", id="no-status"),
        pytest.param(b"HTTP/1.1 20 OK\r\n\r\n", id="status-too-low"),
        pytest.param(b"HTTP/1.1 2000 OK\r\n\r\n", id="status-too-high"),
        pytest.param(b"HTTP/1.1 -200 OK\r\n\r\n", id="status-below-zero"),
    ],
)
def test_what_is_not_http_is_malformed(phase: Phase, body: bytes) -> None:
    """Somebody else listens there."""
    seen = poll_with(body, phase)

    assert isinstance(seen, Failure)
    assert (seen.phase, seen.reason) == (phase, Reason.MALFORMED)


@BOTH_PHASES
@pytest.mark.parametrize("body", [b"web-", b"web-server"], ids=["cut off", "whole"])
@pytest.mark.parametrize(
    "lines",
    [
        b"Content-Length: many",
        b"Content-Length: -5",
        b"Content-Length: +10",
        b"Content-Length: 1_0",
        b"Content-Length: 10\x0b",
        b"Content-Length: \xa010",
        b"Content-Length: \xb9\xb2",
        b"Content-Length: 1\r\n 0",
        b"Content-Length: 10, 10",
        b"Content-Length: 10,",
        b"Content-Length:",
        b"Content-Length: 10\r\nContent-Length: 10",
        b"Content-Length: 4\r\nContent-Length: 10",
        b"Content-Length: 4\r\nContent-Length:",
        b"Content-Length : 10",
        b"X Y\r\nContent-Length: 10",
        b" X: Y\r\nContent-Length: 10",
    ],
    ids=repr,
)
def test_a_length_that_is_no_number_is_malformed(phase: Phase, lines: bytes, body: bytes) -> None:
    """Parsers read it each in its own way, so nobody knows whether the body is whole."""
    seen = poll_with(_OK + lines + b"\r\n\r\n" + body, phase)

    assert isinstance(seen, Failure)
    assert (seen.phase, seen.reason) == (phase, Reason.MALFORMED)


@BOTH_PHASES
@pytest.mark.parametrize(
    "lines",
    [
        b"Transfer-Encoding: gzip, chunked",
        b"Transfer-Encoding: chunked, gzip",
        b"Transfer-Encoding: gzip",
        b"Transfer-Encoding: identity",
        b"Transfer-Encoding: chunked ",
        b"Transfer-Encoding: \x0bchunked",
        b"Transfer-Encoding:",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip",
        b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding: chunked\r\nContent-Length: 10",
    ],
    ids=repr,
)
def test_a_transfer_encoding_but_chunked_is_malformed(phase: Phase, lines: bytes) -> None:
    """A body whose encoding is not undone is no document: the size of its first chunk would be the first line."""
    seen = poll_with(_OK + lines + b"\r\n\r\n3\r\nweb\r\n0\r\n\r\n", phase)

    assert isinstance(seen, Failure)
    assert (seen.phase, seen.reason) == (phase, Reason.MALFORMED)


@BOTH_PHASES
def test_every_prefix_of_chunks_is_truncated(phase: Phase) -> None:
    """Closed within a chunk, or in the line before one: `0` of `0a` is not the last chunk."""
    head, chunks = _OK + b"Transfer-Encoding: chunked\r\n\r\n", b"04\r\nweb-\r\n06;x=y\r\nserver\r\n0\r\n"
    for length in range(len(chunks)):
        seen = poll_with(head + chunks[:length], phase)
        assert isinstance(seen, Failure), f"{chunks[:length]!r} was taken for an answer"
        assert (length, seen.phase, seen.reason) == (length, phase, Reason.TRUNCATED)


@BOTH_PHASES
@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_a_status_without_a_body_is_whole_without_one(phase: Phase, status: str) -> None:
    """Its Content-Length is that of another answer (RFC 9110, section 8.6)."""
    seen = poll_with(f"HTTP/1.1 {status}\r\nContent-Length: 10\r\n\r\n".encode(), phase)

    assert isinstance(seen, Failure)
    assert (seen.phase, seen.reason, seen.status) == (phase, Reason.UNEXPECTED_STATUS, int(status[:3]))


@pytest.mark.parametrize(
    "size",
    [b"zz", b"-5", b"-ffffffff", b"", b"0x4", b"4 4", b"ffffffffffffffffffff", b"f" * 60_000, b"1_0", b"\xff", b"+4"],
    ids=lambda size: repr(size)[2:20],
)
@pytest.mark.parametrize("end", [b"", b"\r\n0\r\n\r\n"], ids=["closed", "ended"])
def test_a_bad_chunk_size_is_an_answer_or_a_failure_in_time(size: bytes, end: bytes) -> None:
    """No chunk size makes the client hang, spin or raise; what comes out is a part of what was sent, if anything."""
    with within(PATIENT / 2):
        seen = poll_with(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + size + b"\r\nabcd" + end, Phase.DOCUMENT
        )

    assert isinstance(seen, Failure) or (isinstance(seen, Document) and seen.body in b"abcd" + end)


def test_a_length_that_is_too_short_cuts_the_body() -> None:
    """What lies beyond Content-Length is no part of the answer: the parser sees a document cut off."""
    assert poll_with(answer(INFO_BODY, length=5), Phase.DOCUMENT) == of(INFO_BODY[:5])


@BOTH_PHASES
@pytest.mark.parametrize("length", [57, 339, 10**9, 10**30], ids=str)
@pytest.mark.parametrize("status", ["200 OK", "404 Not Found"])
def test_a_length_that_is_too_long_is_truncated(phase: Phase, length: int, status: str) -> None:
    """Fewer bytes than promised are no answer, whichever the status: a cut-off 404 is no 404."""
    seen = poll_with(answer("x" * 56, status, length=length), phase)

    assert isinstance(seen, Failure)
    assert (seen.phase, seen.reason) == (phase, Reason.TRUNCATED)


@BOTH_PHASES
@pytest.mark.parametrize(
    ("head", "endless"),
    [
        pytest.param(b"", b"HTTP/1.1 100 Continue\r\n\r\n", id="continue"),
        pytest.param(b"", b"A", id="status-line"),
        pytest.param(b"HTTP/1.1 200 OK\r\n", b"X-N: 1\r\n", id="headers"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX-N: ", b"v", id="header-line"),
        pytest.param(b"HTTP/1.1 200 OK\r\n\r\n", b"body", id="body"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 10485760\r\n\r\n", b"body", id="body-as-promised"),
        pytest.param(b"HTTP/1.1 404 Not Found\r\n\r\n", b"body", id="not-found"),
        pytest.param(b"HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n", b"body", id="redirect"),
        pytest.param(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\n", id="chunks"),
        pytest.param(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"X-T: 1\r\n", id="trailers"),
    ],
)
def test_a_flood_ends_at_the_bound(phase: Phase, head: bytes, endless: bytes) -> None:
    """10 MiB of anything: the client hangs up early, with little memory, and says that it was too much or no HTTP."""
    flood = head + endless * (10 * 1024 * 1024 // len(endless))
    with Wire(play(token=flood) if phase is Phase.TOKEN else play(info=flood)) as wire, within(PATIENT):
        asked = client(wire.endpoint)
        tracemalloc.start()
        try:
            seen = poll(asked)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert isinstance(seen, Failure)
    assert seen.phase is phase
    assert seen.reason in {Reason.TOO_LARGE, Reason.MALFORMED}
    assert peak < 1024 * 1024


@pytest.mark.parametrize("size", [MAX_BODY - 1, MAX_BODY])
@pytest.mark.parametrize("promise", [True, False], ids=["length", "until-close"])
def test_a_body_up_to_the_bound_is_read(size: int, *, promise: bool) -> None:
    """The bound itself is still a body."""
    body = b"x" * size
    whole = answer(body) if promise else b"HTTP/1.0 200 OK\r\n\r\n" + body

    assert poll_with(whole, Phase.DOCUMENT) == of(body)


@pytest.mark.parametrize("promise", [True, False], ids=["length", "until-close"])
def test_one_byte_beyond_the_bound_is_too_large(*, promise: bool) -> None:
    """And no part of it is handed on."""
    body = b"x" * (MAX_BODY + 1)
    whole = answer(body) if promise else b"HTTP/1.0 200 OK\r\n\r\n" + body

    assert poll_with(whole, Phase.DOCUMENT) == Failure(Phase.DOCUMENT, Reason.TOO_LARGE, INFO, status=200)


# Encodings.


def test_a_gzipped_document_is_not_unpacked() -> None:
    """Nobody asked for it; the bytes go to the parser as they came."""
    packed = gzip.compress(INFO_BODY)

    assert poll_with(answer(packed, headers={"Content-Encoding": "gzip"}), Phase.DOCUMENT) == of(packed)


@pytest.mark.parametrize("status", ["200 OK", "302 Found", "404 Not Found", "503 Slow Down"])
@BOTH_PHASES
def test_a_bomb_is_not_unpacked(phase: Phase, status: str) -> None:
    """A kilobyte that unpacks to 32 MiB costs a kilobyte, in redirects, too, whose bodies requests likes to read."""
    bomb = gzip.compress(gzip.compress(bytes(32 * 1024 * 1024), 1), 9)
    headers = {"Content-Encoding": "gzip, gzip", "Location": "/"}
    assert peak_of(answer(bomb, status, headers=headers), phase) < 1024 * 1024


@BOTH_PHASES
def test_a_thousand_encodings_cost_nothing(phase: Phase) -> None:
    """Old urllib3 makes a decoder for each encoding that a header names."""
    many = {"Content-Encoding": "gzip," * 10_000 + "gzip"}

    assert peak_of(answer(TOKEN, headers=many), phase) < 1024 * 1024


@BOTH_PHASES
def test_fifteen_thousand_cookies_cost_nothing(phase: Phase) -> None:
    """Parsed they would take 3 MiB, though no jar takes one."""
    many = {"Set-Cookie": "a=b;" * 15_000}

    assert peak_of(answer(TOKEN, headers=many), phase) < 1024 * 1024


def peak_of(script: bytes, phase: Phase) -> int:
    """Return the bytes of memory that one poll takes at most while the server plays *script*."""
    poll_with(GRANT if phase is Phase.TOKEN else INFO_ANSWER, phase)  # so that what is imported late is there
    tracemalloc.start()
    try:
        poll_with(script, phase)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


# Connections, cookies, the environment.


def test_a_connection_is_never_used_twice() -> None:
    """A server that would keep the connection gets a new one for each request, and the old one is closed."""
    keep = {"Connection": "keep-alive", "Keep-Alive": "timeout=60"}
    grant, info = answer(TOKEN, headers=keep), answer(INFO_BODY, headers=keep)
    with Wire(play(token=[grant, HOLD], info=[info, HOLD])) as wire:
        asked = client(wire.endpoint)
        for _ in range(3):
            assert poll(asked) == of(INFO_BODY)

    assert wire.connections == len(wire.requests) == 6


def test_a_cookie_is_not_kept() -> None:
    """What Set-Cookie says is not said again."""
    cookie = {"Set-Cookie": "a=b; Path=/; Max-Age=3600"}
    with Wire(play(token=answer(TOKEN, headers=cookie), info=answer(INFO_BODY, headers=cookie))) as wire:
        asked = client(wire.endpoint)
        poll(asked)
        poll(asked)

    assert not [request for request in wire.requests if "cookie" in request.headers]


def test_proxies_and_netrc_of_the_environment_are_ignored(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What is read from IMDS is a secret: no proxy sees the request, and IMDS sees no password."""
    netrc = tmp_path / ".netrc"
    netrc.write_text("default login me password swordfish\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(netrc))
    with Wire(KIND) as wire, Wire(KIND) as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "https_proxy"):
            monkeypatch.setenv(name, proxy.endpoint)
        monkeypatch.setenv("no_proxy", "example.com")
        monkeypatch.setenv("NO_PROXY", "example.com")
        seen = poll(client(wire.endpoint))

    assert seen == of(INFO_BODY)
    assert proxy.connections == 0
    assert not [request for request in wire.requests if "authorization" in request.headers]


@promise(
    Area.IMDS,
    "The token is refused, is not there, is empty, or never comes",
    "Nothing is asked without one: there is no way back to IMDSv1",
)
@pytest.mark.parametrize("token", [answer(status="403 Forbidden"), NOT_FOUND, answer(""), b"", [RESET]], ids=range(5))
def test_there_is_no_way_back_to_imdsv1(token: bytes | Script) -> None:
    """The server would answer without a token, and is never asked: a poll that gets no token ends with its PUT."""
    with Wire(play(token=token)) as wire:
        asked = client(wire.endpoint, attempts=2)
        for _ in range(3):
            assert isinstance(poll(asked), Failure)

    assert {method for method, _ in wire.seen} == {"PUT"}


# Attempts.


@pytest.mark.parametrize(("attempts", "read"), [(1, False), (2, False), (3, True), (4, True)])
def test_a_request_is_tried_as_often_as_the_settings_say(attempts: int, *, read: bool) -> None:
    """Two resets, then an answer: it takes three attempts, and no more are made."""
    with Wire([RESET], [RESET], KIND) as wire:
        seen = poll(client(wire.endpoint, attempts=attempts))

    assert (seen == of(INFO_BODY)) is read
    assert wire.connections == (4 if read else attempts)


def test_a_status_is_an_answer_and_not_tried_again() -> None:
    """To ask a throttling IMDS again at once would make it worse."""
    with Wire(play(token=answer(status="503 Slow Down"))) as wire:
        poll(client(wire.endpoint, attempts=3))

    assert wire.connections == 1


def test_attempts_neither_stretch_the_deadline_nor_change_the_evidence() -> None:
    """The last attempt runs out of the poll's time: what stopped the answers is still what is reported."""
    with Wire([HOLD]) as wire:
        begun = time.monotonic()
        seen = poll(client(wire.endpoint, attempts=100, timeout=0.2, deadline=0.5))
        taken = time.monotonic() - begun

    assert seen == Failure(Phase.TOKEN, Reason.NO_ANSWER, "api/token")
    assert taken < PATIENT / 2


# IMDS's clock.


def date_of(header: str | None, status: str = "200 OK") -> datetime | None:
    """Return the date that a session notes when the PUT is answered with the `Date` *header*."""
    line = "" if header is None else f"Date: {header}\r\n"
    whole = f"HTTP/1.1 {status}\r\nContent-Length: {len(TOKEN)}\r\n{line}\r\n{TOKEN}".encode("latin-1")
    with Wire([whole]) as wire:
        try:
            return client(wire.endpoint).session().date
        except DatedImdsError as error:
            return error.date


@pytest.mark.parametrize("status", ["200 OK", "403 Forbidden", "503 Slow Down"])
def test_the_date_is_noted_whatever_the_status(status: str) -> None:
    """A refusal has IMDS's time, too."""
    assert date_of(DATE, status) == MOMENT


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "now",
        "(" * 3_000,
        "Mon, 23 Nov 2026",
        "Mon, 23 Nov 2026 17:31:25",
        "Mon, 23 Nov 2026 17:31:25 -0000",
        "Mon, 23 Nov 99999 17:31:25 GMT",
        "Mon, 99 Nov 2026 17:31:25 GMT",
        "Mon, 23 Nov 2026 17:31:61 GMT",
        "Mon, 23 Nov 2026 17:31:25 +9999999",
        "Mon, 23 Nov 2026 17:31:" + "1" * 3_000 + " GMT",
        "Fri, 31 Dec 9999 23:59:59 -2359",
        "\xb2, \xb2 \xb2 \xb2 \xb2:\xb2:\xb2 \xb2",
    ],
    ids=lambda header: repr(header)[:40],
)
def test_a_date_that_is_none_is_not_noted(header: str | None) -> None:
    """No time, no zone, or a time that no clock shows: IMDS's clock is unknown then, and nothing breaks."""
    assert date_of(header) is None


def test_a_date_is_utc_whatever_its_zone() -> None:
    """HTTP knows GMT only; another zone is turned into UTC."""
    date = date_of("Mon, 23 Nov 2026 18:31:25 +0100")

    assert date == MOMENT
    assert date is not None
    assert date.utcoffset() == timedelta(0)


def test_an_answer_without_a_date_keeps_the_last_one() -> None:
    """The clock is that of the last answer that has a Date."""
    with Wire(play(info=b"HTTP/1.1 200 OK\r\n\r\n" + INFO_BODY)) as wire:
        session = client(wire.endpoint).session()
        session.get(INFO)

    assert session.date == MOMENT


# Whatever may come.

_PIECES = st.sampled_from(
    b"\r\n|\n|\r|: |\0|\xff|HTTP/1.1 |200|404|302|100|-1|Content-Length: |Transfer-Encoding: chunked\r\n|"
    b"Location: //\r\n|Content-Encoding: gzip\r\n|Set-Cookie: |Date: |\r\n\r\n|ffff\r\n|0\r\n\r\n| |{|token".split(b"|")
)
_GARBAGE = st.lists(_PIECES | st.binary(max_size=6), max_size=12).map(b"".join)
_SPOILT = st.tuples(st.sampled_from([INFO_ANSWER, NOT_FOUND, GRANT]), st.integers(0, 200), _GARBAGE).map(
    lambda drawn: drawn[0][: drawn[1]] + drawn[2] + drawn[0][drawn[1] + len(drawn[2]) :]
)


@BOTH_PHASES
def test_no_bytes_make_the_client_raise_or_hang(phase: Phase, form: Form) -> None:
    """Garbage and spoilt answers: a document, a 404 or a failure, in time; and the next good poll is good."""
    script: list[bytes] = [b""]

    def spoil(request: Request) -> Script:
        spoilt = (request.method == "PUT") is (phase is Phase.TOKEN)
        return [script[0]] if spoilt else KIND(request)

    with Wire(spoil) as wire:
        asked = client(wire.endpoint)

        @settings(max_examples=form.pick(quick=30, short=150, long=150))
        @given(whole=_GARBAGE | _SPOILT)
        def total(whole: bytes) -> None:
            script[0] = whole
            with within(PATIENT / 2):
                poll(asked)
            script[0] = GRANT if phase is Phase.TOKEN else INFO_ANSWER
            assert poll(asked) == of(INFO_BODY)

        total()


@pytest.mark.parametrize(
    "line",
    [
        b"Set-Cookie: " + b"a=b;" * 12_000,
        b"Set-Cookie: a=b; expires=" + b" " * 50_000 + b"1",
        b"Set-Cookie: a=b; expires=1-1-1 1:1:" + b"1" * 50_000,
        b"Set-Cookie: " + b'="\\' * 16_000,
        b"Date: " + b"1 " * 25_000,
        b"Date: " + b"1" * 50_000,
        b"Date: " + b":" * 50_000,
        b"Content-Type: " + b"a;" * 25_000,
        b'Content-Type: multipart/x; a="' + b";" * 65_000,
        b'Content-Type: multipart/x; a="\r\n' + (b" " + b";" * 700 + b"\r\n") * 90,
        b"Content-Type: multipart/x" + b";a" * 30_000,
        b"Content-Type: multipart/x; boundary=" + b"a" * 60_000,
        b"Content-Type: text/plain; charset=" + b"'" * 50_000,
        b"Content-Length: " + b"1" * 50_000,
        b"Content-Length: " + b"1," * 25_000,
        b"Transfer-Encoding: " + b"chunked," * 6_000,
        b"Content-Encoding: " + b"gzip," * 10_000,
        b"Link: " + b"<" * 50_000,
        b"WWW-Authenticate: " + b"," * 50_000,
        b'Content-Type: multipart/x; a="' + b";" * 60_000,
        b'Content-Type: multipart/x; b="\r\n' + b"\r\n".join([b" " + b";" * 5_000] * 12),
        b'X-A: a\rContent-Type: multipart/x; c="' + b";" * 8_000,
        b'X-B: b\r\n\tc\rContent-Type: multipart/x; d="\r' + b"\r\n".join([b" " + b";" * 5_000] * 12),
        b"X-C: c\r" + b"Content-Type: message/rfc822\r\r" * 200,
    ],
    ids=lambda line: line[:40].decode().replace("\r", "|").replace("\n", ""),
)
def test_no_header_burns_time(line: bytes) -> None:
    """No parser gets 50 kB in one header, folded or not, so no poll takes long."""
    begun = time.process_time()
    seen = poll_with(b"HTTP/1.1 200 OK\r\n" + line + b"\r\n\r\n" + INFO_BODY, Phase.DOCUMENT)

    assert seen == Failure(Phase.DOCUMENT, Reason.TOO_LARGE, INFO)
    assert time.process_time() - begun < CPU


CPU = 0.2
"""Seconds of CPU that one poll of two answers may take, the scripted server included. It takes 0.01."""
_OK = b"HTTP/1.1 200 OK\r\n"
_CHUNKED = _OK + b"Transfer-Encoding: chunked\r\n\r\n"


@BOTH_PHASES
@pytest.mark.parametrize(
    ("head", "line", "tail"),
    [
        pytest.param(_OK, b"X-N: " + b"v" * 95 + b"\r\n", b"\r\n", id="headers"),
        pytest.param(_OK + b"X-N: 1\r\n", b" " + b"v" * 95 + b"\r\n", b"\r\n", id="folded header"),
        pytest.param(b"", b"HTTP/1.1 100 Continue\r\n\r\n", INFO_ANSWER, id="1xx"),
        pytest.param(
            b"HTTP/1.1 100 Continue\r\n", b"X-N: " + b"v" * 95 + b"\r\n", b"\r\n" + INFO_ANSWER, id="1xx headers"
        ),
        pytest.param(_CHUNKED, b"1\r\nA\r\n", b"0\r\n\r\n", id="chunks"),
        pytest.param(_CHUNKED, b"1;" + b"a" * 20 + b"\r\nA\r\n", b"0\r\n\r\n", id="chunk extensions"),
        pytest.param(_CHUNKED + b"1\r\nA\r\n0\r\n", b"X-T: 1\r\n", b"\r\n", id="trailers"),
    ],
)
def test_the_lines_of_an_answer_have_a_bound_together(phase: Phase, head: bytes, line: bytes, tail: bytes) -> None:
    """Each line is short and there are too many: the client hangs up, whichever kind of line it is."""
    count = MAX_LINES // len(line.replace(b"A\r\n", b"")) + 1
    seen = poll_with(head + line * count + tail, phase)

    assert isinstance(seen, Failure)
    assert (seen.phase, seen.reason) == (phase, Reason.TOO_LARGE)


@pytest.mark.parametrize("over", [0, 1], ids=["at the bound", "beyond"])
@pytest.mark.parametrize("bound", [MAX_LINE, MAX_LINES], ids=["one line", "all lines"])
def test_lines_up_to_the_bound_are_read(bound: int, over: int) -> None:
    """The bounds are exact: a byte more ends the answer."""
    two = [MAX_LINE, MAX_LINES - MAX_LINE - len(_OK) - len(b"\r\n") + over]
    lengths = [MAX_LINE + over] if bound == MAX_LINE else two
    lines = b"".join(b"X-N: " + b"v" * (length - 7) + b"\r\n" for length in lengths)
    seen = poll_with(_OK + lines + b"\r\n" + INFO_BODY, Phase.DOCUMENT)

    assert seen == (Failure(Phase.DOCUMENT, Reason.TOO_LARGE, INFO) if over else of(INFO_BODY))


@BOTH_PHASES
@pytest.mark.parametrize(
    "lines",
    [
        pytest.param(b"Content-Type:" + b"a" * (MAX_LINE - 12) + b"Content-Length: 3\r\n", id="one too long"),
        pytest.param(b"Content-Type:" + b"a" * (MAX_LINE - 14) + b"\r\n", id="one byte too long"),
        pytest.param((b"Content-Type:" + b"a" * 100 + b"\r\n") * (MAX_LINES // 115 + 1), id="too many"),
        pytest.param(b"Content-Type: a\r\n" + (b" " + b"a" * 100 + b"\r\n") * (MAX_LINES // 103 + 1), id="folded"),
    ],
)
def test_lines_that_are_left_out_count(phase: Phase, lines: bytes) -> None:
    """Content-Type is not read, and has the bounds of all lines: what its bound cuts off is no header of its own."""
    seen = poll_with(_OK + lines + b"\r\n" + INFO_BODY, phase)

    assert seen == Failure(phase, Reason.TOO_LARGE, INFO if phase is Phase.DOCUMENT else "api/token")


@pytest.mark.parametrize(
    "lines",
    [
        b'Content-Type: multipart/x; a="' + b";" * (MAX_LINE - 32) + b"\r\n",
        b'Content-Type: multipart/x; a="\r\n' + (b" " + b";" * 700 + b"\r\n") * (MAX_LINES // 703 - 1),
        b"Content-Type: multipart/x" + b";a" * (MAX_LINE // 2 - 14) + b"\r\n",
    ],
    ids=["quoted", "folded", "many"],
)
def test_headers_within_the_bounds_cost_little(lines: bytes) -> None:
    """The bounds are low enough: the worst that fits takes milliseconds, and the answer is read."""
    begun = time.process_time()
    assert poll_with(_OK + lines + b"\r\n" + INFO_BODY, Phase.DOCUMENT) == of(INFO_BODY)
    assert time.process_time() - begun < CPU


def read_line(reader: AnswerReader) -> object:
    """Read a line."""
    return reader.readline()


def read_body_piece(reader: AnswerReader) -> object:
    """Read a byte of a body."""
    return reader.readinto(bytearray(1))


@pytest.mark.parametrize("read", [read_line, read_body_piece])
def test_the_deadline_ends_the_work_on_what_was_received(read: Callable[[AnswerReader], object]) -> None:
    """Buffered bytes need no receive, so the reader checks the deadline itself: at each line and piece of a body."""
    now = [0.0]
    on_wire = OnWire(lambda: now[0])
    on_wire.deadline = 1.0
    with tempfile.TemporaryFile(buffering=0) as answers:
        answers.write(b"HTTP/1.1 200 OK\r\nDate: x\r\n")
        answers.seek(0)
        reader = AnswerReader(answers, on_wire)
        assert reader.readline() == b"HTTP/1.1 200 OK\r\n"
        now[0] = 1.0
        with pytest.raises(socket.timeout):
            read(reader)


def test_what_libraries_log_has_no_part_of_an_answer(capfd: pytest.CaptureFixture[str]) -> None:
    """urllib3 logs header lines that it cannot parse: where the blank line is lost, those are the credentials."""
    secret = b'"SecretAccessKey" : "swordfish"'
    handler, level = logging.StreamHandler(), logging.root.level
    logging.root.addHandler(handler)  # pytest's own capture listens to loggers that nobody else hears.
    logging.root.setLevel(logging.DEBUG)
    try:
        poll_with(b"HTTP/1.1 200 OK\r\nDate: x\r\n{\r\n  " + secret + b",\r\n}\r\n\r\n", Phase.DOCUMENT)
        poll_with(b"HTTP/1.1 200 OK\r\n \x01" + secret + b"\r\n\r\n{}", Phase.DOCUMENT)
        poll_with(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + secret + b"\r\n\r\n{}", Phase.DOCUMENT)
        logging.getLogger("somebody").debug("the handler works")
    finally:
        logging.root.removeHandler(handler)
        logging.root.setLevel(level)

    assert capfd.readouterr().err == "the handler works\n"


# Leaks.

_CALAMITIES: dict[str, Callable[[], bytes | Script]] = {
    "good": lambda: INFO_ANSWER,
    "kept open": lambda: [answer(INFO_BODY, headers={"Connection": "keep-alive"}), HOLD],
    "reset": lambda: [RESET],
    "cut off": lambda: INFO_ANSWER[:40],
    "not http": lambda: b"hello\n",
    "too large": lambda: b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * (1 << 18),
    "truncated": lambda: answer("x", length=100),
    "silent": lambda: [HOLD],
    "redirect": lambda: answer("x", "302 Found", headers={"Location": "/"}),
    "not found": lambda: NOT_FOUND,
}


def _held() -> tuple[int, int]:
    """Return how many descriptors and threads this process has."""
    return len(list(Path("/proc/self/fd").iterdir())), threading.active_count()


@promise(
    Area.IMDS,
    "Hundreds of polls fail, in every way and in both phases",
    "Every descriptor and every thread is given back, without the garbage collector",
)
def test_hundreds_of_failing_polls_leak_neither_descriptors_nor_threads() -> None:
    """Every calamity in both phases, again and again, the garbage collector switched off: everything is closed."""
    scripts = [make() for make in _CALAMITIES.values()]
    plays = [play(info=script) for script in scripts] + [play(token=script) for script in scripts]
    gc.collect()
    before = _held()
    gc.disable()
    try:
        asked: list[Client] = []
        for number in range(300):
            with Wire(plays[number % len(plays)]) as wire:
                asked.append(client(wire.endpoint, timeout=0.02))
                poll(asked[-1])
        with not_listening() as endpoint:
            for _ in range(50):
                poll(client(endpoint))
        after = _held()
    finally:
        gc.enable()

    assert after == before


def _piled_up() -> int:
    """Return how many objects of ours and of the libraries below us are alive, errors included."""
    gc.collect()
    ours = {"rolewatch", "requests", "urllib3", "http", "email", "socket"}
    kinds = [type(thing) for thing in gc.get_objects()]
    return sum(str(kind.__module__).split(".")[0] in ours or issubclass(kind, BaseException) for kind in kinds)


def test_one_client_does_not_grow() -> None:
    """Hundreds of polls of one client, most of them failures: nothing is piled up."""
    scripts = [make() for name, make in _CALAMITIES.items() if name not in ("silent", "too large")]
    turn = iter(range(1 << 30))

    def rotate(request: Request) -> Script:
        return KIND(request) if request.method == "PUT" else play(info=scripts[next(turn) % len(scripts)])(request)

    with Wire(rotate) as wire:
        asked = client(wire.endpoint)
        for _ in range(100):
            poll(asked)
        before = _piled_up()
        for _ in range(400):
            poll(asked)
        grown = _piled_up() - before

    assert grown < 40


# Who answers.


@responses.activate
@pytest.mark.parametrize(
    ("status", "headers", "expected"),
    [
        (403, {"Server": "EC2ws"}, (Reason.FORBIDDEN, None, "")),
        (403, {}, (Reason.FORBIDDEN, None, "")),
        (403, {"Server": "squid/5.7"}, (Reason.FORBIDDEN, Responder.PROXY, "squid")),
        (403, {"Via": "1.1 edge"}, (Reason.FORBIDDEN, Responder.PROXY, "")),
        (403, {"Server": "Metadata Server for VM"}, (Reason.FORBIDDEN, Responder.NOT_EC2, "Metadata")),
        (503, {"Server": "EC2ws"}, (Reason.THROTTLED, None, "")),
        (503, {"Server": "envoy"}, (Reason.SERVER_ERROR, Responder.PROXY, "envoy")),
        (405, {"Server": "EC2ws"}, (Reason.UNEXPECTED_STATUS, Responder.NOT_EC2, "")),
        (400, {"Server": "IMDS/150.870.65.1854"}, (Reason.UNEXPECTED_STATUS, Responder.NOT_EC2, "IMDS")),
    ],
)
def test_an_answer_shows_who_sent_it(
    status: int, headers: dict[str, str], expected: tuple[Reason, Responder | None, str]
) -> None:
    """EC2's IMDS by its `Server` header; a proxy by its own headers; another cloud by the status of its answer."""
    responses.put(f"{ENDPOINT}{TOKEN_PATH}", status=status, headers=headers)
    failure = poll(client(ENDPOINT))

    assert isinstance(failure, Failure)
    assert (failure.reason, failure.responder, failure.server) == expected
