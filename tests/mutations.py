"""A strategy for hypothesis: bytes that were good once, then cut, doubled, swapped, flipped and written over."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

_PIECES = (
    *(b"\r\n", b"\r\n\r\n", b"\n", b"\r", b"\0", b"\xff", b"\xf0\x9f", b"\xed\xa0\x80", b" ", b"\t"),
    *(b"{", b"}", b"[", b'"', b":", b",", b"\\", b"\\ud800", b"\\u0000", b"null", b"true", b"NaN", b"-0", b"1e999"),
    *(b"9" * 5000, b"[" * 5000, b"A" * 5000, b"0", b"-1", b"9999", b"0000-00-00T00:00:00Z", b"9999-12-31T23:59:59Z"),
    *(
        b"0001-01-01T00:00:00+23:59",
        b"../",
        b"%2e%2e",
        b"%0d%0a",
        b"AIPA",
        b"Success",
        b"Failed",
        b"does not contain a role",
    ),
    *(b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n"),
    *(b"Content-Length: 0\r\n", b"Transfer-Encoding: chunked\r\n", b"Content-Encoding: gzip\r\n", b"ffffffff\r\n"),
)
Change = tuple[str, int, int, int, bytes]
_CHANGES: st.SearchStrategy[Change] = st.tuples(
    st.sampled_from(["cut", "insert", "replace", "double", "swap", "flip"]),
    st.integers(0, 1 << 16),
    st.integers(0, 1 << 16),
    st.integers(1, 255),
    st.sampled_from(_PIECES) | st.binary(max_size=8),
)


def mutated(good: Sequence[bytes]) -> st.SearchStrategy[bytes]:
    """Draw one of *good*, with up to six changes."""
    return st.builds(_changed, st.sampled_from(good), st.lists(_CHANGES, max_size=6))


def _changed(data: bytes, changes: Sequence[Change]) -> bytes:
    for kind, one, other, bits, piece in changes:
        size = len(data) + 1
        begin, end = sorted((one % size, other % size))
        before, within, after = data[:begin], data[begin:end], data[end:]
        if kind == "cut":
            within = b""
        elif kind == "insert":
            within = piece + within
        elif kind == "replace":
            within, after = piece, within[len(piece) :] + after
        elif kind == "double":
            within += within[:5000]
        elif kind == "swap":
            before, within = within, before
        elif within:
            within = bytes([within[0] ^ bits]) + within[1:]
        data = before + within + after
    return data
