"""``[metrics.tls]``: what is wrong with a file is reported with its path, and with nothing of its contents."""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Callable

import pytest

from certificates import WEAK, Authority, Pair, openssl
from rolewatch.http import tls
from rolewatch.settings import TlsSettings

NOW = datetime.now(timezone.utc)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Return a CA."""
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def settings(authority: Authority) -> TlsSettings:
    """Return valid settings: certificate, key, and the CA of the clients."""
    return authority.settings(authority.issue(), client_ca=authority.own.cert)


def error_of(settings: TlsSettings) -> str:
    """Return the message for *settings* that cannot be used."""
    with pytest.raises(tls.UnusableFileError) as caught:
        tls.make_context(settings)
    return str(caught.value)


def test_without_a_certificate_there_is_no_tls() -> None:
    """The default: plain HTTP on loopback."""
    assert tls.make_context(TlsSettings()) is None
    assert list(tls.find_warnings(TlsSettings(), NOW)) == []


def test_the_context_is_a_strict_one(settings: TlsSettings) -> None:
    """TLS 1.2 or newer, no compression, no renegotiation, nothing remembered, and a client has to show who it is."""
    made = tls.make_context(settings)

    assert made
    assert made.minimum_version is ssl.TLSVersion.TLSv1_2
    assert made.verify_mode is ssl.CERT_REQUIRED
    for option in (ssl.OP_NO_COMPRESSION, ssl.OP_NO_RENEGOTIATION, ssl.OP_NO_TICKET):
        assert made.options & option
    assert made.num_tickets == 0


def test_tls_1_3_can_be_required(settings: TlsSettings) -> None:
    """A site's policy may need it."""
    made = tls.make_context(replace(settings, min_version="tls13"))

    assert made
    assert made.minimum_version is ssl.TLSVersion.TLSv1_3


@pytest.mark.parametrize("field", ["cert_file", "key_file", "client_ca_file"])
def test_a_missing_file_is_named_with_its_setting(settings: TlsSettings, field: str) -> None:
    """All three."""
    said = error_of(replace(settings, **{field: "/nonexistent/file.pem"}))

    assert said.startswith(f"metrics.tls.{field} is /nonexistent/file.pem, which does not exist; correct the path")


@pytest.mark.parametrize(
    ("field", "what"),
    [("cert_file", "certificate"), ("key_file", "private key"), ("client_ca_file", "certificate")],
)
@pytest.mark.parametrize("text", ["", "not PEM\n", "\xff\x00"])
def test_a_file_without_pem_is_refused(tmp_path: Path, settings: TlsSettings, field: str, what: str, text: str) -> None:
    """Such as DER, or the certificate in the place of the key."""
    file = tmp_path / "file.pem"
    file.write_bytes(text.encode("latin-1"))

    assert f"metrics.tls.{field} is {file}, which contains no {what} in PEM" in error_of(
        replace(settings, **{field: str(file)})
    )


def test_certificate_and_key_in_each_others_place_are_refused(settings: TlsSettings) -> None:
    """The message names the certificate first."""
    mixed_up = replace(settings, cert_file=settings.key_file, key_file=settings.cert_file)

    assert error_of(mixed_up) == (
        f"metrics.tls.cert_file is {settings.key_file}, which contains no certificate in PEM (BEGIN CERTIFICATE)."
    )


def test_a_key_of_another_certificate_is_refused(authority: Authority, settings: TlsSettings) -> None:
    """Such as between the two steps of a renewal."""
    other = authority.issue()

    assert error_of(replace(settings, key_file=str(other.key))) == (
        f"metrics.tls.key_file is {other.key}, which is not the key of the certificate in {settings.cert_file}; name "
        "the two that belong together."
    )


@pytest.mark.parametrize("form", [["ec", "-aes256"], ["pkcs8", "-topk8"]], ids=["traditional", "PKCS #8"])
def test_a_key_with_a_passphrase_is_refused_without_a_prompt(
    tmp_path: Path, settings: TlsSettings, form: list[str]
) -> None:
    """OpenSSL would ask on the terminal, and the daemon would hang."""
    encrypted = tmp_path / "encrypted.key"
    openssl(*form, "-in", settings.key_file, "-out", encrypted, "-passout", "pass:secret-phrase")

    assert "has a passphrase" in error_of(replace(settings, key_file=str(encrypted)))


