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
    return next(iter(_metadata("Version")), "0+unknown")


def project_url(label: str) -> str:
    """Return the address of the project that `pyproject.toml` calls *label*; empty where there is none.

    Looked up like the version, and for the same reason.
    """
    found = (line.partition(", ") for line in _metadata("Project-URL"))
    return next((url for name, _, url in found if name == label), "")


def _metadata(field: str) -> list[str]:
    """Return the values of *field*, as an installation has them beside this package; or, in a tree, for it."""
    from email.parser import HeaderParser  # noqa: PLC0415 - not for who asks for nothing; the daemon has it anyway
    from pathlib import Path  # noqa: PLC0415 - likewise

    beside = next(Path(__file__).parents[1].glob("rolewatch-*.dist-info/METADATA"), None)
    if beside is not None:
        return HeaderParser().parsestr(beside.read_text(encoding="utf-8")).get_all(field) or []
    from importlib.metadata import PackageNotFoundError, metadata  # noqa: PLC0415 - 0.5 MiB, which the daemon would keep

    try:
        return metadata("rolewatch").get_all(field) or []
    except PackageNotFoundError:
        return []
