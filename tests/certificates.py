"""Certificates for tests, made by the openssl command: a CA, and the certificates that it signs."""

from __future__ import annotations

import ssl
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from rolewatch.settings import TlsSettings

KEY = ("ec", "-pkeyopt", "ec_paramgen_curve:P-256")
"""The quickest key to make."""
WEAK = ("rsa", "-pkeyopt", "rsa_keygen_bits:512")
"""A key that no OpenSSL takes."""
DAYS = 90
EXTENSIONS = """\
subjectAltName=DNS:localhost,IP:127.0.0.1
keyUsage=digitalSignature
extendedKeyUsage=serverAuth,clientAuth
subjectKeyIdentifier=hash
authorityKeyIdentifier=keyid
"""
"""What Python's own clients insist on since 3.13 (VERIFY_X509_STRICT) is in them."""


def openssl(*words: object) -> str:
    """Run the openssl command and return what it prints."""
    return subprocess.run(
        ["openssl", *map(str, words)], check=True, capture_output=True, text=True, stdin=subprocess.DEVNULL
    ).stdout


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, in their files."""

    cert: Path
    key: Path

    def replace_by(self, other: Pair) -> None:
        """Put *other* into these files, as a renewer does."""
        self.cert.write_bytes(other.cert.read_bytes())
        self.key.write_bytes(other.key.read_bytes())


@dataclass
class Authority:
    """A CA that lives in *directory*."""

    directory: Path
    name: str = "ca"
    _serial: int = field(default=0, repr=False)

    def __post_init__(self) -> None:
        """Make its key and its certificate."""
        self.own = Pair(self.directory / f"{self.name}.crt", self.directory / f"{self.name}.key")
        openssl(
            *("req", "-x509", "-newkey", *KEY, "-nodes", "-keyout", self.own.key, "-out", self.own.cert),
            *("-days", DAYS, "-subj", f"/CN=Test CA {self.name}", "-addext", "keyUsage=critical,keyCertSign,cRLSign"),
        )

    def issue(self, name: str = "localhost", *, key: tuple[str, ...] = KEY, days: int = DAYS) -> Pair:
        """Return a certificate for *name* on loopback, which a server and a client may show."""
        self._serial += 1
        stem = self.directory / f"{self.name}-{self._serial}"
        made = Pair(stem.with_suffix(".crt"), stem.with_suffix(".key"))
        request, extensions = stem.with_suffix(".csr"), stem.with_suffix(".ext")
        extensions.write_text(EXTENSIONS)
        openssl(
            *("req", "-new", "-newkey", *key, "-nodes", "-keyout", made.key, "-out", request, "-subj", f"/CN={name}")
        )
        openssl(
            *("x509", "-req", "-in", request, "-CA", self.own.cert, "-CAkey", self.own.key, "-out", made.cert),
            *("-set_serial", self._serial, "-days", days, "-extfile", extensions),
        )
        return made

    def settings(self, server: Pair, *, client_ca: Path | None = None, min_version: str = "tls12") -> TlsSettings:
        """Return the settings that present *server* and accept the clients whose certificates *client_ca* signed."""
        return TlsSettings(str(server.cert), str(server.key), str(client_ca or ""), min_version)

    def trusting(self, client: Pair | None = None) -> ssl.SSLContext:
        """Return a client's context that trusts this CA, and shows *client*."""
        context = ssl.create_default_context(cafile=str(self.own.cert))
        if client is not None:
            context.load_cert_chain(client.cert, client.key)
        return context
