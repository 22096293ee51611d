"""One virtual machine that thinks it is on EC2: its IMDS is a simulator on the host's loopback.

qemu without KVM. Two networks, both qemu's own and both closed: 169.254.169.0/24, in which 169.254.169.254 leads to the
simulator and `REPOSITORY` to a package repository; and 10.0.2.0/24, through which the host reaches SSH and the metrics.
"""

from __future__ import annotations

import subprocess
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, TypeVar

from daemon_process import free_port
from vm.image import Image

REPOSITORY = "169.254.169.10"
"""Where the machine finds the repository of packages, on port 80."""
BOOT = 300.0
"""Seconds for a boot: half a minute on an idle machine, and ten times that on a busy one."""
PATIENCE = 120.0
"""Seconds for something to come about in a running machine."""
PAUSE = 0.5
"""Seconds between two looks at something that is awaited."""
CONSOLE, QEMU = "console", "qemu"
"""Files of a machine: what it says on its console, and what qemu and its helpers say, which is why it has ended."""

T = TypeVar("T")


class MachineError(AssertionError):
    """Something in the machine did not come about. Says what was seen instead."""


@dataclass(frozen=True)
class Said:
    """What a command said, and its status."""

    status: int
    out: str
    err: str


@dataclass
class Machine:
    """A machine made of *image*, with its files in *directory*. Runs from ``__enter__`` to ``__exit__``."""

    image: Image
    directory: Path
    imds_port: int
    repository_port: int
    memory: str = "768M"
    ssh_port: int = field(default_factory=free_port)
    metrics_port: int = field(default_factory=free_port)
    _process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Machine:
        """Start, on an empty overlay. It is not up yet: see `wait_until_up`."""
        self.directory.mkdir(parents=True, exist_ok=True)
        overlay = self.directory / "overlay.qcow2"
        subprocess.run(
            ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", self.image.disk, overlay], check=True
        )
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Switch it off, as one pulls a plug."""
        self.stop()

    def login(self) -> list[str]:
        """Return the command that logs root in."""
        return [*self._ssh(), "root@127.0.0.1"]

    def start(self) -> None:
        """Switch it on, with the disk as it was left."""
        with (self.directory / QEMU).open("a", encoding="utf-8") as log:
            self._process = subprocess.Popen(
                self._command(), stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
            )

    def stop(self) -> None:
        """Switch it off, as one pulls a plug."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        subprocess.run([*self._ssh(), "-O", "exit"], check=False, capture_output=True)

    def restart(self) -> None:
        """Shut it down in good order and switch it on again."""
        self.run("systemctl poweroff", check=False)
        if self._process is not None:
            self._process.wait(BOOT)
        self.stop()
        self.start()
        self.wait_until_up()

    def wait_until_up(self) -> None:
        """Wait until boot and cloud-init have ended."""
        self.wait_until(lambda: self.run("true", check=False).status == 0, "the machine answers SSH", BOOT)
        self.wait_until(self._booted, "boot and cloud-init have ended", BOOT)

    def _booted(self) -> bool:
        said = self.run("systemctl is-system-running; cat /run/cloud-init/result.json", check=False)
        return said.out.split("\n")[0] in ("running", "degraded") and said.status == 0

    def run(self, command: str, *, check: bool = True, stdin: str | None = None, timeout: float = PATIENCE) -> Said:
        """Run the shell *command* as root and return what it said. Raise `MachineError` where it fails."""
        try:
            ran = subprocess.run(
                [*self.login(), command],
                input=stdin,
                stdin=subprocess.DEVNULL if stdin is None else None,
                capture_output=True,
                text=True,
                errors="replace",
                check=False,
                timeout=timeout,
            )
        except subprocess.TimeoutExpired:
            message = f"`{command}` did not end within {timeout:.0f} s.\n{self.console()}"
            raise MachineError(message) from None
        said = Said(ran.returncode, ran.stdout, ran.stderr)
        if check and said.status:
            message = f"`{command}` ended with {said.status}:\n{said.out[-3000:]}{said.err[-3000:]}"
            raise MachineError(message)
        return said

    def write(self, path: str, text: str) -> None:
        """Write *text* into the file *path* of the machine; make its directory where there is none."""
        self.run(f"mkdir -p $(dirname {path}) && cat >{path}", stdin=text)

    def copy(self, file: Path, path: str) -> None:
        """Copy *file* of the host to *path* of the machine."""
        with file.open("rb") as stream:
            subprocess.run([*self.login(), f"cat >{path}"], stdin=stream, check=True, timeout=PATIENCE)

    def wait_until(
        self, holds: Callable[[], T], what: str, seconds: float = PATIENCE, look: Callable[[], str] = str
    ) -> T:
        """Wait until *holds* returns something true, and return that.

        Raise `MachineError` where it takes too long, with what *look* sees then.
        """
        deadline = time.monotonic() + seconds
        while True:
            found = holds()
            if found:
                return found
            if time.monotonic() > deadline:
                message = f"Not within {seconds:.0f} s: {what}. {look()}\n{self._look()}"
                raise MachineError(message)
            ended = None if self._process is None else self._process.poll()
            if ended is not None:
                message = f"The machine has ended with {ended} while waiting: {what}.\n{self.console()}"
                raise MachineError(message)
            time.sleep(PAUSE)

    def get(self, path: str) -> str | None:
        """Return what the agent answers the host for *path*; None where it does not answer 200."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}{path}", timeout=20) as answer:
                text: str = answer.read().decode()
                return text
        except (OSError, urllib.error.URLError):
            return None

    def console(self) -> str:
        """Return the end of what the machine said on its console, and what qemu itself has to say."""
        paths = (self.directory / CONSOLE, self.directory / QEMU)
        return "\n".join(path.read_text(errors="replace")[-3000:] for path in paths if path.exists())

    def _look(self) -> str:
        """Return what helps to understand why something did not come about."""
        looks = (
            "uptime; systemctl --failed --no-legend 2>&1",
            "systemctl status --no-pager --full --lines=15 rolewatch.service rolewatch.socket 2>&1",
            "journalctl --no-pager --lines=40 --output=short-precise",
            "tail -n 30 /var/log/cloud-init-output.log",
        )
        try:
            said = [self.run(look, check=False, timeout=60).out for look in looks]
        except MachineError as error:
            said = [str(error)]
        return "\n".join([*said, self.console()])

    def _ssh(self) -> list[str]:
        options = {
            "UserKnownHostsFile": "/dev/null",
            "StrictHostKeyChecking": "no",
            "LogLevel": "ERROR",
            "ConnectTimeout": "20",
            "BatchMode": "yes",
            "ControlMaster": "auto",
            "ControlPersist": "yes",
            "ControlPath": str(self.directory / "ssh"),
            "IdentitiesOnly": "yes",
        }
        command = ["ssh", "-F", "none", "-i", str(self.image.key), "-p", str(self.ssh_port)]
        for name, value in options.items():
            command += ["-o", f"{name}={value}"]
        return command

    def _command(self) -> list[str]:
        imds = (
            "user,id=imds,net=169.254.169.0/24,host=169.254.169.2,dns=169.254.169.3,dhcpstart=169.254.169.15,restrict=on,"
            f"guestfwd=tcp:169.254.169.254:80-cmd:socat - TCP:127.0.0.1:{self.imds_port},"
            f"guestfwd=tcp:{REPOSITORY}:80-cmd:socat - TCP:127.0.0.1:{self.repository_port}"
        )
        vpc = (
            f"user,id=vpc,net=10.0.2.0/24,restrict=on,hostfwd=tcp:127.0.0.1:{self.ssh_port}-:22,"
            f"hostfwd=tcp:127.0.0.1:{self.metrics_port}-:10169"
        )
        identity = "ec2a1b2c-0000-4000-8000-000000000000"
        return [
            *("setpriv", "--pdeathsig", "KILL"),  # a test run that is killed leaves no machine behind
            "qemu-system-x86_64",
            *("-accel", "tcg,thread=multi", "-smp", "2", "-m", self.memory),
            *("-smbios", f"type=1,manufacturer=Amazon EC2,product=t3.micro,serial={identity},uuid={identity}"),
            *("-kernel", str(self.image.kernel), "-initrd", str(self.image.initrd)),
            *("-append", "root=/dev/vda rw console=ttyS0 net.ifnames=0 quiet panic=-1 mitigations=off"),
            *("-drive", f"file={self.directory / 'overlay.qcow2'},if=virtio,format=qcow2,cache=unsafe"),
            *("-netdev", imds, "-device", "virtio-net-pci,netdev=imds,mac=02:00:00:00:00:01,romfile="),
            *("-netdev", vpc, "-device", "virtio-net-pci,netdev=vpc,mac=02:00:00:00:00:02,romfile="),
            *("-device", "virtio-rng-pci", "-rtc", "base=utc", "-no-reboot"),
            *("-display", "none", "-serial", f"file:{self.directory / CONSOLE}", "-monitor", "none"),
        ]
