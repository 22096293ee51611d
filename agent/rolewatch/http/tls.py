"""TLS for the endpoint: contexts from ``[metrics.tls]``, warnings about its files, and the stream of one connection."""

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

CERT_FILE, KEY_FILE, CLIENT_CA_FILE = (f"metrics.tls.{name}" for name in ("cert_file", "key_file", "client_ca_file"))

SOON = timedelta(days=14)
"""A certificate that expires within this, and within a tenth of its life, should have been renewed."""

_LARGEST = 1 << 20
"""Bytes of a file that are read, at the most."""
_CHUNK = 1 << 14
"""Bytes of a whole TLS record."""
_BEGIN, _END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
_KEY = re.compile(r"-----BEGIN (?P<kind>[A-Z ]*)PRIVATE KEY-----")
_VALIDITY = re.compile(
    rb"\x30.(?:\x17\x0d|\x18\x0f)(?P<begins>[0-9]{12,14})Z(?:\x17\x0d|\x18\x0f)(?P<ends>[0-9]{12,14})Z", re.DOTALL
)
"""Validity of a certificate in DER: a sequence of two times, UTCTime or GeneralizedTime (RFC 5280, 4.1.2.5)."""
_UTC_TIME = 12
"""Digits of a UTCTime. Its year has two."""
_PARTIAL_CHAIN = 0x80000
"""X509_V_FLAG_PARTIAL_CHAIN. `ssl` has a name for it since Python 3.10."""


# -- contexts ----------------------------------------------------------------------------------------------------------


class UnusableFileError(UnavailableError):
    """A file of `TlsSettings` cannot be used now; `setting` is the one that names it (``metrics.tls.key_file``)."""

    def __init__(self, setting: str, path: str, why: str) -> None:
        """Store the setting. *why* continues the sentence after the path, without a full stop."""
        super().__init__(f"{setting} is {path}, which {why}.")
        self.setting = setting


class _EncryptedError(Exception):
    """OpenSSL asks for a passphrase."""


def make_context(settings: TlsSettings) -> ssl.SSLContext | None:
    """Return the server's context from the files that *settings* name, as they are now; None for plain HTTP.

    Raise `UnusableFileError`.
    """
    if not settings:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    minimum = ssl.TLSVersion.TLSv1_3 if settings.min_version == "tls13" else ssl.TLSVersion.TLSv1_2
    context.minimum_version = max(minimum, context.minimum_version)  # the system's policy may be stricter
    # No session is resumed: each scrape presents its certificate, and a CA that a reload removed is not trusted.
    context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_RENEGOTIATION
    context.num_tickets = 0
    _load_certificate(context, settings)
    if settings.client_ca_file:
        _load_client_cas(context, settings.client_ca_file)
    return context


def _load_certificate(context: ssl.SSLContext, settings: TlsSettings) -> None:
    certificate, key = _read(CERT_FILE, settings.cert_file), _read(KEY_FILE, settings.key_file)
    if _BEGIN not in certificate:
        raise UnusableFileError(CERT_FILE, settings.cert_file, "contains no certificate in PEM (BEGIN CERTIFICATE)")
    if not _KEY.search(key):
        raise UnusableFileError(KEY_FILE, settings.key_file, "contains no private key in PEM (BEGIN PRIVATE KEY)")
    try:
        context.load_cert_chain(settings.cert_file, settings.key_file, password=_refuse)
    except _EncryptedError:
        why = "has a passphrase, and a daemon cannot ask for it: openssl pkey -in … -out … writes the key without one"
        raise UnusableFileError(KEY_FILE, settings.key_file, why) from None
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            why = f"is not the key of the certificate in {settings.cert_file}; name the two that belong together"
            raise UnusableFileError(KEY_FILE, settings.key_file, why) from None
        _raise_for(error, settings, certificate)
    except OSError as error:  # removed since it was read: a renewal is in progress
        raise UnusableFileError(CERT_FILE, settings.cert_file, f"cannot be read: {error.strerror}") from None


def _raise_for(error: ssl.SSLError, settings: TlsSettings, certificate: str) -> NoReturn:
    """Raise `UnusableFileError` for the file that *error* is about: OpenSSL does not say which of the two it was."""
    if error.reason and error.reason.endswith(("_TOO_SMALL", "_TOO_WEAK")):
        why = f"contains a certificate that OpenSSL rejects ({error.reason}); use a longer key and SHA-256"
        raise UnusableFileError(CERT_FILE, settings.cert_file, why) from None
    text = certificate.encode("ascii", "replace").decode("ascii")  # comments may be in any encoding
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=text)
    except ssl.SSLError as of_certificate:
        raise UnusableFileError(CERT_FILE, settings.cert_file, _broken("certificate", of_certificate)) from None
    raise UnusableFileError(KEY_FILE, settings.key_file, _broken("private key", error)) from None


