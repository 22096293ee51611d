"""The validity of a certificate, as OpenSSL has it."""

from __future__ import annotations

import base64
from datetime import datetime, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certificates import KEY, Authority, openssl
from rolewatch.http.tls import validity


def pem(der: bytes) -> str:
    """Return *der* as PEM."""
    return f"-----BEGIN CERTIFICATE-----\n{base64.encodebytes(der).decode()}-----END CERTIFICATE-----\n"


@pytest.mark.parametrize("days", [1, 90, 15_000], ids=["a day", "90 days", "beyond 2050, in the other form"])
def test_the_validity_is_what_openssl_says(tmp_path: Path, days: int) -> None:
    """It is that of the first certificate of a chain. Comments before it are ignored."""
    made = Authority(tmp_path).issue(days=days)
    chain = f"issued by us\n{made.cert.read_text()}{(tmp_path / 'ca.crt').read_text()}"
    said = openssl("x509", "-in", made.cert, "-noout", "-dates").splitlines()

    assert validity(chain) == tuple(
        datetime.strptime(line.partition("=")[2], "%b %d %H:%M:%S %Y GMT").replace(tzinfo=timezone.utc) for line in said
    )


def test_a_certificate_of_x509_version_1_has_a_validity(tmp_path: Path) -> None:
    """There is one field fewer before the validity."""
    request, key, cert = tmp_path / "csr", tmp_path / "key", tmp_path / "crt"
    openssl("req", "-new", "-newkey", *KEY, "-nodes", "-keyout", key, "-out", request, "-subj", "/CN=x")
    openssl("x509", "-req", "-in", request, "-key", key, "-days", "3", "-out", cert)
    found = validity(cert.read_text())

    assert "Version: 1 (0x0)" in openssl("x509", "-in", cert, "-noout", "-text")
    assert found
    assert (found.ends - found.begins).days == 3


@given(st.binary(max_size=200) | st.lists(st.sampled_from([0x30, 0x80, 0xA0, 0x02, 0x17, 0x81, 0xFF])).map(bytes))
def test_malformed_der_has_no_validity(der: bytes) -> None:
    """No exception is raised."""
    assert validity(pem(der)) is None


@given(st.text())
def test_malformed_pem_has_no_validity(text: str) -> None:
    """No exception is raised."""
    assert validity(text) is None
    assert validity(f"-----BEGIN CERTIFICATE-----{text}-----END CERTIFICATE-----") is None


def test_digits_that_are_no_date_have_no_validity() -> None:
    """Month 13, and a time of 13 digits."""
    assert validity(pem(b"\x30\x1e\x17\x0d261301000000Z\x17\x0d270101000000Z")) is None
    assert validity(pem(b"\x30\x1e\x17\x0d2601010000000Z\x17\x0d2701010000000Z")) is None
