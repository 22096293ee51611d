"""What a program uses instead of the instance's role: a proxy, other credentials, or a setting.

It reads variables and files, and sends nothing. No value of a variable and no key of a file is kept.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]  # typeshed lacks it

from rolewatch import files
from rolewatch.authority import is_loopback
from rolewatch.imds.host import host_of_url
from rolewatch.text import printable

_KEY = re.compile(r"([A-Za-z_]{1,40})\s*[=:]\s*(ASIA|Ec2InstanceMetadata(?!\S)|\S)")
_TEMPORARY = "ASIA"
"""How the id of a temporary access key begins (IAM user guide, reference_identifiers, 2026)."""
_OWN_ROLE = "Ec2InstanceMetadata"
"""The ``credential_source`` that is the instance's role. ``role_arn`` is the role that is assumed with it."""
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
class Override:
    """Credentials, or a setting, that an SDK uses instead of the instance's role."""

    where: str
    """A variable's name, or ``FILE:LINE``."""
    what: str
    """What it gives, in a few words; never a value."""
    builds_on_role: bool = False
    """Whether it needs the instance's role: a profile that assumes another role with it. That is no fault."""


@dataclass(frozen=True)
class Overrides:
    """All overrides by kind, in the order in which SDKs search."""

    environment: tuple[Override, ...] = ()
    files: tuple[Override, ...] = ()
    container: tuple[Override, ...] = ()
    built_on_role: tuple[Override, ...] = ()
    """Those of the files that need the instance's role."""
    unreadable: tuple[str, ...] = ()
    """Files that may exist and could not be read."""
    proxies: Mapping[str, str] = field(default_factory=dict)
    """The variable that sends requests for IMDS to a proxy, by the client that obeys it."""


@dataclass(frozen=True)
class View:
    """The directories from which a program sees its files."""

    root: Path = Path("/")
    """Its root directory, as this process reaches it."""
    working: Path = Path()
    """Its working directory, likewise."""

    def read(self, path: Path) -> bytes:
        """Return the content of the program's file *path*. Raise `OSError` or `ValueError`.

        The kernel resolves a link with the root of this process. So below another root no link is followed: it would
        lead to a file of this host, which the program does not see.
        """
        begin, name = (self.root, path.relative_to("/")) if path.is_absolute() else (self.working, path)
        if self.root.samefile("/"):
            return files.read(begin / name, limit=_LARGEST, follow_links=True).data
        return files.read_below(begin, name, limit=_LARGEST).data


def find_overrides(environ: Mapping[str, str], home: Path | None, endpoint: str, *, view: View = View()) -> Overrides:
    """Return what overrides the role at *endpoint*, the URL of IMDS, in *environ* and in files below *home*. Total.

    *view* is that of the program: paths are those that it sees.
    """
    unreadable: list[str] = []
    profiles: set[str] = set()
    found = tuple(_files(environ, home, view, unreadable, profiles))
    return Overrides(
        environment=tuple(_environment(environ, endpoint, profiles)),
        files=tuple(each for each in found if not each.builds_on_role),
        built_on_role=tuple(each for each in found if each.builds_on_role),
        container=tuple(_container(environ)),
        unreadable=tuple(unreadable),
        proxies=proxies(endpoint, environ),
    )


