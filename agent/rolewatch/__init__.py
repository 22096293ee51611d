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
