"""rolewatch watches the credentials that an EC2 instance gets from its role, and names what is wrong."""

from __future__ import annotations


def __getattr__(name: str) -> str:
    """Look `__version__` up in the installed metadata, when somebody asks for it.

    The version stands in `pyproject.toml` alone.
    In a tree that was never installed there is no metadata, and the answer is ``0+unknown``.
    """
    if name != "__version__":
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415 - costs 8 ms

    try:
        return version("rolewatch")
    except PackageNotFoundError:
        return "0+unknown"


def project_url(label: str) -> str:
    """Return the address of the project that `pyproject.toml` calls *label*; empty where there is none.

    Looked up like the version, and for the same reason.
    """
    from importlib.metadata import PackageNotFoundError, metadata  # noqa: PLC0415 - costs 8 ms

    try:
        lines = metadata("rolewatch").get_all("Project-URL") or ()
    except PackageNotFoundError:
        return ""
    found = (line.partition(", ") for line in lines)
    return next((url for name, _, url in found if name == label), "")
