"""TLS as docs/install.md has it where the key stays root's: systemd hands it in."""

from __future__ import annotations

from pathlib import Path

from certificates import Authority
from vm.machine import Machine

SETTINGS = "/etc/rolewatch/conf.d/70-tls.toml"
DROP_IN = "/run/systemd/system/rolewatch.service.d/tls.conf"
KEY = "/etc/ssl/private/rolewatch-test.key"
CERTIFICATE = "/etc/rolewatch/tls.crt"
CA = "/root/ca.crt"
RESTART = "systemctl daemon-reload; systemctl restart rolewatch.service"


def pages(machine: Machine, directory: Path) -> tuple[str, str]:
    """Return the metrics that *machine* gives over TLS, and the status that it gives without; then take all back."""
    authority = Authority(directory)
    pair = authority.issue()
    machine.copy(authority.own.cert, CA)
    machine.copy(pair.cert, CERTIFICATE)
    machine.copy(pair.key, KEY)
    machine.run(f"chown root:root {KEY}; chmod 0600 {KEY}")
    machine.write(
        SETTINGS,
        f'[metrics.tls]\ncert_file = "{CERTIFICATE}"\nkey_file = "/run/credentials/rolewatch.service/tls.key"\n',
    )
    machine.write(DROP_IN, f"[Service]\nLoadCredential=tls.key:{KEY}\n")
    try:
        machine.run(RESTART)
        shown = machine.wait_until(
            lambda: machine.run(f"curl --silent --cacert {CA} https://localhost:10169/metrics", check=False).out,
            "the page comes over TLS",
            look=lambda: machine.run("journalctl --unit=rolewatch.service --lines=5", check=False).out,
        )
        plain = machine.run("curl --silent --output /dev/null --write-out '%{http_code}' http://localhost:10169/").out
    finally:
        machine.run(f"rm {SETTINGS} {DROP_IN} {CERTIFICATE} {KEY} {CA}; {RESTART}")
    return shown, plain


def assert_spoken(machine: Machine, directory: Path) -> None:
    """Hold *machine* to TLS: the metrics come over it, and who asks without is told."""
    shown, plain = pages(machine, directory)
    assert "rolewatch_build_info" in shown
    assert plain == "400"