@pytest.mark.parametrize("field", ["cert_file", "key_file", "client_ca_file"])
@pytest.mark.parametrize("remark", [b"", b"# M\xfcller GmbH\n"], ids=["", "a-remark-in-latin-1"])
def test_a_truncated_file_is_refused_without_showing_its_contents(
    tmp_path: Path, settings: TlsSettings, field: str, remark: bytes
) -> None:
    """A full disk, an interrupted copy. A line of the key in a log would disclose it."""
    whole, file = tmp_path / "remarked.pem", tmp_path / "cut.pem"
    whole.write_bytes(remark + Path(settings.cert_file).read_bytes())
    lines = Path(getattr(settings, field)).read_text().splitlines()
    cut = "\n".join([*lines[:2], lines[-1], ""]).encode()
    file.write_bytes(remark + cut if field == "cert_file" else cut)
    settings = replace(settings, cert_file=str(whole))

    said = error_of(replace(settings, **{field: str(file)}))

    assert said.startswith(f"metrics.tls.{field} is {file}, which contains a ")
    assert said.endswith("check that the file is complete.")
    assert lines[1] not in said


def test_a_certificate_without_its_end_line_is_refused(tmp_path: Path, settings: TlsSettings) -> None:
    """It is truncated in the middle of its block."""
    file = tmp_path / "cut.pem"
    file.write_bytes(Path(settings.cert_file).read_bytes()[:200])

    said = error_of(replace(settings, cert_file=str(file)))

    assert said.startswith(f"metrics.tls.cert_file is {file}, which contains a certificate that OpenSSL cannot read")
    assert said.endswith("check that the file is complete.")


def test_a_key_that_is_too_weak_is_refused(authority: Authority, settings: TlsSettings) -> None:
    """The file is complete, and OpenSSL rejects it."""
    weak = authority.issue(key=WEAK)

    said = error_of(replace(settings, cert_file=str(weak.cert), key_file=str(weak.key)))

    assert said.startswith(f"metrics.tls.cert_file is {weak.cert}, which contains a certificate that OpenSSL rejects")


def _directory(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize("make", [os.mkfifo, _directory], ids=["pipe", "directory"])
def test_a_pipe_or_a_directory_is_refused_at_once(
    tmp_path: Path, settings: TlsSettings, make: Callable[[Path], None]
) -> None:
    """OpenSSL would wait at a pipe for ever, and so would the loop."""
    make(tmp_path / "odd")

    assert "is not a regular file" in error_of(replace(settings, key_file=str(tmp_path / "odd")))


def test_a_huge_file_is_not_read(tmp_path: Path, settings: TlsSettings) -> None:
    """The limit is larger than a system's bundle of CAs."""
    with (tmp_path / "huge").open("wb") as huge:
        huge.truncate(1 << 30)

    assert "is larger than 1 MiB" in error_of(replace(settings, client_ca_file=str(tmp_path / "huge")))


@pytest.fixture
def closed(tmp_path: Path) -> Iterator[Path]:
    """Return a file that this process may not read. If it runs as root, it runs as another user meanwhile."""
    file = tmp_path / "closed.key"
    file.touch(0)
    if os.geteuid() != 0:
        yield file
        return
    os.seteuid(65534)
    yield file
    os.seteuid(0)


def test_a_file_without_permission_is_named_with_the_user(closed: Path, settings: TlsSettings) -> None:
    """The most common mistake: renewal tools write keys for root alone."""
    assert re.search(
        r"which the user \S+ may not read: give it to a group of \S+'s \(chgrp, chmod 0640\)",
        error_of(replace(settings, cert_file=str(closed))),
    )


def sole_warning(settings: TlsSettings, now: datetime) -> str:
    """Return the only warning there is."""
    ((_, text),) = tls.find_warnings(settings, now)
    return text


@pytest.mark.parametrize(
    ("when", "said"),
    [(timedelta(days=91), "expired at"), (timedelta(days=85), "expires at"), (timedelta(days=-2), "is valid from")],
    ids=["after its end", "shortly before", "before it began"],
)
def test_a_certificate_that_is_not_valid_or_expires_soon_causes_a_warning(
    settings: TlsSettings, when: timedelta, said: str
) -> None:
    """It stays in use: a scraper that does not verify it is served, and one that does reports the reason."""
    assert said in sole_warning(settings, NOW + when)


def test_a_certificate_for_one_day_causes_a_warning_only_near_its_end(authority: Authority) -> None:
    """In the last tenth of its life."""
    settings = authority.settings(authority.issue(days=1))

    assert list(tls.find_warnings(settings, NOW + timedelta(hours=12))) == []
    assert "expires at" in sole_warning(settings, NOW + timedelta(hours=23))


def test_a_key_that_every_user_may_read_causes_a_warning(authority: Authority) -> None:
    """It is no longer secret."""
    made: Pair = authority.issue()
    made.key.chmod(0o644)

    assert "every user of this host may read the private key" in sole_warning(
        authority.settings(made), NOW + timedelta(days=1)
    )
