"""The cloud-init files: cloud-init takes them, and what they write and run does what it should."""

from __future__ import annotations

import hashlib
import http.server
import os
import re
import shutil
import ssl
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from rolewatch import config

yaml = pytest.importorskip("yaml", reason="PyYAML is not among these libraries; `make test` has it on the newest")

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "packaging/cloud-init").glob("*.yaml"))
FROM_FILE = ROOT / "packaging/cloud-init/from-file.yaml"
TOOLS = ("sh", "mktemp", "rm", "chmod", "curl", "sha256sum")
"""What the script may take for granted."""
SELF_SIGNED = (
    "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost "
    "-keyout key.pem -out cert.pem"
)
each_file = pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
needs_cloud_init = pytest.mark.skipif(shutil.which("cloud-init") is None, reason="cloud-init is not installed")


def written(path: Path) -> dict[str, str]:
    """Return what *path* writes, by the name of the file."""
    return {each["path"]: each["content"] for each in yaml.safe_load(path.read_text(encoding="utf-8"))["write_files"]}


def schema(path: Path) -> subprocess.CompletedProcess[str]:
    """Let cloud-init validate *path*."""
    return subprocess.run(
        ["cloud-init", "schema", "--config-file", str(path)], capture_output=True, text=True, check=False
    )


@needs_cloud_init
@each_file
def test_cloud_init_takes_the_file(path: Path) -> None:
    """By its own schema."""
    done = schema(path)

    assert done.returncode == 0, done.stdout + done.stderr


@needs_cloud_init
@pytest.mark.parametrize(
    ("old", "new"), [("package_update: true", "package_update: perhaps"), ("packages: [rolewatch]", "packages: {a: 1}")]
)
def test_cloud_init_refuses_a_file_with_a_mistake(old: str, new: str, tmp_path: Path) -> None:
    """So the test above does not pass because it checks nothing."""
    text = (ROOT / "packaging/cloud-init/debian.yaml").read_text(encoding="utf-8")
    assert old in text
    (tmp_path / "wrong.yaml").write_text(text.replace(old, new), encoding="utf-8")

    assert schema(tmp_path / "wrong.yaml").returncode == 1


@each_file
def test_user_data_is_small_enough(path: Path) -> None:
    """EC2 takes 16 KiB, and the key of a repository has some three."""
    assert path.stat().st_size < 8 * 1024


@each_file
def test_what_to_change_is_said_and_is_a_reserved_name(path: Path) -> None:
    """Each place is marked, and forgotten it leads nowhere."""
    text = path.read_text(encoding="utf-8")

    assert text.count("# CHANGE: ") >= 2
    assert set(re.findall(r"https?://([^/\s]+)", text)) == {"packages.example.org"}


@each_file
def test_the_settings_that_are_written_can_be_used(path: Path, tmp_path: Path) -> None:
    """Rolewatch itself reads them."""
    site = tmp_path / "50-site.toml"
    site.write_text(written(path)["/etc/rolewatch/conf.d/50-site.toml"], encoding="utf-8")
    loaded = config.load(site, environ={}, flags={})

    assert loaded.settings.expect.role == ("app-prod",)
    assert loaded.warnings == ()


@pytest.mark.parametrize("name", ["debian.yaml", "amazon-linux.yaml"])
def test_a_key_that_is_filled_in_arrives_as_it_is(name: str, tmp_path: Path) -> None:
    """With its empty line and its checksum, moved in as far as the line that it replaces."""
    line = "      -----BEGIN PGP PUBLIC KEY BLOCK-----\n"
    key = "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmQGNBGdExample\n=Ab1/\n-----END PGP PUBLIC KEY BLOCK-----\n"
    text = (ROOT / "packaging/cloud-init" / name).read_text(encoding="utf-8")
    assert text.count(line) == 1
    filled_in = tmp_path / name
    filled_in.write_text(text.replace(line, textwrap.indent(key, "      ")), encoding="utf-8")

    assert key in written(filled_in).values()


