"""The validity of a certificate, as OpenSSL has it."""

from __future__ import annotations

import base64
from datetime import datetime, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certificates import KEY, Authority, openssl
from rolewatch.http.tls import pem_blocks, validity


def pem(der: bytes) -> str:
    """Return *der* between its marks."""
    return f"-----BEGIN CERTIFICATE-----\n{base64.encodebytes(der).decode()}-----END CERTIFICATE-----\n"


@pytest.mark.parametrize("days", [1, 90, 15_000], ids=["a day", "90 days", "beyond 2050, in the other form"])
def test_the_validity_is_what_openssl_says(tmp_path: Path, days: int) -> None:
    """Of the first certificate of a chain, whatever people write before it."""
    made = Authority(tmp_path).issue(days=days)
    chain = f"issued by us\n{made.cert.read_text()}{(tmp_path / 'ca.crt').read_text()}"
    said = openssl("x509", "-in", made.cert, "-noout", "-dates").splitlines()

    assert validity(chain) == tuple(
        datetime.strptime(line.partition("=")[2], "%b %d %H:%M:%S %Y GMT").replace(tzinfo=timezone.utc) for line in said
    )


def test_a_certificate_of_the_first_version_has_one_too(tmp_path: Path) -> None:
    """It has one field less before it."""
    request, key, cert = tmp_path / "csr", tmp_path / "key", tmp_path / "crt"
    openssl("req", "-new", "-newkey", *KEY, "-nodes", "-keyout", key, "-out", request, "-subj", "/CN=x")
    openssl("x509", "-req", "-in", request, "-key", key, "-days", "3", "-out", cert)
    found = validity(cert.read_text())

    assert "Version: 1 (0x0)" in openssl("x509", "-in", cert, "-noout", "-text")
    assert found
    assert (found.ends - found.begins).days == 3


@given(st.binary(max_size=200) | st.lists(st.sampled_from([0x30, 0x80, 0xA0, 0x02, 0x17, 0x81, 0xFF])).map(bytes))
def test_what_is_no_certificate_has_none(der: bytes) -> None:
    """Whatever its bytes are: nothing hangs on them, and nothing is raised."""
    assert validity(pem(der)) is None


def test_a_block_without_an_end_is_left_out() -> None:
    """And the others are found in time that is linear: a file may have a mebibyte of beginnings."""
    whole = pem(b"x")
    begins = "-----BEGIN CERTIFICATE-----\n" * 30_000

    assert list(pem_blocks(f"a\n{whole}b\n{whole}{begins}")) == [whole.rstrip("\n")] * 2


@given(st.text())
def test_what_is_no_pem_has_none(text: str) -> None:
    """Likewise."""
    assert validity(text) is None
    assert validity(f"-----BEGIN CERTIFICATE-----{text}-----END CERTIFICATE-----") is None
