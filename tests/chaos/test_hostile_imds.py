"""IMDS gone mad, in every phase of a poll: it ends in time, stays small, says what is wrong, and the next is good."""

from __future__ import annotations

import gzip
import json
import mmap
from collections.abc import Iterator, Sequence
from typing import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from builders import ROLE
from chaos import quota
from chaos.hostile import (
    EVERY_POLL,
    HASTY,
    MOST,
    PATHS,
    PHASES,
    Behaviour,
    Subject,
    body_of,
    bytes_of,
    cases,
    documents,
    names,
    parts,
    whole,
    with_header,
)
from chaos.subject import begin_anew, memory
from forms import Form
from mutations import mutated
from promises import Area, Measured, promise
from rolewatch.faults import Fault
from rolewatch.imds.transport import MAX_LINE
from wire import HOLD, RESET, Drip, Pause, Script, Step, Wire

OUTCOME = "The poll ends by its deadline and in bounded memory, says imds_error or what is wrong, and the next is good"
ANY = frozenset(Fault)
MOST_PHASES = (*EVERY_POLL, "tag")
"""Without the identity, of which the client knows no more than of a tag."""
MEGABYTES = 10 << 20


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Subject]:
    """Start a daemon with little time, for all that only let time pass."""
    with Subject(tmp_path_factory.mktemp("hasty"), HASTY) as started:
        yield started


@pytest.fixture(scope="module")
def subject(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Subject]:
    """Start one daemon for all: what one behaviour leaves behind, the others meet."""
    with Subject(tmp_path_factory.mktemp("subject")) as started:
        yield started