def test_the_repositories_lie_where_make_repo_puts_them() -> None:
    """apt/ with dists/stable and main, rpm/, and the key beside both."""
    maker = (ROOT / "packaging/make-repository").read_text(encoding="utf-8")
    apt = written(ROOT / "packaging/cloud-init/debian.yaml")["/etc/apt/sources.list.d/rolewatch.list"]
    yum = yaml.safe_load((ROOT / "packaging/cloud-init/amazon-linux.yaml").read_text("utf-8"))["yum_repos"]["rolewatch"]

    assert apt.split()[2:] == ["https://packages.example.org/rolewatch/apt", "stable", "main"]
    assert yum["baseurl"] == "https://packages.example.org/rolewatch/rpm/"
    for place in ("$directory/apt", "$directory/rpm", "dists/stable/main", "$directory/rolewatch.asc"):
        assert place in maker


def test_both_kinds_of_repository_are_read_only_with_the_key_that_is_written() -> None:
    """Packages and index are checked, and with no other key of the host's."""
    debian, amazon = written(ROOT / "packaging/cloud-init/debian.yaml"), ROOT / "packaging/cloud-init/amazon-linux.yaml"
    yum = yaml.safe_load(amazon.read_text("utf-8"))["yum_repos"]["rolewatch"]

    assert "[signed-by=/etc/apt/keyrings/rolewatch.asc]" in debian["/etc/apt/sources.list.d/rolewatch.list"]
    assert "/etc/apt/keyrings/rolewatch.asc" in debian
    assert (yum["gpgcheck"], yum["repo_gpgcheck"]) == (True, True)
    assert yum["gpgkey"].partition("file://")[2] in written(amazon)


# From a file


def script() -> str:
    """Return the script that installs from a file."""
    return written(FROM_FILE)["/usr/local/sbin/install-rolewatch"]


def test_shellcheck_has_nothing_to_say_of_the_script() -> None:
    """It runs once, at boot, where nobody watches."""
    shellcheck = shutil.which("shellcheck", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if shellcheck is None:
        pytest.skip("shellcheck is not installed")
    done = subprocess.run([shellcheck, "-"], input=script(), capture_output=True, text=True, check=False)

    assert done.stdout == ""


@dataclass
class Host:
    """A host that is made of a directory: what the script finds on its PATH, and what it did."""

    directory: Path
    address: str
    """Of a web server that has `files`."""
    files: Path

    def tool(self, name: str) -> None:
        """Let there be a *name* that only notes how it was called, and with which files."""
        tool = self.directory / "bin" / name
        tool.write_text(
            f'#!/bin/sh\necho "{name} $*" >>{self.directory}/calls\ncat ./*.deb ./*.rpm 2>/dev/null\nexit 0\n'
        )
        tool.chmod(0o755)

    def run(self, text: str) -> subprocess.CompletedProcess[str]:
        """Run *text* as cloud-init does."""
        path = self.directory / "install-rolewatch"
        path.write_text(text, encoding="utf-8")
        environ = {
            "PATH": str(self.directory / "bin"),
            "TMPDIR": str(self.directory / "tmp"),
            "CURL_CA_BUNDLE": str(self.directory / "cert.pem"),
        }
        return subprocess.run(["/bin/sh", str(path)], capture_output=True, text=True, check=False, env=environ)

    @property
    def calls(self) -> list[str]:
        """How the tools were called."""
        noted = self.directory / "calls"
        return noted.read_text(encoding="utf-8").splitlines() if noted.exists() else []

    @property
    def left(self) -> list[str]:
        """What the script left behind."""
        return [path.name for path in (self.directory / "tmp").iterdir()]


class Quiet(http.server.SimpleHTTPRequestHandler):
    """A web server that keeps no log."""

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture(name="host")
def a_host(tmp_path: Path) -> Iterator[Host]:
    """Yield a host with the common tools, and a web server with TLS on loopback."""
    missing = [tool for tool in (*TOOLS, "openssl") if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed")
    for name in ("bin", "tmp", "files"):
        (tmp_path / name).mkdir()
    for tool in (*TOOLS, "cat"):
        (tmp_path / "bin" / tool).symlink_to(str(shutil.which(tool)))
    subprocess.run(
        SELF_SIGNED.split(),
        check=True,
        capture_output=True,
        cwd=tmp_path,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path / "files"))) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield Host(tmp_path, f"https://localhost:{server.server_port}", tmp_path / "files")
        server.shutdown()
        thread.join()


