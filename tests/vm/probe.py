"""Run in the place of the daemon, in its sandbox: try what it must not be able to do, and say what came of it.

Each line is a pair in JSON: what was tried, and ``done`` or the error; or what was looked for, and the list that was
found. With arguments: only what they name.
"""

from __future__ import annotations

import ctypes
import errno
import json
import mmap
import os
import signal
import socket
import stat
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Callable

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWUSER, CLONE_NEWNS, CLONE_NEWNET = 0x10000000, 0x00020000, 0x40000000
PTRACE_ATTACH = 16
IO_URING_SETUP = 425


def call(name: str, *arguments: object) -> None:
    """Call the function *name* of libc. Raise `OSError` where it fails."""
    if getattr(LIBC, name)(*arguments) == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def connect(host: str, port: int) -> None:
    """Connect over TCP, with patience for a filter that drops."""
    socket.create_connection((host, port), timeout=5).close()


def datagram(host: str, port: int) -> None:
    """Send a DNS query and wait for an answer."""
    query = b"\x00\x01\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07example\x03com\x00\x00\x01\x00\x01"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(5)
        sock.sendto(query, (host, port))
        sock.recv(512)


def listen() -> None:
    """Listen on a port of its own, and reach it from here."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        connect(*server.getsockname())


def add_route() -> None:
    """Let the kernel reject an address that nobody has: asking for routes by rtnetlink is allowed, no change is."""
    address = socket.inet_aton("192.0.2.1")
    route = struct.pack("=8BI", socket.AF_INET, 32, 0, 0, 254, 4, 0, 7, 0) + struct.pack("=HH4s", 8, 1, address)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as kernel:
        kernel.send(struct.pack("=IHHII", 16 + len(route), 24, 0x405, 1, 0) + route)
        number = -struct.unpack_from("=i", kernel.recv(8192), 16)[0]
    if number:
        raise OSError(number, os.strerror(number))


def outlive() -> None:
    """Write into the /tmp that others see: it is another one where ours starts empty."""
    if not any(Path("/tmp").iterdir()):  # noqa: S108 - that is what is asked
        raise OSError(errno.ENOENT, "a /tmp of its own")


def write_state() -> None:
    """Write where the daemon keeps its state."""
    path = Path("/var/lib/rolewatch/probe")
    path.write_text("x", encoding="ascii")
    path.unlink()


def see(path: str) -> None:
    """Read a file, or the names in a directory that has some."""
    place = Path(path)
    if place.is_dir():
        if not list(place.iterdir()):
            raise OSError(errno.ENOENT, "empty")
    else:
        place.read_bytes()


def setuid_file() -> None:
    """Leave a set-user-ID file behind."""
    path = Path("/var/lib/rolewatch/setuid")
    path.touch()
    try:
        path.chmod(0o4755)
        if not path.stat().st_mode & 0o4000:
            raise OSError(errno.EPERM, "the bit is not set")
    finally:
        path.unlink()


def connects(path: str, kind: int) -> bool:
    """Return whether the socket at *path* takes a connection of this *kind*."""
    with socket.socket(socket.AF_UNIX, kind) as sock:
        sock.settimeout(5)
        try:
            sock.connect(path)
        except OSError:
            return False
    return True


def sockets() -> list[str]:
    """Return the paths of all sockets of the host that take a connection from here."""
    lines = Path("/proc/net/unix").read_text(encoding="utf-8").splitlines()[1:]
    paths = {path for path in (line.split()[-1] for line in lines) if path.startswith("/")}
    kinds = (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET)
    return sorted(path for path in paths if any(connects(path, kind) for kind in kinds))


def readable(top: Path) -> Iterator[str]:
    """Yield the paths of the regular files below *top* that can be read from here."""
    for directory, _, names in os.walk(top):
        for path in (Path(directory, name) for name in names):
            try:
                if stat.S_ISREG(path.lstat().st_mode):
                    path.open("rb").close()
                    yield str(path)
            except OSError:
                continue


def files() -> list[str]:
    """Return what can be read: each file of /run and /var, and of the others the directory. Not /proc and /sys."""
    tops = (path for path in sorted(Path("/").iterdir()) if not path.is_symlink() and path.is_dir())
    found: list[str] = []
    for top in tops:
        if top.name in {"run", "var"}:
            found += sorted(readable(top))
        elif top.name not in {"proc", "sys"} and any(readable(top)):
            found.append(str(top))
    return found


LISTS: dict[str, Callable[[], list[str]]] = {"sockets": sockets, "files": files}

TRIES: dict[str, Callable[[], object]] = {
    "imds": lambda: connect("169.254.169.254", 80),
    "write_state": write_state,
    "another_link_local_host": lambda: connect("169.254.169.10", 80),
    "dns": lambda: datagram("169.254.169.3", 53),
    "ssh_on_loopback": lambda: connect("127.0.0.1", 22),
    "ssh_on_the_own_address": lambda: connect("10.0.2.15", 22),
    "gateway": lambda: connect("10.0.2.2", 22),
    "talk_to_itself": listen,
    "call_over_d_bus": lambda: subprocess.run(
        ["/usr/bin/busctl", "--timeout=5", "list"], check=True, capture_output=True
    ),
    "raw_socket": lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP),
    "packet_socket": lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW),
    "add_route": add_route,
    "io_uring": lambda: call("syscall", IO_URING_SETUP, 8, ctypes.create_string_buffer(120)),
    "write_etc": lambda: Path("/etc/probe").touch(),
    "write_settings": lambda: Path("/etc/rolewatch/conf.d/99-probe.toml").touch(),
    "write_usr": lambda: Path("/usr/lib/rolewatch/probe").touch(),
    "write_var": lambda: Path("/var/probe").touch(),
    "write_run": lambda: Path("/run/probe").touch(),
    "read_root_s_home": lambda: see("/root"),
    "read_homes": lambda: see("/home"),
    "read_shadow": lambda: see("/etc/shadow"),
    "see_others_in_proc": lambda: see("/proc/1/environ"),
    "see_others_in_tmp": outlive,
    "read_the_kernel_s_log": lambda: see("/dev/kmsg"),
    "read_a_disk": lambda: see("/dev/vda"),
    "write_a_sysctl": lambda: Path("/proc/sys/kernel/panic").write_text("1"),
    "write_a_cgroup": lambda: Path("/sys/fs/cgroup/cgroup.procs").write_text("1"),
    "user_namespace": lambda: call("unshare", CLONE_NEWUSER),
    "mount_namespace": lambda: call("unshare", CLONE_NEWNS),
    "network_namespace": lambda: call("unshare", CLONE_NEWNET),
    "become_root": lambda: os.setuid(0),
    "run_sudo_s_kind": lambda: subprocess.run(["/usr/bin/su", "-c", "true"], check=True, capture_output=True),
    "signal_pid_1": lambda: os.kill(1, signal.SIGHUP),
    "trace_a_parent": lambda: call("ptrace", PTRACE_ATTACH, os.getppid(), 0, 0),
    "write_and_execute": lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC),
    "set_the_clock": lambda: call("settimeofday", ctypes.create_string_buffer(16), None),
    "set_the_host_name": lambda: socket.sethostname("probe"),
    "mount": lambda: call("mount", b"none", b"/tmp", b"tmpfs", 0, None),
    "load_a_module": lambda: call("syscall", 175, b"", 0, b""),
    "reboot": lambda: call("reboot", 0),
    "real_time_priority": lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1)),
    "set_user_id_file": setuid_file,
    "change_personality": lambda: call("personality", 0x0040000),
    "make_a_device": lambda: os.mknod("/var/lib/rolewatch/device", 0o020666, os.makedev(1, 3)),
}

if __name__ == "__main__":
    wanted = set(sys.argv[1:]) or {*TRIES, *LISTS}
    for what, collect in LISTS.items():
        if what in wanted:
            print(json.dumps([what, collect()]), flush=True)
    for what, attempt in TRIES.items():
        if what not in wanted:
            continue
        try:
            attempt()
        except (OSError, subprocess.SubprocessError) as error:
            outcome = errno.errorcode.get(getattr(error, "errno", None) or 0, type(error).__name__)
        else:
            outcome = "done"
        print(json.dumps([what, outcome]), flush=True)
