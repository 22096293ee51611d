"""The daemon with ``[metrics.tls]``: what a scraper sees of a renewal, and what an operator reads of a broken one."""

from __future__ import annotations

import signal
import socket
import ssl
from pathlib import Path

import pytest

from certificates import Authority, Pair
from daemon_process import config, daemon
from rolewatch.simulator import Simulator


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Return the CA of daemon and scrapers."""
    return Authority(tmp_path)


def settings(directory: Path, simulator: Simulator, pair: Pair, ca: str = "") -> Path:
    """Write a settings file with TLS; *ca* is the client CA."""
    table = f'[metrics.tls]\ncert_file = "{pair.cert}"\nkey_file = "{pair.key}"\nclient_ca_file = "{ca}"\n'
    return config(directory, simulator, table)


def connect(address: object, context: ssl.SSLContext) -> ssl.SSLSocket:
    """Return a connection to the daemon whose handshake is done."""
    host, _, port = str(address).rpartition(":")
    return context.wrap_socket(socket.create_connection((host, int(port)), timeout=10), server_hostname=host)


def finish(connection: ssl.SSLSocket) -> str:
    """Send a request's end, and return the answer."""
    connection.sendall(b"etrics HTTP/1.1\r\n\r\n")
    data = b""
    while chunk := connection.recv(1 << 16):
        data += chunk
    return data.decode()


def scrape(address: object, context: ssl.SSLContext) -> tuple[bytes, str]:
    """Return the certificate that the daemon shows, and its page."""
    with connect(address, context) as connection:
        certificate = connection.getpeercert(binary_form=True)
        connection.sendall(b"GET /m")
        page = finish(connection)
    assert certificate
    return certificate, page


def der(pair: Pair) -> bytes:
    """Return the certificate of *pair*."""
    text = pair.cert.read_text()
    return ssl.PEM_cert_to_DER_cert(text[text.index("-----BEGIN CERT") :])


def test_a_renewed_certificate_is_shown_after_sighup(
    simulator: Simulator, authority: Authority, tmp_path: Path
) -> None:
    """The renewer writes into the same files and runs `systemctl reload rolewatch`; no connection is cut off."""
    pair, renewed = authority.issue(), authority.issue()
    path = settings(tmp_path, simulator, pair)
    with daemon("--config", str(path)) as process:
        started = process.wait_for("started")
        address = started["listen"]
        assert f"metrics on https://{address}." in str(started["message"])
        assert scrape(address, authority.trusting())[0] == der(pair)
        with connect(address, authority.trusting()) as begun:
            begun.sendall(b"GET /m")
            pair.replace_by(renewed)
            process.popen.send_signal(signal.SIGHUP)
            assert process.wait_for("config_reloaded")["message"] == "The settings were read again and are in force."

            assert scrape(address, authority.trusting())[0] == der(renewed)
            assert "rolewatch_build_info" in finish(begun)


def test_a_broken_renewal_keeps_the_old_certificate_and_is_reported(
    simulator: Simulator, authority: Authority, tmp_path: Path
) -> None:
    """As where the reload comes between certificate and key. It is counted, and over with the next good reload."""
    pair, renewed = authority.issue(), authority.issue()
    old = der(pair)
    path = settings(tmp_path, simulator, pair)
    with daemon("--config", str(path)) as process:
        address = process.wait_for("started")["listen"]
        pair.cert.write_bytes(renewed.cert.read_bytes())
        process.popen.send_signal(signal.SIGHUP)
        rejected = process.wait_for("config_rejected")
        shown, page = scrape(address, authority.trusting())
        pair.replace_by(renewed)
        process.popen.send_signal(signal.SIGHUP)
        process.wait_for("config_reloaded")
        shown_then, page_then = scrape(address, authority.trusting())

    assert f"{pair.key}, which is not the key of the certificate" in str(rejected["message"])
    assert (shown, shown_then) == (old, der(renewed))
    assert "rolewatch_config_last_reload_successful 0.0" in page
    assert "rolewatch_config_last_reload_successful 1.0" in page_then


