"""The bed of the field table: an instance, the EC2 host that IMDS runs on, and a container, as network namespaces.

All of it is connected to nothing outside, and so the well-known addresses may be asked there. A namespace lives as long
as the process that has it, and that process as long as its standard input: whatever ends the tests ends the bed.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from field.situations import INSTANCE_ID, Situation

ROOT = Path(__file__).resolve().parents[2]
LOOPBACK = "ip link set lo up"
LIMIT = 60.0
"""Seconds that any one command may take on a busy machine."""


class Namespace:
    """A network namespace, with mounts of its own, from ``__enter__`` to ``__exit__``."""

    def __init__(self, begin: str = "") -> None:
        """Prepare a namespace in which the shell command *begin* has run."""
        self._begin = begin
        self._popen: subprocess.Popen[str] | None = None

    def __enter__(self) -> Namespace:
        """Make it. Raise `OSError` with what the kernel or the command says if that fails."""
        self._popen = subprocess.Popen(
            ["unshare", "--net", "--mount", "sh", "-ec", f"{LOOPBACK}\n{self._begin}\necho ready; exec cat"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._popen.stdout is not None
        assert self._popen.stderr is not None
        if self._popen.stdout.readline() != "ready\n":
            message = self._popen.stderr.read().strip()
            self.__exit__()
            raise OSError(message)
        return self

    def __exit__(self, *_: object) -> None:
        """Remove it; the processes in it end with their standard input."""
        if self._popen is not None:
            self._popen.communicate(timeout=LIMIT)

    @property
    def pid(self) -> int:
        """The process that has it."""
        assert self._popen is not None
        return self._popen.pid

    def command(self, *words: str) -> list[str]:
        """Return the words that run *words* in it."""
        return ["nsenter", "--target", str(self.pid), "--net", "--mount", *words]

    def run(self, *words: str, environ: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Run *words* in it, with PATH and *environ* as the environment."""
        return subprocess.run(
            self.command(*words),
            capture_output=True,
            text=True,
            check=False,
            timeout=LIMIT,
            stdin=subprocess.DEVNULL,
            env={"PATH": os.environ["PATH"], **(environ or {})},
        )

    def shell(self, script: str, environ: Mapping[str, str] | None = None) -> None:
        """Run the shell *script* in it. Raise `OSError` with what it says if it fails."""
        done = self.run("sh", "-ec", script, environ=environ)
        if done.returncode:
            raise OSError(f"{script}: {done.stderr.strip()}")


@contextmanager
def responder(namespace: Namespace, *hosts: str) -> Iterator[subprocess.Popen[str]]:
    """Run `responder.py` for *hosts* in *namespace*."""
    paths = [ROOT / "agent", ROOT / "tests"]
    popen = subprocess.Popen(
        namespace.command(sys.executable, str(Path(__file__).with_name("responder.py")), *hosts),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": ":".join(map(str, paths)), "PYTHONDONTWRITEBYTECODE": "1"},
    )
    try:
        yield popen
    finally:
        popen.communicate(timeout=LIMIT)


def answer_as(popen: subprocess.Popen[str], name: str) -> None:
    """Let the responder *popen* answer as the situation *name* says."""
    assert popen.stdin is not None
    assert popen.stdout is not None
    print(name, file=popen.stdin, flush=True)
    assert popen.stdout.readline() == "ready\n", f"the responder cannot answer as {name} says"


_FIRMWARE = """
at=/sys/devices/virtual/dmi/id
[ -d $at ] || at=/sys/devices/virtual
mount -t tmpfs none $at
mkdir -p /sys/devices/virtual/dmi/id
printf %s '{vendor}' > /sys/devices/virtual/dmi/id/sys_vendor
printf %s '{instance_id}' > /sys/devices/virtual/dmi/id/board_asset_tag
"""
"""The names that the firmware of a Nitro instance has. This hides the machine's own."""
_NO_NAMES = """
printf 'nameserver 127.0.0.1\\n' > {directory}/resolv.conf
mount --bind {directory}/resolv.conf /etc/resolv.conf
"""
"""No name server, so that nothing waits for one."""


