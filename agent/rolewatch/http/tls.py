"""TLS for the endpoint: contexts from ``[metrics.tls]``, certificate dates, and the stream of one connection."""

from __future__ import annotations

import contextlib
import os
import re
import ssl
import stat
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import NamedTuple, NoReturn

from rolewatch import files
from rolewatch.errors import UnavailableError
from rolewatch.settings import TlsSettings

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


def validity(pem: str) -> Validity | None:
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


def _values(der: bytes) -> Iterator[tuple[int, bytes]]:
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


_CHUNK = 1 << 14
"""Bytes of a whole TLS record."""


class TlsStream:
    """One connection's TLS. What has to be sent after each call is what `take` returns."""

    def __init__(self, context: ssl.SSLContext) -> None:
        """Wait for the client's first message."""
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._is_open = False

    def receive(self, data: bytes) -> bytes:
        """Return what the client says in *data*; nothing while the handshake goes on.

        Raise `ssl.SSLError` where the connection cannot go on; what `take` returns then tells the client.
        """
        self._incoming.write(data)
        plain = bytearray()
        with contextlib.suppress(ssl.SSLWantReadError):
            if not self._is_open:
                self._tls.do_handshake()
                self._is_open = True
            while chunk := self._tls.read(_CHUNK):
                plain += chunk
        return bytes(plain)

    def send(self, data: bytes) -> None:
        """Say *data* to the client, once the handshake is done."""
        self._tls.write(data)

    def end(self) -> None:
        """Say that nothing more will come.

        Not in TLS 1.2: OpenSSL keeps a session that was ended properly, up to 20,480 of them, and Python cannot tell it
        not to. The answer's length says that it is whole.
        """
        if self._tls.version() != "TLSv1.2":
            with contextlib.suppress(ssl.SSLWantReadError):  # the client has not said so itself yet
                self._tls.unwrap()

    def take(self) -> bytes:
        """Return what has to be sent to the client now."""
        return self._outgoing.read()


CERT_FILE, KEY_FILE, CLIENT_CA_FILE = (f"metrics.tls.{name}" for name in ("cert_file", "key_file", "client_ca_file"))

SOON = timedelta(days=14)
"""A certificate that ends within this, and within a tenth of its life, should have been renewed."""

_LARGEST = 1 << 20
_KEY = re.compile(r"-----BEGIN (?P<kind>[A-Z ]*)PRIVATE KEY-----")
_PARTIAL_CHAIN = 0x80000
"""X509_V_FLAG_PARTIAL_CHAIN, which `ssl` has a name for since Python 3.10."""


class UnusableFileError(UnavailableError):
    """A file of `TlsSettings` cannot be used now; `setting` is the one that names it (``metrics.tls.key_file``)."""

    def __init__(self, setting: str, path: str, why: str) -> None:
        """Say *why*: what goes on after the path, without a full stop."""
        super().__init__(f"{setting} is {path}, which {why}.")
        self.setting = setting


class _EncryptedError(Exception):
    """OpenSSL asks for a passphrase."""


def make_context(settings: TlsSettings) -> ssl.SSLContext | None:
    """Return what the server speaks by *settings*, from the files as they are now; None for plain HTTP.

    Raise `UnusableFileError`.
    """
    if not settings:
        return None
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    wanted = ssl.TLSVersion.TLSv1_3 if settings.min_version == "tls13" else ssl.TLSVersion.TLSv1_2
    made.minimum_version = max(wanted, made.minimum_version)  # the system's policy may be stricter
    # Each scrape shows its certificate anew: nothing is remembered, and what a reload took away is gone.
    made.options |= ssl.OP_NO_TICKET | ssl.OP_NO_RENEGOTIATION
    made.num_tickets = 0
    _load_certificate(made, settings)
    if settings.client_ca_file:
        _load_client_cas(made, settings.client_ca_file)
    return made


def find_warnings(settings: TlsSettings, now: datetime) -> Iterator[tuple[str, str]]:
    """Yield what deserves a look although it can be used: the setting, and a sentence. Raise `UnusableFileError`."""
    if not settings:
        return
    valid = validity(_read(CERT_FILE, settings.cert_file))
    if valid:
        begins, ends = (f"{moment:%Y-%m-%d %H:%M:%S} UTC" for moment in valid)
        its = f"the certificate in {settings.cert_file}"
        if valid.begins > now:
            yield CERT_FILE, f"{its} is valid from {begins} on: until then no scraper accepts it."
        elif valid.ends <= now:
            yield CERT_FILE, f"{its} expired at {ends}: no scraper accepts it; renew it, and reload rolewatch."
        elif valid.ends - now < min(SOON, (valid.ends - valid.begins) / 10):
            yield CERT_FILE, f"{its} expires at {ends}, and is not renewed yet; renew it, and reload rolewatch."
    with _told(KEY_FILE, settings.key_file):
        mode = Path(settings.key_file).stat().st_mode
    if mode & stat.S_IROTH:
        yield KEY_FILE, f"everybody on this host may read the private key in {settings.key_file}: chmod o= it."


