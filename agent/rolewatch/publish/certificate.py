"""From when until when a certificate is valid: the only thing of it that anybody here asks for.

The standard library tells that of a peer's certificate alone, and what would tell it of any is compiled. The form is
that of RFC 5280, section 4.1: the validity is the fifth field, or the fourth where there is no version.
"""

from __future__ import annotations

import ssl
from datetime import datetime, timezone
from typing import Iterator, NamedTuple, Optional, Tuple

_BEGIN, _END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
_VERSION, _UTC_TIME, _GENERALIZED_TIME = 0xA0, 0x17, 0x18
_FORMS = {_UTC_TIME: "%y%m%d%H%M%SZ", _GENERALIZED_TIME: "%Y%m%d%H%M%SZ"}


class Validity(NamedTuple):
    """Two moments, in UTC."""

    begins: datetime
    ends: datetime


def pem_blocks(text: str) -> Iterator[str]:
    """Yield each certificate in *text* in PEM, from its BEGIN to its END line. One without an end is left out."""
    begin = text.find(_BEGIN)
    while begin >= 0:
        end = text.find(_END, begin)
        if end < 0:  # nor has any of those after it: to search for each would take the square of the length
            return
        end += len(_END)
        yield text[begin:end]
        begin = text.find(_BEGIN, end)


def validity(pem: str) -> Optional[Validity]:
    """Return the validity of the first certificate in *pem*; None where there is none that can be read."""
    first = next(pem_blocks(pem), None)
    try:
        return _validity(ssl.PEM_cert_to_DER_cert(first)) if first else None
    except (ValueError, LookupError, StopIteration):
        return None


def _validity(der: bytes) -> Validity:
    _, certificate = next(_values(der))
    _, signed = next(_values(certificate))
    fields = _values(signed)
    tag, _ = next(fields)  # the version, or the serial number
    for _ in range(3 if tag == _VERSION else 2):
        next(fields)  # up to the issuer
    _, both = next(fields)
    begins, ends = (_moment(tag, value.decode("ascii")) for tag, value in _values(both))
    return Validity(begins, ends)


def _values(der: bytes) -> Iterator[Tuple[int, bytes]]:
    """Yield tag and contents of each value in *der*, one after the other."""
    at = 0
    while at < len(der):
        tag, length, at = der[at], der[at + 1], at + 2
        if length & 0x80:
            end = at + (length & 0x7F)
            length, at = int.from_bytes(der[at:end], "big"), end
        yield tag, der[at : at + length]
        at += length


def _moment(tag: int, text: str) -> datetime:
    # strptime takes 69 to 99 for the last century, and RFC 5280 50 to 99: no certificate lives that long.
    return datetime.strptime(text, _FORMS[tag]).replace(tzinfo=timezone.utc)
