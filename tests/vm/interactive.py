"""`make vm`: boot the machine of Debian 12 and leave it to a person, until Ctrl-C."""

from __future__ import annotations

import contextlib
import tempfile
import threading
from pathlib import Path

from vm.guests import cloud_config, launched, repository


def main() -> None:
    """Boot, say how to look at it, and wait."""
    with (
        tempfile.TemporaryDirectory() as directory,
        repository() as port,
        launched("bookworm", cloud_config(quick=False), Path(directory), port) as (machine, imds),
    ):
        print("Booting, and cloud-init installs rolewatch: a minute or two …", flush=True)
        machine.wait_until_up()
        print("A shell on the instance:\n  " + " ".join(machine.login()))
        print(f"Its page, as Prometheus sees it:\n  curl http://127.0.0.1:{machine.metrics_port}/metrics")
        print(f"Break the role, and mend it:\n  curl -X PUT -d assume_role_unauthorized {imds.control}/scenario")
        print(f"  curl -X PUT -d healthy {imds.control}/scenario")
        print("On the instance: systemctl status rolewatch, journalctl -xu rolewatch, rolewatch check")
        print("Ctrl-C switches it off.", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()


if __name__ == "__main__":
    main()
