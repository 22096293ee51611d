"""Credentials that SDKs find before they ask IMDS, for the current user."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from rolewatch.files import read
from rolewatch.text import printable

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
class Shadow:
    """One thing that keeps an SDK from the instance's role."""

    where: str
    """A variable's name, or ``FILE:LINE``."""
    what: str
    """What it gives, in some words; never a value."""


@dataclass(frozen=True)
class Shadows:
    """All of them, by kind, in the order in which SDKs look."""

    environment: tuple[Shadow, ...] = ()
    files: tuple[Shadow, ...] = ()
    container: tuple[Shadow, ...] = ()
    unreadable: tuple[str, ...] = ()
    """Files that are there and could not be read."""


def look(environ: Mapping[str, str], home: Path | None, *, root: Path = Path("/")) -> Shadows:
    """Look into *environ*, and below *home* and *root*. Total."""
    unreadable: list[str] = []
    return Shadows(
        environment=tuple(_environment(environ)),
        files=tuple(_files(environ, home, root, unreadable)),
        container=tuple(_container(environ)),
        unreadable=tuple(unreadable),
    )


def _environment(environ: Mapping[str, str]) -> Iterator[Shadow]:
    if environ.get("AWS_ACCESS_KEY_ID"):
        yield Shadow("AWS_ACCESS_KEY_ID", "an access key, which every SDK takes first")
    for name in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE"):
        if environ.get(name):
            yield Shadow(name, "a profile of the configuration files instead of the default one")
    if environ.get("AWS_EC2_METADATA_DISABLED", "").strip().lower() == "true":
        yield Shadow("AWS_EC2_METADATA_DISABLED", "SDKs do not ask IMDS at all")


def _container(environ: Mapping[str, str]) -> Iterator[Shadow]:
    if environ.get("AWS_WEB_IDENTITY_TOKEN_FILE"):
        yield Shadow("AWS_WEB_IDENTITY_TOKEN_FILE", "the role of a web identity, as pods on EKS have it")
    for name in ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI"):
        if environ.get(name):
            yield Shadow(name, "the role of a container (ECS task, EKS Pod Identity)")


def _files(environ: Mapping[str, str], home: Path | None, root: Path, unreadable: list[str]) -> Iterator[Shadow]:
    wanted = environ.get("AWS_PROFILE") or environ.get("AWS_DEFAULT_PROFILE") or "default"
    for variable, name in (("AWS_SHARED_CREDENTIALS_FILE", "credentials"), ("AWS_CONFIG_FILE", "config")):
        path = _path(environ.get(variable, ""), home) or (home / ".aws" / name if home else None)
        if path is not None:
            for section, key, line in _keys(path, unreadable):
                if section == wanted and key in GIVING:
                    yield Shadow(f"{path}:{line}", f"{key} in the profile {printable(section)}")
    # botocore reads these last before IMDS, as boto 2 did (botocore/credentials.py, BotoProvider).
    for path in (root / "etc/boto.cfg", *([home / ".boto"] if home else [])):
        for section, key, line in _keys(path, unreadable):
            if section == "Credentials" and key == "aws_access_key_id":
                yield Shadow(f"{path}:{line}", "aws_access_key_id for boto")


def _path(text: str, home: Path | None) -> Path | None:
    if text.startswith("~/") and home is not None:
        return home / text[2:]
    return Path(text) if text else None


def _keys(path: Path, unreadable: list[str]) -> Iterator[tuple[str, str, int]]:
    """Yield section, key and line of what *path* sets. Values are not looked at beyond there being one."""
    try:
        data = read(path, limit=_LARGEST, follow_links=True).data
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
