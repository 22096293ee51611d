"""`make vm`: boot the machine of Debian 12 and leave it to a person, until Ctrl-C."""

from __future__ import annotations

import functools
import http.server
import sys
import tempfile
import threading
from datetime import datetime, timezone
from pathlib import Path

from rolewatch.simulator import Simulator
from vm.guests import DIST, ROLE, QuietFiles, cloud_config
from vm.image import image
from vm.machine import Machine


def main() -> None:
    """Boot, say how to look at it, and wait."""
    files = functools.partial(QuietFiles, directory=str(DIST / "repo"))
    repository = http.server.ThreadingHTTPServer(("127.0.0.1", 0), files)
    threading.Thread(target=repository.serve_forever, daemon=True).start()
    user_data = cloud_config(quick=False)
    now = lambda: datetime.now(timezone.utc)  # noqa: E731 - a clock
    with (
        tempfile.TemporaryDirectory() as directory,
        Simulator(now=now, role=ROLE, user_data=user_data, control_port=0) as imds,
    ):
        port = int(imds.endpoint.rpartition(":")[2])
        with Machine(image("bookworm"), Path(directory), port, repository.server_port) as machine:
            print("Booting, and cloud-init installs rolewatch: a minute or two …", flush=True)
            machine.wait_until_up()
            print("A shell on the instance:\n  " + " ".join(machine.login()))
            print(f"Its page, as Prometheus sees it:\n  curl http://127.0.0.1:{machine.metrics_port}/metrics")
            print(f"Break the role, and mend it:\n  curl -X PUT -d assume_role_unauthorized {imds.control}/scenario")
            print(f"  curl -X PUT -d healthy {imds.control}/scenario")
            print("On the instance: systemctl status rolewatch, journalctl -xu rolewatch, rolewatch check")
            print("Ctrl-C switches it off.", flush=True)
            try:
                threading.Event().wait()
            except KeyboardInterrupt:
                sys.exit(0)


if __name__ == "__main__":
    main()