def test_a_key_that_is_missing_at_a_reload_is_reported_and_the_old_pair_stays(
    simulator: Simulator, authority: Authority, tmp_path: Path
) -> None:
    """A renewer may move the old key away before the new one is there."""
    pair = authority.issue()
    old = der(pair)
    with daemon("--config", str(settings(tmp_path, simulator, pair))) as process:
        address = process.wait_for("started")["listen"]
        pair.key.unlink()
        process.popen.send_signal(signal.SIGHUP)
        rejected = process.wait_for("config_rejected")

        assert scrape(address, authority.trusting())[0] == old
        assert process.popen.poll() is None

    assert f"metrics.tls.key_file is {pair.key}, which does not exist" in str(rejected["message"])


def test_tls_and_the_client_ca_come_and_go_with_a_reload(
    simulator: Simulator, authority: Authority, tmp_path: Path
) -> None:
    """Of `[metrics]` this and `allowed_hosts` need no restart."""
    pair, scraper = authority.issue(), authority.issue("prometheus")
    path = settings(tmp_path, simulator, pair)
    with daemon("--config", str(path)) as process:
        address = process.wait_for("started")["listen"]
        settings(tmp_path, simulator, pair, str(authority.own.cert))
        process.popen.send_signal(signal.SIGHUP)
        assert "restart" not in str(process.wait_for("config_reloaded")["message"])

        assert "rolewatch_build_info" in scrape(address, authority.trusting(scraper))[1]
        with pytest.raises(ssl.SSLError, match="CERTIFICATE_REQUIRED"):
            scrape(address, authority.trusting())


@pytest.mark.parametrize(("listen", "status"), [("missing.crt", 69), ("", 78)], ids=["file missing", "half of it"])
def test_a_certificate_that_cannot_be_used_ends_the_start(
    simulator: Simulator, authority: Authority, tmp_path: Path, listen: str, status: int
) -> None:
    """A file may come later, so that systemd tries again (69); settings that are wrong stay wrong (78)."""
    pair = authority.issue()
    path = config(
        tmp_path,
        simulator,
        f'[metrics.tls]\nkey_file = "{pair.key}"\n' + (f'cert_file = "{tmp_path / listen}"\n' if listen else ""),
    )
    with daemon("--config", str(path)) as process:
        assert process.exit_status() == status

    (line,) = process.other
    assert line.startswith("rolewatch: ")
    assert "metrics.tls.cert_file" in line


def test_a_key_that_is_missing_ends_the_start_with_its_name(
    simulator: Simulator, authority: Authority, tmp_path: Path
) -> None:
    """The certificate alone may be there, while a renewal is going on."""
    pair, missing = authority.issue(), tmp_path / "missing.key"
    text = f'[metrics.tls]\ncert_file = "{pair.cert}"\nkey_file = "{missing}"\n'
    with daemon("--config", str(config(tmp_path, simulator, text))) as process:
        assert process.exit_status() == 69

    (line,) = process.other
    assert f"metrics.tls.key_file is {missing}, which does not exist" in line


def test_a_doubtful_certificate_is_reported_at_start_and_reload(
    simulator: Simulator, authority: Authority, tmp_path: Path
) -> None:
    """Here a key that every user may read."""
    pair = authority.issue()
    pair.key.chmod(0o644)
    path = settings(tmp_path, simulator, pair)
    with daemon("--config", str(path)) as process:
        warned = process.wait_for("config_warning")
        process.wait_for("started")
        process.popen.send_signal(signal.SIGHUP)
        reloaded = process.wait_for("config_reloaded")

    warning = f"every user of this host may read the private key in {pair.key}"
    assert [warning in str(event["message"]) for event in (warned, reloaded)] == [True, True]