def _load_certificate(made: ssl.SSLContext, settings: TlsSettings) -> None:
    certificate, key = _read(CERT_FILE, settings.cert_file), _read(KEY_FILE, settings.key_file)
    if "-----BEGIN CERTIFICATE-----" not in certificate:
        raise UnusableFileError(CERT_FILE, settings.cert_file, "holds no certificate in PEM (BEGIN CERTIFICATE)")
    if not _KEY.search(key):
        raise UnusableFileError(KEY_FILE, settings.key_file, "holds no private key in PEM (BEGIN PRIVATE KEY)")
    try:
        made.load_cert_chain(settings.cert_file, settings.key_file, password=_refuse)
    except _EncryptedError:
        why = (
            "is protected by a passphrase, and nobody is there to type it: openssl pkey -in … -out … writes it without"
        )
        raise UnusableFileError(KEY_FILE, settings.key_file, why) from None
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            why = f"is not the key of the certificate in {settings.cert_file}; name the two that belong together"
            raise UnusableFileError(KEY_FILE, settings.key_file, why) from None
        _blame(settings, certificate, error)
    except OSError as error:  # gone since it was read: a renewal is going on
        raise UnusableFileError(CERT_FILE, settings.cert_file, f"cannot be read: {error.strerror}") from None


def _blame(settings: TlsSettings, certificate: str, error: ssl.SSLError) -> NoReturn:
    """Raise the error for the file that *error* is about: OpenSSL does not say which of the two it was."""
    if error.reason and error.reason.endswith(("_TOO_SMALL", "_TOO_WEAK")):
        why = (
            f"holds a certificate that OpenSSL finds too weak ({error.reason}); make one with a longer key and SHA-256"
        )
        raise UnusableFileError(CERT_FILE, settings.cert_file, why) from None
    blocks = "\n".join(block for block in pem_blocks(certificate) if block.isascii())
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=blocks)
    except ValueError:  # of an empty text: the one block does not end, or is no ASCII
        raise UnusableFileError(CERT_FILE, settings.cert_file, _broken("certificate", error)) from None
    except ssl.SSLError as of_certificate:
        why = _broken("certificate", of_certificate)
        raise UnusableFileError(CERT_FILE, settings.cert_file, why) from None
    raise UnusableFileError(KEY_FILE, settings.key_file, _broken("private key", error)) from None


def _load_client_cas(made: ssl.SSLContext, path: str) -> None:
    _read(CLIENT_CA_FILE, path)
    try:
        made.load_verify_locations(cafile=path)
    except ssl.SSLError as error:
        if error.reason in ("NO_CERTIFICATE_OR_CRL_FOUND", "NO_CERTIFICATE_FOUND"):
            raise UnusableFileError(CLIENT_CA_FILE, path, "holds no certificate in PEM (BEGIN CERTIFICATE)") from None
        raise UnusableFileError(CLIENT_CA_FILE, path, _broken("certificate", error)) from None
    except OSError as error:
        raise UnusableFileError(CLIENT_CA_FILE, path, f"cannot be read: {error.strerror}") from None
    made.verify_mode = ssl.CERT_REQUIRED
    # Whatever stands in the file is trusted, an intermediate CA without its root, too: as Prometheus's exporters do.
    made.verify_flags |= _PARTIAL_CHAIN


def _broken(what: str, error: ssl.SSLError) -> str:
    reason = f" ({error.reason})" if error.reason else ""
    return f"holds a {what} that OpenSSL cannot read{reason}; see whether the file is whole"


def _refuse() -> str:
    raise _EncryptedError


def _read(setting: str, path: str) -> str:
    """Return the text of *path*. Raise `UnusableFileError`."""
    with _told(setting, path):
        try:
            data = files.read(Path(path), limit=_LARGEST, follow_links=True).data
        except files.NotRegularError:
            raise UnusableFileError(setting, path, "is no regular file") from None
        except files.TooLargeError:
            raise UnusableFileError(setting, path, f"is larger than {_LARGEST >> 20} MiB, and is not read") from None
    return data.decode("latin-1")  # PEM is ASCII; what stands between its blocks may be anything


@contextlib.contextmanager
def _told(setting: str, path: str) -> Iterator[None]:
    """Raise `UnusableFileError` for what the system has against *path*."""
    try:
        yield
    except FileNotFoundError:
        raise UnusableFileError(
            setting, path, "does not exist; name the file as it is, or see to it that it is written"
        ) from None
    except PermissionError:
        raise UnusableFileError(setting, path, _who_may_not()) from None
    except OSError as error:
        raise UnusableFileError(setting, path, f"cannot be read: {error.strerror}") from None


def _who_may_not() -> str:
    import pwd  # noqa: PLC0415 - only for complaints

    try:
        user = pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        user = str(os.geteuid())
    return (
        f"the user {user} may not read: give it to a group of {user}'s (chgrp, chmod 0640); the directories above it "
        "must let that group through, too"
    )