class Bed:
    """One EC2 host with IMDS, and an instance for each situation."""

    def __init__(self, ec2: Namespace, imds: subprocess.Popen[str], directory: Path) -> None:
        """Connect the instances to *ec2*, in which *imds* answers. *directory* is for files of the instances."""
        self._ec2 = ec2
        self._imds = imds
        self._directory = directory
        self._numbers = itertools.count()

    @contextmanager
    def instance(self, situation: Situation, home: Path) -> Iterator[Namespace]:
        """Make an instance that is in *situation*, and yield where rolewatch runs: on it, or in its container.

        *home* is the home directory of its user.
        """
        cable = f"h{next(self._numbers)}"
        firmware = _FIRMWARE.format(vendor=situation.vendor, instance_id=situation.firmware_id or INSTANCE_ID)
        answer_as(self._imds, situation.name)
        try:
            with Namespace(firmware + _NO_NAMES.format(directory=self._directory)) as host:
                self._connect(host, cable)
                host.shell(situation.network)
                host.shell(situation.build, {"PYTHON": sys.executable, "HOME": str(home)})
                with _local_answers(host, situation):
                    if not situation.in_container:
                        yield host
                    else:
                        with Namespace() as container:
                            _connect_container(host, container)
                            yield container
        finally:
            self._ec2.run("ip", "link", "del", cable)  # at once: the kernel takes a while to remove the namespace

    def _connect(self, host: Namespace, cable: str) -> None:
        self._ec2.shell(f"""
            ip link add {cable} type veth peer name eth0 netns {host.pid}
            ip link set {cable} up
            ip addr add 10.0.0.1/24 dev {cable}
            ip addr add 2001:db8::1/64 dev {cable} nodad
            echo 1 > /proc/sys/net/ipv4/conf/{cable}/proxy_arp
            ip route add 172.17.0.0/16 via 10.0.0.10""")
        host.shell("ip link set eth0 up")


@contextmanager
def _local_answers(host: Namespace, situation: Situation) -> Iterator[None]:
    """Let a program on *host* answer at IMDS's address, if *situation* has one."""
    if situation.answers_on_host is None:
        yield
        return
    with responder(host, "169.254.169.254") as popen:
        answer_as(popen, situation.name)
        yield


def _connect_container(host: Namespace, container: Namespace) -> None:
    """Put *container* behind a bridge of *host*: one hop further."""
    host.shell(f"""
        ip link add p0 type veth peer name eth0 netns {container.pid}
        ip link set p0 up
        ip addr add 172.17.0.1/16 dev p0
        echo 1 > /proc/sys/net/ipv4/ip_forward""")
    container.shell("""
        ip link set eth0 up
        ip addr add 172.17.0.2/16 dev eth0
        ip route add default via 172.17.0.1""")


@contextmanager
def bed(directory: Path) -> Iterator[Bed]:
    """Make the bed. Raise `OSError` if this machine cannot make network namespaces."""
    with (
        Namespace("ip addr add 169.254.169.254/32 dev lo; ip addr add fd00:ec2::254/128 dev lo nodad") as ec2,
        responder(ec2) as imds,
    ):
        yield Bed(ec2, imds, directory)


def rolewatch(
    where: Namespace, words: Sequence[str], environ: Mapping[str, str], first: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run rolewatch with *words* in *where*, in a process that runs the Python code *first*."""
    return where.run(
        sys.executable,
        "-c",
        f"{first}\nimport runpy\nrunpy.run_module('rolewatch', run_name='__main__', alter_sys=True)",
        *words,
        environ={"PYTHONPATH": str(ROOT / "agent"), "PYTHONDONTWRITEBYTECODE": "1", **environ},
    )
