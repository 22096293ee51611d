"""``[metrics.tls]`` made into what the server speaks: certificate, key and client CAs from their files.

Whatever is wrong with a file is told with the file and with what to do, and with nothing of what is in it.
"""

from __future__ import annotations

import contextlib
import os
import re
import ssl
import stat
from datetime import datetime, timedelta
from pathlib import Path
from typing import Iterator, NoReturn, Optional, Tuple

from rolewatch import files
from rolewatch.errors import UnavailableError
from rolewatch.publish.certificate import pem_blocks, validity
from rolewatch.settings import TlsSettings

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


def make_context(settings: TlsSettings) -> Optional[ssl.SSLContext]:
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


def find_warnings(settings: TlsSettings, now: datetime) -> Iterator[Tuple[str, str]]:
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