def proxies(endpoint: str, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variable that sends requests for *endpoint* to a proxy, for each client that obeys one.

    The AWS SDK for Java opens its connection to IMDS without a proxy (ConnectionUtils.java, 2026).
    """
    parts = urlsplit(endpoint)
    host, port = host_of_url(endpoint), str(parts.port or 80)
    judged = {
        "botocore (AWS CLI)": _proxy_of_botocore(parts.netloc, environ),
        "Go": "" if is_loopback(host) else _proxy_of_go(host, port, environ),
        "curl": _proxy_of_curl(host, environ),
    }
    return {client: variable for client, variable in judged.items() if variable}


def _proxy_of_botocore(netloc: str, environ: Mapping[str, str]) -> str:
    """Return the variable that botocore obeys: as Python's urllib, where a lower-case name wins, even if it is empty.

    Its exceptions are names and the ends of names, not networks (botocore.utils.get_environ_proxies, 1.44).
    """
    variable = "http_proxy" if "http_proxy" in environ or "REQUEST_METHOD" in environ else "HTTP_PROXY"
    excepted = environ.get("no_proxy" if "no_proxy" in environ else "NO_PROXY", "")
    obeyed = environ.get(variable) and not proxy_bypass_environment(netloc, {"no": excepted})
    return variable if obeyed else ""


def _proxy_of_go(host: str, port: str, environ: Mapping[str, str]) -> str:
    """Return the variable that Go's net/http obeys, whose exceptions may be networks and have a port.

    The AWS SDKs for Go use it for IMDS, too (golang.org/x/net/http/httpproxy and aws/transport/http/client.go, 2026).
    """
    variable = _first(environ, "HTTP_PROXY", "http_proxy")
    entries = (entry.strip().lower() for entry in environ.get(_first(environ, "NO_PROXY", "no_proxy"), "").split(","))
    return "" if any(_go_excepts(entry, host, port) for entry in entries) else variable


def _go_excepts(entry: str, host: str, port: str) -> bool:
    if entry == "*" or _is_in(host, entry):
        return True
    name, _, its_port = entry.rpartition(":") if entry.count(":") == 1 or "]:" in entry else (entry, "", "")
    if its_port not in ("", port):
        return False
    end = name.lstrip("*").lstrip(".")
    return bool(end) and (_is_in(host, name.strip("[]") if its_port else name) or host.endswith(f".{end}"))


def _proxy_of_curl(host: str, environ: Mapping[str, str]) -> str:
    """Return the variable that curl obeys. Its exceptions may be networks, since 7.86 (lib/noproxy.c, 8.11)."""
    variable = _first(environ, "http_proxy", "all_proxy", "ALL_PROXY")
    excepted = environ.get(_first(environ, "no_proxy", "NO_PROXY"), "")
    is_excepted = excepted == "*" or any(_is_in(host, entry) for entry in excepted.replace(",", " ").split())
    return "" if is_excepted else variable


def _first(environ: Mapping[str, str], *names: str) -> str:
    """Return the first of *names* that *environ* has with a value, or an empty string."""
    return next((name for name in names if environ.get(name)), "")


def _is_in(host: str, entry: str) -> bool:
    """Return whether *host* is the address *entry*, or is in that network."""
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(entry, strict=False)
    except ValueError:
        return host == entry


def _environment(environ: Mapping[str, str], endpoint: str, profiles: set[str]) -> Iterator[Override]:
    """Yield what *environ* overrides. *profiles* are those that the configuration files have."""
    if environ.get("AWS_ACCESS_KEY_ID"):
        yield Override("AWS_ACCESS_KEY_ID", _key_of(environ["AWS_ACCESS_KEY_ID"]) + ", which every SDK takes first")
    for name in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE"):
        if environ.get(name, "default") not in {"", "default", *profiles}:
            yield Override(name, "a profile that no configuration file has, which SDKs report as an error")
    if environ.get("AWS_EC2_METADATA_DISABLED", "").strip().lower() == "true":
        yield Override("AWS_EC2_METADATA_DISABLED", "SDKs do not ask IMDS at all")
    name = "AWS_EC2_METADATA_SERVICE_ENDPOINT"
    if environ.get(name) and host_of_url(environ[name]) != host_of_url(endpoint):
        yield Override(name, "SDKs ask another address")


def _key_of(text: str) -> str:
    return "a temporary access key (ASIA…), which expires there" if text.startswith(_TEMPORARY) else "an access key"


def _container(environ: Mapping[str, str]) -> Iterator[Override]:
    if environ.get("AWS_WEB_IDENTITY_TOKEN_FILE"):
        yield Override("AWS_WEB_IDENTITY_TOKEN_FILE", "the role of a web identity, as pods on EKS have it")
    for name in ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI"):
        if environ.get(name):
            yield Override(name, "the role of a container (ECS task, EKS Pod Identity)")


def _files(
    environ: Mapping[str, str], home: Path | None, view: View, unreadable: list[str], profiles: set[str]
) -> Iterator[Override]:
    """Yield what the files override; add the names of their profiles to *profiles*."""
    wanted = environ.get("AWS_PROFILE") or environ.get("AWS_DEFAULT_PROFILE") or "default"
    giving: list[tuple[Path, _Line]] = []
    for variable, name in (("AWS_SHARED_CREDENTIALS_FILE", "credentials"), ("AWS_CONFIG_FILE", "config")):
        path = _expanded(environ.get(variable, ""), home) or (home / ".aws" / name if home else None)
        if path is not None:
            for line in _lines(path, view, unreadable):
                profiles.add(line.section)
                if line.section == wanted and line.key in GIVING:
                    giving.append((path, line))
    builds_on_role = any(line.is_own_role and line.key == "credential_source" for _, line in giving)
    for path, line in giving:
        if line.key != "credential_source" or not builds_on_role:
            kind = f": {_key_of(_TEMPORARY)}" if line.is_temporary else ""
            what = f"{line.key} in the profile {printable(wanted)}{kind}"
            yield Override(f"{path}:{line.number}", what, builds_on_role and line.key == "role_arn")
    # botocore reads these last before IMDS, as boto 2 did (botocore/credentials.py, BotoProvider).
    for path in (Path("/etc/boto.cfg"), *([home / ".boto"] if home else [])):
        for line in _lines(path, view, unreadable):
            if line.section == "Credentials" and line.key == "aws_access_key_id":
                yield Override(f"{path}:{line.number}", "aws_access_key_id for boto")


def _expanded(text: str, home: Path | None) -> Path | None:
    if text.startswith("~/") and home is not None:
        return home / text[2:]
    return Path(text) if text else None


@dataclass(frozen=True)
class _Line:
    """A section's header, or a setting that has a value, which is not kept."""

    number: int
    section: str
    key: str = ""
    """Empty for a header."""
    is_temporary: bool = False
    """Whether the value begins like the id of a temporary access key."""
    is_own_role: bool = False
    """Whether the value is `_OWN_ROLE`."""


def _lines(path: Path, view: View, unreadable: list[str]) -> Iterator[_Line]:
    """Yield the headers and settings in *path* in *view*. If it cannot be read, add it to *unreadable*."""
    try:
        data = view.read(path)
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
            yield _Line(number, section)
            continue
        key = _KEY.match(line)  # an indented line belongs to the one above it
        if key:
            value = key.group(2)
            yield _Line(number, section, key.group(1).lower(), value == _TEMPORARY, value == _OWN_ROLE)


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
