"""This host's way to IMDS: routes, counters, settings.

It reads files and variables, and sends nothing.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from rolewatch.imds.host import dmi_instance_id, host_of_url, kernel_text, route_to
from rolewatch.observation import Route

_IMDSD = ("usr/lib/systemd/systemd-imdsd", "lib/systemd/systemd-imdsd")
_IMDSD_OPTION = "systemd.imds.network="
"""On the kernel's command line: ``locked`` or ``unlocked`` (systemd#40980, #41359; systemd 261)."""


@dataclass(frozen=True)
class Host:
    """This host's way to IMDS."""

    address: str
    """The address of IMDS."""
    route: Route | None = None
    """The way that the kernel chooses for it, for this user; None if the kernel cannot be asked."""
    imdsd: bool = False
    """systemd-imdsd is installed."""
    imdsd_network: str = ""
    """Its setting on the kernel's command line: ``locked``, ``unlocked``, or empty."""
    instance_id: str | None = None
    """The instance id in the firmware (DMI, on Nitro), which does not need IMDS."""


def inspect(endpoint: str, *, root: Path = Path("/")) -> Host:
    """Return what the kernel and the files below *root* say about the way to *endpoint*. Total."""
    address = host_of_url(endpoint)
    return Host(
        address=address,
        route=route_to(address, os.getuid()),
        imdsd=any((root / path).exists() for path in _IMDSD),
        imdsd_network=_imdsd_network(kernel_text(root / "proc/cmdline")),
        instance_id=dmi_instance_id(root),
    )


def _imdsd_network(command_line: str) -> str:
    words = [word[len(_IMDSD_OPTION) :] for word in command_line.split() if word.startswith(_IMDSD_OPTION)]
    return words[-1][:20] if words else ""