def filled(host: Host, **sums: bytes) -> str:
    """Return the script with its places filled in: *host*'s web server, and the sums of the given contents."""
    text = script().replace("https://packages.example.org/rolewatch/0.1.0", host.address)
    for kind, content in sums.items():
        text = re.sub(
            rf"^{kind}_sum=0+$", f"{kind}_sum={hashlib.sha256(content).hexdigest()}", text, flags=re.MULTILINE
        )
    return text


GOOD = b"a package"


@pytest.mark.parametrize(
    ("tools", "file", "kind", "expected"),
    [
        (["apt-get"], "rolewatch_0.1.0_all.deb", "deb", "apt-get --quiet --yes install ./rolewatch_0.1.0_all.deb"),
        (
            ["dnf", "systemctl"],
            "rolewatch-0.1.0-1.noarch.rpm",
            "rpm",
            "dnf --quiet --assumeyes install ./rolewatch-0.1.0-1.noarch.rpm",
        ),
    ],
    ids=["deb", "rpm"],
)
def test_a_file_with_the_right_sum_is_installed(
    tools: list[str], file: str, kind: str, expected: str, host: Host
) -> None:
    """By the system's own tool, which resolves what it needs; and nothing is left behind."""
    for tool in tools:
        host.tool(tool)
    (host.files / file).write_bytes(GOOD)
    done = host.run(filled(host, **{kind: GOOD}))

    assert (done.returncode, done.stderr) == (0, "")
    assert expected in host.calls
    assert GOOD.decode() in done.stdout
    assert host.left == []
    assert ("systemctl enable --now rolewatch.service" in host.calls) is (kind == "rpm")


def test_a_file_that_was_tampered_with_is_not_installed(host: Host) -> None:
    """One byte is enough. cloud-init reports that the script has failed: `cloud-init status --long`."""
    host.tool("apt-get")
    (host.files / "rolewatch_0.1.0_all.deb").write_bytes(GOOD + b"!")
    done = host.run(filled(host, deb=GOOD))

    assert done.returncode != 0
    assert "rolewatch_0.1.0_all.deb: FAILED" in done.stdout + done.stderr
    assert (host.calls, host.left) == ([], [])


def test_a_missing_file_is_reported(host: Host) -> None:
    """An error page is no package."""
    host.tool("apt-get")
    done = host.run(filled(host, deb=GOOD))

    assert done.returncode != 0
    assert "404" in done.stderr
    assert (host.calls, host.left) == ([], [])


def test_nothing_is_fetched_in_the_clear(host: Host) -> None:
    """Not even where somebody writes http."""
    host.tool("apt-get")
    done = host.run(filled(host, deb=GOOD).replace("https://localhost", "http://localhost"))

    assert done.returncode != 0
    assert "not supported" in done.stderr or "disabled" in done.stderr
    assert host.calls == []


def test_the_names_of_the_files_are_those_that_make_builds() -> None:
    """For the version that it names."""
    version = re.search(r"rolewatch/(\d+\.\d+\.\d+)$", script(), re.MULTILINE)

    assert version is not None
    assert f"deb=rolewatch_{version[1]}_all.deb" in script()
    assert f"rpm=rolewatch-{version[1]}-1.noarch.rpm" in script()