def _load_client_cas(context: ssl.SSLContext, path: str) -> None:
    _read(CLIENT_CA_FILE, path)
    try:
        context.load_verify_locations(cafile=path)
    except ssl.SSLError as error:
        if error.reason in ("NO_CERTIFICATE_OR_CRL_FOUND", "NO_CERTIFICATE_FOUND"):
            why = "contains no certificate in PEM (BEGIN CERTIFICATE)"
        else:
            why = _broken("certificate", error)
        raise UnusableFileError(CLIENT_CA_FILE, path, why) from None
    except OSError as error:
        raise UnusableFileError(CLIENT_CA_FILE, path, f"cannot be read: {error.strerror}") from None
    context.verify_mode = ssl.CERT_REQUIRED
    # Every certificate in the file is trusted, even an intermediate CA without its root, as in Prometheus's exporters.
    context.verify_flags |= _PARTIAL_CHAIN


def _broken(what: str, error: ssl.SSLError) -> str:
    reason = f" ({error.reason})" if error.reason else ""
    return f"contains a {what} that OpenSSL cannot read{reason}; check that the file is complete"


def _refuse() -> str:
    raise _EncryptedError


def _read(setting: str, path: str) -> str:
    """Return the text of *path*. Raise `UnusableFileError`."""
    with _errors_as_unusable(setting, path):
        data = files.read(Path(path), limit=_LARGEST, follow_links=True).data
    return data.decode("latin-1")  # PEM is ASCII; between its blocks there may be anything


@contextlib.contextmanager
def _errors_as_unusable(setting: str, path: str) -> Iterator[None]:
    """Raise `UnusableFileError` for an `OSError` about *path*."""
    try:
        yield
    except files.NotRegularError:
        why = "is not a regular file"
    except files.TooLargeError:
        why = f"is larger than {_LARGEST >> 20} MiB"
    except FileNotFoundError:
        why = "does not exist; correct the path, or create the file"
    except PermissionError:
        why = _not_permitted()
    except OSError as error:
        why = f"cannot be read: {error.strerror}"
    else:
        return
    raise UnusableFileError(setting, path, why)


def _not_permitted() -> str:
    import pwd  # noqa: PLC0415 - only for this message

    try:
        user = pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        user = str(os.geteuid())
    return (
        f"the user {user} may not read: give it to a group of {user}'s (chgrp, chmod 0640), which also needs access "
        "to the directories above it"
    )


# -- warnings ----------------------------------------------------------------------------------------------------------


class Validity(NamedTuple):
    """Two times in UTC: from which and until which a certificate is valid."""

    begins: datetime
    ends: datetime


def validity(pem: str) -> Validity | None:
    """Return the validity of the first certificate in *pem*; None if there is none, or if it is malformed."""
    begin = pem.find(_BEGIN)
    end = pem.find(_END, begin)
    if begin < 0 or end < 0:
        return None
    try:
        match = _VALIDITY.search(ssl.PEM_cert_to_DER_cert(pem[begin : end + len(_END)]))
        return Validity(*map(_time, match.groups())) if match else None
    except ValueError:
        return None


def _time(digits: bytes) -> datetime:
    # strptime reads the years 69 to 99 as 1969 to 1999, and RFC 5280 50 to 99: no certificate is valid for that long.
    form = "%y%m%d%H%M%S" if len(digits) == _UTC_TIME else "%Y%m%d%H%M%S"
    return datetime.strptime(digits.decode("ascii"), form).replace(tzinfo=timezone.utc)


def find_warnings(settings: TlsSettings, now: datetime) -> Iterator[tuple[str, str]]:
    """Yield setting and message for each file that works but needs attention. Raise `UnusableFileError`."""
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
            yield CERT_FILE, f"{its} expires at {ends} and is not renewed yet; renew it, and reload rolewatch."
    with _errors_as_unusable(KEY_FILE, settings.key_file):
        mode = Path(settings.key_file).stat().st_mode
    if mode & stat.S_IROTH:
        yield KEY_FILE, f"every user of this host may read the private key in {settings.key_file}: chmod o= it."


# -- one connection ----------------------------------------------------------------------------------------------------


class TlsStream:
    """TLS of one connection, without I/O. After each call, send to the client what `take` returns."""

    def __init__(self, context: ssl.SSLContext) -> None:
        """Wait for the client's first message."""
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._is_open = False

    def receive(self, data: bytes) -> bytes:
        """Return the decrypted bytes in *data*, which the client sent; empty during the handshake.

        Raise `ssl.SSLError` if the connection cannot continue. `take` then returns the alert for the client.
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
        """Encrypt *data* for the client. The handshake must be complete."""
        self._tls.write(data)

    def end(self) -> None:
        """Announce the end of the data, except in TLS 1.2.

        OpenSSL caches each TLS 1.2 session that was ended properly, up to 20,480 of them, and Python cannot turn that
        off. The response's length shows that it is complete.
        """
        if self._tls.version() != "TLSv1.2":
            with contextlib.suppress(ssl.SSLWantReadError):  # the client has not announced its own end yet
                self._tls.unwrap()

    def take(self) -> bytes:
        """Return the bytes to send to the client now."""
        return self._outgoing.read()