def endless(head: bytes, piece: bytes) -> bytes:
    """Return *head*, and 10 MB of *piece* behind it."""
    return head + piece * (MEGABYTES // len(piece))


def bare(good: bytes) -> bytes:
    """Return *good* without its length."""
    return with_header(good, without=b"content-length")


def chunked(good: bytes, *chunks: bytes, more: Sequence[bytes] = ()) -> bytes:
    """Return the head of *good* for a body in chunks, and *chunks* as they are."""
    return with_header(parts(bare(good))[0], b"Transfer-Encoding: chunked", *more) + b"".join(chunks)


def chunk(data: bytes) -> bytes:
    """Return *data* as one chunk."""
    return b"%x\r\n%s\r\n" % (len(data), data)


# Slow, or silent


def again(*steps: Step) -> list[Step]:
    """Return *steps*, and a pause of a tenth of a second behind them, for two seconds."""
    return [*steps, Pause(0.1)] * 20


SLOW = [
    Behaviour("nothing", lambda _: [HOLD], silent=True),
    Behaviour("a drip", lambda good: [Drip(good, 0.02)]),
    Behaviour("status line, nothing", lambda good: [good[:15], HOLD]),
    Behaviour("headers, nothing", lambda good: [parts(good)[0], HOLD]),
    Behaviour("all but a byte", lambda good: [good[:-1], HOLD]),
    Behaviour("no length, no end", lambda good: [bare(good), HOLD]),
    Behaviour("a header now and then", lambda good: [good[:17], *again(b"X-N: 1\r\n")]),
    Behaviour("a continue now and then", lambda _: again(b"HTTP/1.1 100 Continue\r\n\r\n")),
    Behaviour("a chunk now and then", lambda good: [chunked(good), *again(chunk(b"A"))]),
    Behaviour("no last chunk", lambda good: [chunked(good, chunk(parts(good)[1])), HOLD]),
]

NO_ANSWER_OF_EC2 = (Fault.IMDS_ERROR, Fault.IMDS_INTERCEPTED)
"""What a status means that EC2 never answers with: to the token request, that something else answers."""


@promise(Area.IMDS, "IMDS accepts and says nothing, drips, or stops in mid-answer", OUTCOME)
@cases(SLOW, EVERY_POLL)
def test_silence_and_drips(behaviour: Behaviour, phase: str, hasty: Subject, measured: Measured) -> None:
    """One time-out after the other, or bytes that keep each of them from passing."""
    hasty.check_behaviour(behaviour, phase, measured)


@cases(SLOW[:2], PHASES[4:])
def test_silence_in_what_is_seldom_asked(behaviour: Behaviour, phase: str, hasty: Subject, measured: Measured) -> None:
    """Identity and tags: nothing hangs on them."""
    hasty.check_behaviour(behaviour, phase, measured)


@promise(Area.IMDS, "Each answer of a poll comes a little within its time-out, and together they do not", OUTCOME)
def test_answers_that_are_late_together(hasty: Subject, measured: Measured) -> None:
    """The deadline is the whole poll's."""
    late: dict[str, Script] = {
        phase: [Pause(0.25), whole(body)]
        for phase, body in documents().items()
        if phase != "token"  # a late token is another fault
    }
    bad = hasty.poll(late)
    hasty.recover()

    assert set(bad.held) == {Fault.IMDS_ERROR}
    measured("longest poll", round(bad.seconds, 2), "s", bound=hasty.longest)


# Cut off


@promise(
    Area.IMDS, "The connection is reset or closed at each byte of each answer (in the short form at some)", OUTCOME
)
@pytest.mark.parametrize("end", [[RESET], []], ids=["reset", "closed"])
@pytest.mark.parametrize("phase", EVERY_POLL)
def test_cut_off_at_any_byte(phase: str, end: Script, subject: Subject, measured: Measured, *, form: Form) -> None:
    """In the status line, in the headers, at the blank line, in the body; each byte in the long form."""
    good = whole(documents()[phase])
    blank = good.index(b"\r\n\r\n")
    directed = {0, 1, 12, 16, 17, 40, blank, blank + 2, blank + 4, blank + 5, len(good) - 1}
    some = sorted(directed | {*range(0, len(good), 97)})
    for length in form.pick(quick=sorted(directed), short=some, long=list(range(len(good)))):
        behaviour = Behaviour(f"{length} bytes", lambda good, length=length: [good[:length], *end])  # type: ignore[misc]
        subject.check_behaviour(behaviour, phase, measured)


# Lengths and chunks


def length(value: bytes) -> Callable[[bytes], bytes]:
    """Return what gives an answer this Content-Length."""
    return lambda good: with_header(good, b"Content-Length: " + value, without=b"content-length")


CUT = (Fault.IMDS_ERROR, Fault.CREDENTIALS_MISSING, Fault.ROLE_MISMATCH)
"""A role's name that is cut off is another role's, of which there is no document."""
LENGTHS = [
    bytes_of("too short", length(b"5"), *CUT, harmless=True),
    bytes_of("zero", length(b"0")),
    bytes_of("too long", length(b"60000")),
    bytes_of("far too long", length(b"9" * 30)),
    bytes_of("longer than any number", length(b"9" * 60_000)),
    bytes_of("negative", length(b"-1")),
    bytes_of("letters", length(b"many")),
    bytes_of("empty", length(b"")),
    bytes_of("hexadecimal", length(b"0x10")),
    bytes_of("other digits", length("٣".encode())),
    bytes_of("two that differ", lambda good: with_header(good, b"Content-Length: 7")),
    bytes_of("ten thousand of them", lambda good: with_header(good, *[b"Content-Length: 7"] * 10_000)),
    bytes_of("chunks and a length", lambda good: with_header(good, b"Transfer-Encoding: chunked")),
    bytes_of("chunks without end", lambda good: endless(chunked(good), chunk(b"A"))),
    bytes_of("chunks closed early", lambda good: chunked(good, chunk(parts(good)[1])), harmless=True),
    bytes_of("an endless chunk", lambda good: endless(chunked(good, b"ffffffffffffffff\r\n"), b"A" * 4096)),
    bytes_of("a negative chunk", lambda good: chunked(good, b"-5\r\n", parts(good)[1])),
    bytes_of("a chunk of 60 kB of digits", lambda good: chunked(good, b"0" * 60_000, b"5\r\nabcde")),
    bytes_of("extensions without end", lambda good: endless(chunked(good, b"5"), b";a=b")),
    bytes_of(
        "trailers without end",
        lambda good: endless(chunked(good, chunk(parts(good)[1]), b"0\r\n"), b"X-T: 1\r\n"),
        harmless=True,
    ),
    bytes_of("chunked twice", lambda good: chunked(good, more=[b"Transfer-Encoding: chunked"])),
]


@promise(Area.IMDS, "Lengths are wrong; chunks have no end", OUTCOME)
@cases(LENGTHS, MOST_PHASES)
def test_wrong_lengths(behaviour: Behaviour, phase: str, subject: Subject, measured: Measured) -> None:
    """Too short, too long, negative, doubled; and chunks."""
    subject.check_behaviour(behaviour, phase, measured)


# Floods and bombs

BOMB = gzip.compress(bytes(32 << 20), 6)
DEEP_BOMB = gzip.compress(gzip.compress(bytes(64 << 20), 1), 9)
GZIP = {"Content-Encoding": "gzip"}
FLOODS = [
    bytes_of("a body of 10 MB", lambda good: endless(with_header(parts(good)[0], without=b"content-length"), b"A")),
    bytes_of("as promised", lambda _: whole(b"A" * MEGABYTES)),
    bytes_of("a status line", lambda _: endless(b"HTTP/1.1 200 ", b"A")),
    bytes_of("a header line", lambda _: endless(b"HTTP/1.1 200 OK\r\nX-N: ", b"A")),
    bytes_of("a header name", lambda _: endless(b"HTTP/1.1 200 OK\r\nX", b"N")),
    bytes_of("headers", lambda _: endless(b"HTTP/1.1 200 OK\r\n", b"X-N: 1\r\n")),
    bytes_of("headers that fit", lambda good: with_header(good, *[b"X-%d: 1" % n for n in range(90)]), harmless=True),
    bytes_of("a folded header", lambda _: endless(b"HTTP/1.1 200 OK\r\nX-N: 1\r\n", b" 1\r\n")),
    bytes_of("cookies", lambda good: with_header(good, *[b"Set-Cookie: a%d=b" % n for n in range(90)]), harmless=True),
    bytes_of("a cookie of 60 kB", lambda good: with_header(good, b"Set-Cookie: " + b"a=b;" * 15_000), harmless=True),
    bytes_of("100 without end", lambda _: endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n")),
    bytes_of("100 and headers", lambda _: endless(b"HTTP/1.1 100 Continue\r\n", b"X-N: 1\r\n")),
    bytes_of("102 and the answer", lambda good: b"HTTP/1.1 102 Processing\r\n\r\n" + good, *NO_ANSWER_OF_EC2),
    bytes_of(
        "103 without end", lambda _: endless(b"", b"HTTP/1.1 103 Early Hints\r\nLink: </>\r\n\r\n"), *NO_ANSWER_OF_EC2
    ),
    bytes_of("101", lambda good: b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n" + good, *NO_ANSWER_OF_EC2),
    bytes_of("a bomb", lambda _: whole(BOMB, **GZIP)),
    bytes_of("a bomb in a bomb", lambda _: whole(DEEP_BOMB, **{"Content-Encoding": "gzip, gzip"})),
    bytes_of(
        "a bomb in chunks", lambda good: chunked(good, chunk(BOMB), b"0\r\n\r\n", more=[b"Content-Encoding: gzip"])
    ),
    bytes_of("a bomb in a redirect", lambda _: whole(BOMB, "302 Found", Location="/", **GZIP), *NO_ANSWER_OF_EC2),
    bytes_of("a bomb in an error", lambda _: whole(BOMB, "500 No", **GZIP)),
    bytes_of("ten thousand encodings", lambda _: whole(BOMB, **{"Content-Encoding": "gzip," * 10_000 + "gzip"})),
    bytes_of("deflate", lambda _: whole(BOMB, **{"Content-Encoding": "deflate"})),
    bytes_of("brotli that is none", lambda good: with_header(good, b"Content-Encoding: br"), harmless=True),
]


@promise(Area.IMDS, "IMDS sends 10 MB of anything, storms of 1xx, or bombs that unpack to 64 MB", OUTCOME)
@cases(FLOODS, MOST_PHASES)
def test_floods_and_bombs(behaviour: Behaviour, phase: str, subject: Subject, measured: Measured) -> None:
    """Nothing is unpacked, and the client hangs up early."""
    subject.check_behaviour(behaviour, phase, measured)


# Headers and chunks that cost a parser much more than they have bytes


def quoted(length: int) -> bytes:
    """Return a header line of *length* bytes that `email.parser` takes quadratic time for."""
    return b'Content-Type: multipart/x; a="'.ljust(length, b";")


COSTLY = [
    bytes_of("a quoted parameter of 65 kB", lambda good: with_header(good, quoted(65_000), without=b"content-type")),
    bytes_of(
        "a quoted parameter that fits",
        lambda good: with_header(good, quoted(MAX_LINE - 2), without=b"content-type"),
        harmless=True,
    ),
    bytes_of(
        "a folded parameter of 65 kB",
        lambda good: with_header(good, quoted(700), *[b" " + b";" * 700] * 90, without=b"content-type"),
    ),
    bytes_of(
        "a folded parameter that fits",
        lambda good: with_header(good, quoted(700), *[b" " + b";" * 700] * 9, without=b"content-type"),
        harmless=True,
    ),
    bytes_of("parameters", lambda good: with_header(good, b"Content-Type: multipart/x" + b";a" * 30_000)),
    bytes_of("chunks of a byte", lambda good: chunked(good, *[chunk(b"A")] * 15_000, b"0\r\n\r\n")),
    bytes_of("chunks with extensions", lambda good: chunked(good, *[b"1;aaaa\r\nA\r\n"] * 8_000, b"0\r\n\r\n")),
    bytes_of("short trailers", lambda good: chunked(good, chunk(parts(good)[1]), b"0\r\n", b"X\n" * 30_000)),
    bytes_of("1xx", lambda good: b"HTTP/1.1 100 C\r\n\r\n" * 3_000 + good),
]


@promise(
    Area.IMDS,
    "Headers, folded lines, chunks, trailers and 1xx answers cost a parser seconds, in each answer of a poll, under "
    "the CPU quota of the unit",
    OUTCOME,
)
@pytest.mark.parametrize("behaviour", COSTLY, ids=lambda each: each.name)
def test_what_costs_a_parser_much(behaviour: Behaviour, hasty: Subject, measured: Measured) -> None:
    """A parser that works on received bytes checks no clock, so it gets only what takes it milliseconds."""
    with quota.as_the_unit_has_it(hasty.pid):
        bad = hasty.poll({phase: behaviour.play(whole(documents()[phase])) for phase in EVERY_POLL})
        hasty.recover()

    assert set(bad.held) <= behaviour.right
    assert bad.held or behaviour.harmless, "no fault was found"
    measured("longest poll", round(bad.seconds, 2), "s", bound=hasty.longest)
    measured("memory taken", round(bad.mebibytes, 2), "MiB", bound=MOST)


# Redirects


@promise(
    Area.IMDS,
    "IMDS redirects to somebody else's metadata",
    "The client follows no redirect, for any status and Location; the poll says imds_error, and the next is good",
)
@cases(["300", "302 Found", "305 Use Proxy", "307 No", "308 No"], MOST_PHASES, name="status")
def test_redirects(status: str, phase: str, subject: Subject, measured: Measured) -> None:
    """By host, by path, by scheme, by header lines."""
    with Wire(lambda _: [whole(documents()[phase])]) as victim:
        for location in (
            victim.endpoint + PATHS[phase],
            victim.endpoint.removeprefix("http:") + PATHS[phase],
            "/latest/meta-data/iam/security-credentials/admin",
            "../../../user-data",
            "file:///etc/passwd",
            "http://[::1",
            "\xff\xfe",
            "",
        ):

            def move(good: bytes, to: str = location) -> bytes:
                return whole(parts(good)[1], status, Location=to)

            moved = bytes_of("", move, *NO_ANSWER_OF_EC2)
            subject.check_behaviour(moved, phase, measured)

    assert victim.connections == 0


# Not quite HTTP

NOT_HTTP = [
    bytes_of("HTTP/0.9", lambda good: parts(good)[1]),
    bytes_of("HTTP/0.9 of 60 kB", lambda _: b"A" * 60_000),
    bytes_of("HTTP/1.0", lambda good: good.replace(b"HTTP/1.1", b"HTTP/1.0"), harmless=True),
    bytes_of("HTTP/9.9", lambda good: good.replace(b"HTTP/1.1", b"HTTP/9.9"), harmless=True),
    bytes_of("a blank line first", lambda good: b"\r\n" + good),
    bytes_of("bare line feeds", lambda good: parts(good)[0].replace(b"\r", b"") + parts(good)[1], harmless=True),
    bytes_of("bare carriage returns", lambda good: parts(good)[0].replace(b"\n", b"") + parts(good)[1]),
    bytes_of("NUL in a header", lambda good: with_header(good, b"X-N: \0"), harmless=True),
    bytes_of("no UTF-8 in a header", lambda good: with_header(good, b"X-N: \xff\xfe\xed\xa0\x80"), harmless=True),
    bytes_of("no UTF-8 in the status", lambda good: good.replace(b"200 OK", b"200 \xff\xfe"), harmless=True),
    bytes_of("a line that is no header", lambda good: with_header(good, b"nonsense"), harmless=True),
    bytes_of("a folded header", lambda good: with_header(good, b"X-N: 1", b"  2"), harmless=True),
    bytes_of("a body in the headers", lambda good: good.replace(b"\r\n\r\n", b"\r\n"), harmless=False),
    bytes_of("two answers", lambda good: good + good, harmless=True),
    bytes_of("TLS", lambda _: b"\x15\x03\x01\x00\x02\x02\x46\n"),
    bytes_of("SMTP", lambda _: b"220 mail.example.com ESMTP\r\n"),
    *(
        bytes_of(f"status {status}", lambda good, to=status: good.replace(b"200 OK", to.encode()), *NO_ANSWER_OF_EC2)  # type: ignore[misc]
        for status in ("000", "99", "201", "204", "205", "206", "304", "400", "401", "405", "418", "429", "500", "503",
                       "600", "999", "1000", "-200", "2e2", "²⁰⁰")
    ),
]  # fmt: skip


@promise(Area.IMDS, "IMDS speaks HTTP/0.9, half an HTTP, or no HTTP at all", OUTCOME)
@cases(NOT_HTTP, MOST_PHASES)
def test_what_is_hardly_http(behaviour: Behaviour, phase: str, subject: Subject, measured: Measured) -> None:
    """Other servers, other versions, other statuses."""
    subject.check_behaviour(behaviour, phase, measured)


# Documents


def fields(**changes: object) -> Callable[[bytes], bytes]:
    """Return what changes fields of a document."""
    return lambda body: json.dumps({**json.loads(body), **changes}).encode()


def beside(text: bytes) -> Callable[[bytes], bytes]:
    """Return what puts another field, written as *text*, before the others of a document."""
    return lambda body: b'{"x": ' + text + b", " + body.lstrip()[1:]


BODIES = [
    body_of("nothing", b""),
    body_of("blanks", b" \r\n\t " * 1000),
    body_of("null", b"null"),
    body_of("a number", b"1"),
    body_of("a string", b'"Success"'),
    body_of("a list", b"[]"),
    body_of("an empty object", b"{}"),
    body_of("a million levels", b"[" * 1_000_000),
    body_of("levels that fit", b'{"a":' * 12_000),
    body_of("levels that fit, closed", beside(b"[" * 900 + b"]" * 900), harmless=True),
    body_of("many levels, closed", beside(b"[" * 25_000 + b"]" * 25_000), harmless=True),
    body_of("a million digits", beside(b"9" * 1_000_000)),
    body_of("digits that fit", beside(b"9" * 50_000), harmless=True),
    body_of("an exponent", beside(b"1e" + b"9" * 50_000), harmless=True),
    body_of("a fraction", beside(b"0." + b"9" * 50_000), harmless=True),
    body_of("no number", beside(b'-Infinity, "y": NaN'), harmless=True),
    body_of("a key of 50 kB", lambda body: b'{"' + b"k" * 50_000 + b'": 1, ' + body.lstrip()[1:], harmless=True),
    body_of("ten thousand keys", beside(b"1, " + b'"x":1,' * 8_000 + b'"y": 1'), harmless=True),
    body_of("no UTF-8", lambda body: body.replace(b'"', b'"\xff', 1)),
    body_of("UTF-8 that is cut", lambda body: body[:-1] + b"\xf0\x9f"),
    body_of("surrogates", lambda body: body.replace(b'"', b'"\xed\xa0\x80', 1)),
    body_of("overlong UTF-8", lambda body: body.replace(b'"', b'"\xc0\xaf', 1)),
    body_of("UTF-16", lambda body: body.decode().encode("utf-16")),
    body_of("a BOM", lambda body: b"\xef\xbb\xbf" + body),
    body_of("NUL", lambda body: body + b"\0"),
    body_of("half a character", beside(b'"\\ud800"'), harmless=True),
    body_of("twice", lambda body: body + body),
    body_of("HTML", b"<html><body>Please log in</body></html>"),
    body_of("XML of many entities", b'<!DOCTYPE a [<!ENTITY b "' + b"c" * 1000 + b'">]><a>' + b"&b;" * 9000 + b"</a>"),
]  # fmt: skip


@promise(Area.IMDS, "Documents of a million levels or digits, of no UTF-8, or of no JSON", OUTCOME)
@cases(BODIES, ["info", "credentials", "identity"])
def test_documents_that_are_none(behaviour: Behaviour, phase: str, subject: Subject, measured: Measured) -> None:
    """Whatever JSON allows and a machine cannot, and what JSON does not allow."""
    subject.check_behaviour(behaviour, phase, measured)


DATES = {
    "the year 0": "0000-01-01T00:00:00Z",
    "the year 1": "0001-01-01T00:00:00Z",
    "before the year 1": "0001-01-01T00:00:00+23:59",
    "the year 9999": "9999-12-31T23:59:59Z",
    "after the year 9999": "9999-12-31T23:59:59-23:59",
    "the year 10000": "10000-01-01T00:00:00Z",
    "month 13": "2026-13-01T00:00:00Z",
    "second 60": "2026-12-31T23:59:60Z",
    "digits": "1" * 25_000,
    "other digits": "٢٠٢٦-11-23T17:31:25Z",
    "no zone": "2026-11-23T17:31:25",
    "an epoch": "1763919085",
    "nothing": "",
}
AGE = (Fault.CREDENTIALS_ERROR, Fault.CREDENTIALS_EXPIRED, Fault.ROTATION_OVERDUE)


@promise(Area.IMDS, "Dates of the year 0, of the year 9999, or of no calendar", OUTCOME)
@pytest.mark.parametrize("date", DATES.values(), ids=DATES)
@pytest.mark.parametrize("name", ["Expiration", "LastUpdated", "both"])
def test_dates_of_credentials(name: str, date: str, subject: Subject, measured: Measured) -> None:
    """A set whose end cannot be read is not usable; one that ended in the year 1 has expired."""
    changes = dict.fromkeys(["Expiration", "LastUpdated"] if name == "both" else [name], date)
    bad = subject.check_behaviour(body_of("", fields(**changes), *AGE, harmless=True), "credentials", measured)

    if name != "LastUpdated":
        usable = date.startswith("9999-12-31") and date.endswith("Z")
        assert usable is not bool(set(bad.held) & {Fault.CREDENTIALS_ERROR, Fault.CREDENTIALS_EXPIRED})


HEADER_DATES = [
    "Sat, 01 Jan 0000 00:00:00 GMT", "Mon, 01 Jan 0001 00:00:00 GMT", "Mon, 01 Jan 0001 00:00:00 +2359",
    "Fri, 31 Dec 9999 23:59:59 GMT", "Fri, 31 Dec 9999 23:59:59 -2359", "Fri, 31 Dec 99999 23:59:59 GMT",
    "Thu, 01 Jan 1970 00:00:00 GMT", "1" * 3_500, ":" * 3_500, "(" * 3_500, "Mon, 99 Foo 2026 99:99:99 XYZ", "\xb2",
]  # fmt: skip


@promise(Area.IMDS, "IMDS's clock says the year 0 or 9999, or no time at all", OUTCOME)
@pytest.mark.parametrize("date", HEADER_DATES, ids=lambda date: date[:34])
@pytest.mark.parametrize("phase", ["token", "credentials", "tag"])
def test_dates_of_answers(date: str, phase: str, subject: Subject, measured: Measured) -> None:
    """The last answer's `Date` is IMDS's clock: by it the credentials may be over, and the local clock wrong."""
    right = (Fault.CLOCK_SKEW, Fault.CREDENTIALS_EXPIRED, Fault.ROTATION_OVERDUE)
    behaviour = bytes_of(
        "",
        lambda good: with_header(good, b"Date: " + date.encode("latin-1"), without=b"date"),
        *right,
        harmless=True,
    )
    subject.check_behaviour(behaviour, phase, measured)


# Names and tokens that would go elsewhere

INJECTIONS = {
    "parent": b"../", "parents": b"../../../user-data", "dot": b".", "dots": b"..", "slash": b"a/b", "root": b"/",
    "quoted parent": b"%2e%2e%2f", "quoted CR LF": b"a%0d%0aX-Injected:%201", "CR LF": b"a\r\nX-Injected: 1",
    "CR": b"a\rX-Injected: 1", "header first": b"\r\nX-Injected: 1\r\n\r\n", "NUL": b"web\0server",
    "10 kB": b"r" * 10_000, "129 characters": b"r" * 129, "a blank": b"web server", "query": b"web?x=1",
    "fragment": b"web#x", "host": b"@evil/", "scheme": b"http://evil.example/", "backslash": b"..\\..",
    "semicolon": b"web;x", "other letters": "w\u0435b".encode(), "full width": "\uff0e\uff0e\uff0f".encode(),
    "no UTF-8": b"web\xff", "a key id": b"ASIACANARY7CANARY7QX", "escape": b"\x1b[2Jweb", "HTML": b"<html>",
    "JSON": b'{"a": 1}', "50 kB of lines": b"\n" * 50_000, "10 MB": b"r" * MEGABYTES,
}  # fmt: skip


@promise(
    Area.IMDS,
    "Names of roles contain paths, header lines, NUL, or 10 kB",
    "Nothing is asked for but what is always asked for, and no header is split; the poll says imds_error",
)
@pytest.mark.parametrize("name", INJECTIONS.values(), ids=INJECTIONS)
def test_names_that_would_go_elsewhere(name: bytes, subject: Subject, measured: Measured) -> None:
    """What is no name of IAM's is never asked for."""
    right = (Fault.IMDS_ERROR, Fault.CREDENTIALS_MISSING, Fault.ROLE_MISMATCH)
    bad = subject.check_behaviour(body_of("", name, *right), "listing", measured)

    assert Fault.IMDS_ERROR in bad.held
    # The first line is a name of IAM's, and it is asked for; what is on the second is not.
    assert names(bad.requests) == ([""] if name != INJECTIONS["CR LF"] else ["", "a"])


@pytest.mark.parametrize("name", ["...", "a" * 128, "+=,.@-_", "con", "info", "-", "..a"])
def test_odd_names_are_quoted(name: str, subject: Subject, measured: Measured) -> None:
    """IAM allows them: they are asked for as one segment, and there is no such document."""
    right = (Fault.CREDENTIALS_MISSING, Fault.ROLE_MISMATCH)
    bad = subject.check_behaviour(body_of("", name.encode(), *right), "listing", measured)

    assert len(bad.requests) == len(EVERY_POLL)


SPLITTING = ("CR LF", "CR", "NUL", "10 kB", "10 MB", "a blank", "escape", "no UTF-8", "other letters", "HTML")


@promise(
    Area.IMDS,
    "A session token contains header lines, NUL, no ASCII, or 10 MB",
    "It is never sent back; the poll says imds_error, and the next is good",
)
@pytest.mark.parametrize("token", SPLITTING)
def test_tokens_that_would_split_a_header(token: str, subject: Subject, measured: Measured) -> None:
    """Without a token nothing else is asked."""
    bad = subject.check_behaviour(body_of("", INJECTIONS[token]), "token", measured)

    assert len(bad.requests) == 1


# Two faces


@promise(
    Area.IMDS,
    "Two answers alternate from poll to poll: two roles, two profiles, two sets, a role and none",
    "No fault is raised, no change and no rotation is reported",
)
@pytest.mark.parametrize("phase", ["info", "listing", "credentials"])
def test_answers_that_alternate(phase: str, subject: Subject, measured: Measured) -> None:
    """Half of a load balancer's fleet is of another mind; nothing was seen twice in a row."""
    good = documents()  # once, for a set that is dated anew is another
    others: dict[str, list[bytes]] = {
        "info": [good["info"].replace(b"web-server-profile", b"other-profile"), b""],
        "listing": [b"app-server", b"app-server\n" + ROLE.encode()],
        "credentials": [good["credentials"].replace(b"ASIACANARY7CANARY7QX", b"ASIACANARY7CANARY7QY"), b""],
    }
    subject.poll({phase: [whole(good[phase])]})
    for other in others[phase]:
        polls = [subject.poll({phase: [whole(body)]}) for _ in range(10) for body in (other, good[phase])]
        events = {event for poll in polls for event in poll.events}
        assert not events & {"fault_raised", "role_changed", "credentials_rotated", "state_changed"}
        assert {poll.state for poll in polls} == {"ok"}
        measured("longest poll", round(max(poll.seconds for poll in polls), 2), "s", bound=subject.longest)
    absent = [subject.poll({phase: [whole(b"", "404 Not Found")]} if turn % 2 else {}) for turn in range(20)]

    assert {poll.state for poll in absent} == {"ok"}
    subject.recover()


# Anything


@promise(Area.IMDS, "Good answers are cut, doubled, swapped, flipped and written over at random", OUTCOME)
@pytest.mark.slow
def test_anything(subject: Subject, measured: Measured, *, form: Form) -> None:
    """Random behaviour in any phase: any fault is right, all other promises are checked."""
    scripts = st.sampled_from(PHASES).flatmap(
        lambda phase: st.tuples(st.just(phase), mutated([whole(documents()[phase])]))
    )

    @settings(max_examples=form.pick(quick=20, short=150, long=5000), suppress_health_check=list(HealthCheck))
    @given(drawn=scripts)
    def check(drawn: Sequence[object]) -> None:
        phase, data = drawn
        subject.check_behaviour(Behaviour("", lambda _: [data], ANY, harmless=True), str(phase), measured)  # type: ignore[list-item]

    check()


def test_a_wrong_verdict_fails_the_check(subject: Subject) -> None:
    """The checks above can fail: on a wrong verdict, and if no fault was found."""
    behaviour = body_of("", fields(Code="Failed"))
    with pytest.raises(AssertionError, match="credentials_error"):
        subject.check_behaviour(behaviour, "credentials", lambda *_, **__: None)
    with pytest.raises(AssertionError, match="no fault was found"):
        subject.check_behaviour(bytes_of("", lambda good: good), "info", lambda *_, **__: None)


def test_memory_that_was_taken_and_given_back_is_seen() -> None:
    """The peak is the kernel's, and begins anew at each poll."""
    for size in (8, 4):
        begin_anew()
        before = memory("VmRSS")
        with mmap.mmap(-1, size << 20) as taken:  # a list or a string may fit where others were before
            for page in range(0, size << 20, mmap.PAGESIZE):
                taken[page] = 1
        assert size - 1 < memory("VmHWM") - before < size + 1
