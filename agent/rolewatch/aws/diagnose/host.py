"""This host's way to IMDS (routes, counters, settings), and the credentials that SDKs find before IMDS's.

It reads files and variables, and sends nothing.
"""

from __future__ import annotations

import ipaddress
import os
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Optional

from rolewatch import files
from rolewatch.imds.host import dmi_instance_id, host_of_url, kernel_text, route_to
from rolewatch.observation import Route
from rolewatch.text import printable

Runner = Callable[[Sequence[str]], Optional[str]]
"""Run a command and return what it printed; None where it cannot be run or fails."""

_IMDSD = ("usr/lib/systemd/systemd-imdsd", "lib/systemd/systemd-imdsd")
_IMDSD_OPTION = "systemd.imds.network="
"""On the kernel's command line: ``locked`` or ``unlocked`` (systemd#40980, #41359; systemd 261)."""
_ETHTOOL = ("/usr/sbin/ethtool", "/sbin/ethtool", "/usr/bin/ethtool")
_PROXIES = ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY")
_KEY = re.compile(r"([A-Za-z_]{1,40})\s*[=:]\s*\S")
_LONGEST_SECTION = 128
_LARGEST = 1 << 18
"""Bytes of a file; one of a thousand profiles has 200 kB."""

GIVING = frozenset(
    {
        "aws_access_key_id",
        "credential_process",
        "credential_source",
        "login_session",
        "role_arn",
        "sso_session",
        "sso_start_url",
        "web_identity_token_file",
    }
)
"""Keys of a profile that give credentials (AWS SDKs and Tools Reference Guide, settings reference, 2026)."""


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
    proxies: tuple[str, ...] = ()
    """Names of the variables that would send a request for IMDS to a proxy. Their values may contain a password."""


def inspect(endpoint: str, environ: Mapping[str, str], *, root: Path = Path("/"), run: Runner | None = None) -> Host:
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
        proxies=proxies(address, environ),
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


def proxies(host: str, environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return the names of the variables that would send a request for *host* to a proxy, as most SDKs read them."""
    excepted = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
    if any(_excepts(each.strip(), host) for each in excepted.split(",")):
        return ()
    return tuple(name for name in _PROXIES if environ.get(name, "").strip())


def _excepts(exception: str, host: str) -> bool:
    """Return whether an entry of no_proxy is about *host*: ``*``, the host, a domain's end, or a network."""
    if exception == "*":
        return True
    name = exception.partition(":")[0] if exception.count(":") == 1 else exception.strip("[]")
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(name, strict=False)
    except ValueError:
        return bool(name) and (host == name or host.endswith("." + name.lstrip(".")))


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


@dataclass(frozen=True)
class Override:
    """Credentials, or a setting, that an SDK uses instead of the instance's role."""

    where: str
    """A variable's name, or ``FILE:LINE``."""
    what: str
    """What it gives, in a few words; never a value."""


@dataclass(frozen=True)
class Overrides:
    """All overrides by kind, in the order in which SDKs search."""

    environment: tuple[Override, ...] = ()
    files: tuple[Override, ...] = ()
    container: tuple[Override, ...] = ()
    unreadable: tuple[str, ...] = ()
    """Files that exist and could not be read."""


def find_overrides(environ: Mapping[str, str], home: Path | None, *, root: Path = Path("/")) -> Overrides:
    """Return what overrides the role in *environ* and in the files below *home* and *root*. Total."""
    unreadable: list[str] = []
    return Overrides(
        environment=tuple(_environment(environ)),
        files=tuple(_files(environ, home, root, unreadable)),
        container=tuple(_container(environ)),
        unreadable=tuple(unreadable),
    )


def _environment(environ: Mapping[str, str]) -> Iterator[Override]:
    if environ.get("AWS_ACCESS_KEY_ID"):
        yield Override("AWS_ACCESS_KEY_ID", "an access key, which every SDK takes first")
    for name in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE"):
        if environ.get(name):
            yield Override(name, "a profile of the configuration files instead of the default one")
    if environ.get("AWS_EC2_METADATA_DISABLED", "").strip().lower() == "true":
        yield Override("AWS_EC2_METADATA_DISABLED", "SDKs do not ask IMDS at all")


def _container(environ: Mapping[str, str]) -> Iterator[Override]:
    if environ.get("AWS_WEB_IDENTITY_TOKEN_FILE"):
        yield Override("AWS_WEB_IDENTITY_TOKEN_FILE", "the role of a web identity, as pods on EKS have it")
    for name in ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI"):
        if environ.get(name):
            yield Override(name, "the role of a container (ECS task, EKS Pod Identity)")


def _files(environ: Mapping[str, str], home: Path | None, root: Path, unreadable: list[str]) -> Iterator[Override]:
    wanted = environ.get("AWS_PROFILE") or environ.get("AWS_DEFAULT_PROFILE") or "default"
    for variable, name in (("AWS_SHARED_CREDENTIALS_FILE", "credentials"), ("AWS_CONFIG_FILE", "config")):
        path = _expanded(environ.get(variable, ""), home) or (home / ".aws" / name if home else None)
        if path is not None:
            for section, key, line in _keys(path, unreadable):
                if section == wanted and key in GIVING:
                    yield Override(f"{path}:{line}", f"{key} in the profile {printable(section)}")
    # botocore reads these last before IMDS, as boto 2 did (botocore/credentials.py, BotoProvider).
    for path in (root / "etc/boto.cfg", *([home / ".boto"] if home else [])):
        for section, key, line in _keys(path, unreadable):
            if section == "Credentials" and key == "aws_access_key_id":
                yield Override(f"{path}:{line}", "aws_access_key_id for boto")


def _expanded(text: str, home: Path | None) -> Path | None:
    if text.startswith("~/") and home is not None:
        return home / text[2:]
    return Path(text) if text else None


def _keys(path: Path, unreadable: list[str]) -> Iterator[tuple[str, str, int]]:
    """Yield section, key and line of each setting in *path* that has a value. Values are not kept."""
    try:
        data = files.read(path, limit=_LARGEST, follow_links=True).data
    except (FileNotFoundError, NotADirectoryError):
        return
    except (OSError, ValueError):
        unreadable.append(str(path))
        return
    section = ""
    for number, line in enumerate(data.decode("utf-8", "replace").splitlines(), 1):
        heading = _section(line)
        if heading is not None:
            section = heading
            continue
        key = _KEY.match(line)  # an indented line belongs to the one above it
        if key:
            yield section, key.group(1).lower(), number


def _section(line: str) -> str | None:
    """Return the name in a section's header: ``[default]``, ``[profile "ci"]``. None where *line* is no header.

    Empty for a name that no SDK would take: the keys below it belong to no profile.
    """
    inside, bracket, _ = line[1:].partition("]")
    if not line.startswith("[") or not bracket:
        return None
    name = inside.strip()
    words = name.split(None, 1)
    if len(words) > 1 and words[0] == "profile":
        name = words[1]
    if name.startswith('"') and name.endswith('"') and len(name) > 1:
        name = name[1:-1]
    return name.strip() if len(name) <= _LONGEST_SECTION and '"' not in name else ""
