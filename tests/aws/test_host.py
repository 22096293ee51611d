"""The host's way to IMDS, read from recorded /proc files."""

from __future__ import annotations

from pathlib import Path

import pytest

from rolewatch.aws.diagnose.host import Host, inspect
from rolewatch.observation import RouteKind

ENDPOINT = "http://169.254.169.254"


def tree(root: Path, files: dict[str, str]) -> Path:
    """Write *files* below *root*."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def inspected(root: Path, endpoint: str = ENDPOINT, **files: str) -> Host:
    """Return what is found on a host with *files*."""
    return inspect(endpoint, root=tree(root, files))


def test_the_kernel_names_the_way(tmp_path: Path) -> None:
    """Loopback is this host itself. Other ways are built in tests/integration/test_errno_table.py."""
    found = inspect("http://127.0.0.1:1338", root=tmp_path)

    assert found.route is not None
    assert (found.route.kind, found.route.interface) == (RouteKind.LOCAL, "lo")


def test_imdsd_and_its_option_are_seen(tmp_path: Path) -> None:
    """The binary, and its setting on the kernel's command line; the last one counts."""
    found = inspected(
        tmp_path,
        **{
            "usr/lib/systemd/systemd-imdsd": "",
            "proc/cmdline": "ro systemd.imds.network=unlocked systemd.imds.network=locked quiet\n",
        },
    )

    assert (found.imdsd, found.imdsd_network) == (True, "locked")


@pytest.mark.parametrize(
    ("tag", "expected"), [("i-0123456789abcdef0\n", "i-0123456789abcdef0"), ("Not Specified\n", None), ("", None)]
)
def test_nitro_gives_the_instance_id_without_imds(tmp_path: Path, tag: str, expected: str | None) -> None:
    """The fix can be filled in even where IMDS does not answer."""
    assert inspected(tmp_path, **{"sys/devices/virtual/dmi/id/board_asset_tag": tag}).instance_id == expected


def test_a_named_endpoint_is_taken_as_it_is(tmp_path: Path) -> None:
    """Nothing is resolved: that would be a packet."""
    assert inspect("http://imds.example", root=tmp_path).route is None
