"""This host's way to IMDS: routes, counters, settings.

It reads files and variables, and sends nothing.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Optional

from rolewatch.imds.host import dmi_instance_id, host_of_url, kernel_text, route_to
from rolewatch.observation import Route

Runner = Callable[[Sequence[str]], Optional[str]]
"""Run a command and return what it printed; None where it cannot be run or fails."""

_IMDSD = ("usr/lib/systemd/systemd-imdsd", "lib/systemd/systemd-imdsd")
_IMDSD_OPTION = "systemd.imds.network="
"""On the kernel's command line: ``locked`` or ``unlocked`` (systemd#40980, #41359; systemd 261)."""
_ETHTOOL = ("/usr/sbin/ethtool", "/sbin/ethtool", "/usr/bin/ethtool")


@dataclass(frozen=True)
class Host:
    """This host's way to IMDS."""

    address: str
    """The address of IMDS."""
    route: Route | None = None
    """The way that the kernel chooses for it, for this user; None if the kernel cannot be asked."""
    allowance_exceeded: int | None = None
    """Packets to link-local addresses that the ENA driver's device has dropped since boot; None if unavailable."""
    imdsd: bool = False
    """systemd-imdsd is installed."""
    imdsd_network: str = ""
    """Its setting on the kernel's command line: ``locked``, ``unlocked``, or empty."""
    instance_id: str | None = None
    """The instance id in the firmware (DMI, on Nitro), which does not need IMDS."""


def inspect(endpoint: str, *, root: Path = Path("/"), run: Runner | None = None) -> Host:
    """Return what the kernel and the files below *root* say about the way to *endpoint*. Total."""
    address = host_of_url(endpoint)
    route = route_to(address, os.getuid())
    interface = route.interface if route else ""
    return Host(
        address=address,
        route=route,
        allowance_exceeded=_allowance(interface, run or execute) if interface else None,
        imdsd=any((root / path).exists() for path in _IMDSD),
        imdsd_network=_imdsd_network(kernel_text(root / "proc/cmdline")),
        instance_id=dmi_instance_id(root),
    )


def execute(command: Sequence[str]) -> str | None:
    """Run *command* for two seconds at most."""
    try:
        done = subprocess.run(  # noqa: S603 - a fixed program, and an interface's name from the kernel
            list(command), stdin=subprocess.DEVNULL, capture_output=True, timeout=2, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.decode("utf-8", "replace")


def _allowance(interface: str, run: Runner) -> int | None:
    """Return ENA's counter of dropped link-local packets (EC2 user guide, monitoring-network-performance-ena, 2026)."""
    for program in _ETHTOOL:
        for line in (run([program, "-S", interface]) or "").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "linklocal_allowance_exceeded" and value.strip().isdigit():
                return int(value)
    return None


def _imdsd_network(command_line: str) -> str:
    words = [word[len(_IMDSD_OPTION) :] for word in command_line.split() if word.startswith(_IMDSD_OPTION)]
    return words[-1][:20] if words else ""
