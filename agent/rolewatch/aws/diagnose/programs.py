"""Another program of this host: its variables, its user, how it is confined, and whether it reaches IMDS.

It reads /proc and asks systemctl. Of the variables only those are kept that decide between the role and something else.
"""

from __future__ import annotations

import contextlib
import ctypes
import glob
import json
import os
import pwd
import re
import select
import signal
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Callable, Optional

from rolewatch import files
from rolewatch.aws.diagnose.overrides import View
from rolewatch.errors import UsageError
from rolewatch.imds import Questions, observe
from rolewatch.imds.client import Client
from rolewatch.imds.host import kernel_text
from rolewatch.observation import Unanswered
from rolewatch.settings import ExpectSettings
from rolewatch.text import printable
from rolewatch.vocabulary import Evidence

Runner = Callable[[Sequence[str]], Optional[str]]
"""Run a command and return what it printed; None where it cannot be run or fails."""
_KEPT = re.compile(
    r"AWS_(?!SECRET_|SESSION_|SECURITY_)[A-Z0-9_]+|(http|all|no)_proxy|(HTTP|ALL|NO)_PROXY|HOME|REQUEST_METHOD"
)
"""The variables that decide, without the secret parts of a key."""
_SERVICE = re.compile(r"/([^/\n]{1,255}\.service)(?=[/\n])")
"""A unit in the path of a control group, which ends with a line."""
_UNIT = re.compile(r"[A-Za-z0-9:_.@\\][A-Za-z0-9:_.@\\-]{0,254}")
_UID = re.compile("[0-9]{1,10}")
LIMITS = ("RestrictAddressFamilies", "IPAddressAllow", "IPAddressDeny", "PrivateNetwork")
"""The settings of a unit that may keep it from IMDS (systemd.exec(5), systemd.resource-control(5))."""
_WORD = re.compile(r"""(?:"[^"]*"|'[^']*'|[^\s"']|["'])+""")
"""An assignment as systemctl quotes it."""
_PROPERTIES = ",".join(("LoadState", "MainPID", "User", "Environment", "EnvironmentFiles", *LIMITS))
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")
"""The begin of a variable in an environment."""
_LARGEST = 1 << 20
"""Bytes of an environment. The kernel allows more (2 MiB by default), which no program has in practice."""
_NEW_NETWORK = 0x40000000
"""CLONE_NEWNET (linux/sched.h)."""


def execute(command: Sequence[str]) -> str | None:
    """Run *command* for five seconds at most."""
    try:
        done = subprocess.run(  # noqa: S603 - systemctl, and a unit's name that `_UNIT` matches
            list(command), stdin=subprocess.DEVNULL, capture_output=True, timeout=5, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.decode("utf-8", "replace")


@dataclass(frozen=True)
class Program:
    """A program, or the programs of a user."""

    name: str
    """For the middle of a sentence: ``the process 4711 (agent)``."""
    uid: int | None
    """None if it has a user only while it runs (DynamicUser=). Likewise `gid`."""
    gid: int | None
    pid: int | None = None
    environ: Mapping[str, str] | None = field(default=None, repr=False)
    """The variables that matter, with which it was started; None if they are not known. Values may be secret."""
    home: Path | None = None
    view: View = field(default_factory=lambda: View(working=Path("/")))
    own_network: bool | None = False
    """Whether its network namespace is not that of this process; None if that is not known."""
    confined_by: tuple[str, ...] = ()
    """What confines it, and cannot be judged from outside, in a few words each."""
    limits: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The words of each of `LIMITS` that its unit has."""


def process(pid: int, *, proc: Path = Path("/proc"), run: Runner = execute) -> Program:
    """Return the process *pid*. Raise `UsageError` if there is none."""
    directory = proc / str(pid)
    status = dict(line.partition(":\t")[::2] for line in kernel_text(directory / "status").splitlines())
    if "Uid" not in status:
        message = f"There is no process {pid}."
        raise UsageError(message)
    uid, gid = (int(status[name].split()[1]) for name in ("Uid", "Gid"))
    environ = _environ_of(directory)
    home = (environ or {}).get("HOME") or _home_of(uid)
    unit = _SERVICE.search(kernel_text(directory / "cgroup"))
    return Program(
        name=f"the process {pid} ({printable(status.get('Name', '').strip())})",
        uid=uid,
        gid=gid,
        pid=pid,
        environ=environ,
        home=Path(home) if home else None,
        view=View(_root_of(directory, proc), directory / "cwd"),
        own_network=_differs(directory, proc, "net"),
        confined_by=tuple(_confinement(directory, status)),
        limits=_limits(_show(unit.group(1), run)) if unit else {},
    )


def unit(name: str, *, proc: Path = Path("/proc"), run: Runner = execute) -> Program:
    """Return the main process of the systemd unit *name*; if it does not run, what systemd would start it with.

    Raise `UsageError` if there is no such unit.
    """
    shown = _show(name, run) if _UNIT.fullmatch(name) else {}
    pid = int(shown.get("MainPID", ["0"])[-1])
    if pid:  # whatever its LoadState: the file of a unit that runs may be gone or masked
        found = process(pid, proc=proc, run=run)
        return replace(found, name=f"the unit {name} (process {pid})")
    if shown.get("LoadState") != ["loaded"]:
        message = f"systemd has no unit {name[:80]!r} here."
        raise UsageError(message)
    try:
        found = user(shown.get("User", [""])[-1] or "root")
    except UsageError:  # systemd makes the user when it starts the unit
        found = Program(name, None, None)
    environ = _environ_to_be(shown)
    home = Path(environ["HOME"]) if environ and environ.get("HOME") else found.home
    return replace(
        found, name=f"the unit {name}, which does not run", environ=environ, home=home, limits=_limits(shown)
    )


def running_units(*, run: Runner = execute) -> list[str]:
    """Return the names of the services that run, 500 at most. Raise `UsageError` if systemd does not answer."""
    listed = run(["systemctl", "list-units", "--type=service", "--state=running", "--plain", "--no-legend"])
    if listed is None:
        message = "systemd does not answer here; name a process with --pid."
        raise UsageError(message)
    return [line.split()[0] for line in listed.splitlines()[:500] if line.strip()]


def user(name: str) -> Program:
    """Return the programs of the user *name*, which may be a uid. Their variables are not known.

    Raise `UsageError` if there is no such user.
    """
    try:
        found = pwd.getpwuid(int(name)) if _UID.fullmatch(name) else pwd.getpwnam(name)
    except (KeyError, ValueError):
        message = f"There is no user {name[:80]!r} here."
        raise UsageError(message) from None
    return Program(f"the user {name}", found.pw_uid, found.pw_gid, home=Path(found.pw_dir))


def request_as(program: Program, client: Client, *, longest: float = 30.0) -> Evidence | None:
    """Poll with *client* as the user of *program* and in its network; return the failure's evidence, empty if it works.

    None if this process may not do so, or if it takes more than *longest* seconds. A child process does it: only there
    are user and network namespace changed.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reader)
            _become(program)
            observation = observe(client, ExpectSettings(), Questions())
            failure = observation.failure.evidence if isinstance(observation, Unanswered) else {}
            os.write(writer, json.dumps(dict(failure)).encode())
        finally:
            os._exit(0)  # no handler and no buffer of the parent runs twice
    os.close(writer)
    with os.fdopen(reader, "rb") as file:
        if not select.select([file], [], [], longest)[0]:
            os.kill(child, signal.SIGKILL)
        written = file.read()
    os.waitpid(child, 0)
    evidence: Evidence | None = json.loads(written) if written else None
    return evidence


def _become(program: Program) -> None:
    """Change this process to the network namespace, then to the user of *program*. Raise `OSError`."""
    if program.own_network is None or program.uid is None or program.gid is None:
        raise PermissionError
    if program.own_network:
        descriptor = os.open(f"/proc/{program.pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        libc = ctypes.CDLL(None, use_errno=True)  # os.setns exists since Python 3.12
        if libc.setns(descriptor, _NEW_NETWORK):
            raise OSError(ctypes.get_errno(), "setns")
    if program.uid != os.geteuid():
        os.setgroups([])
        os.setresgid(program.gid, program.gid, program.gid)
        os.setresuid(program.uid, program.uid, program.uid)


def _environ_of(directory: Path) -> dict[str, str] | None:
    """Return the variables that matter of the process in *directory*; None if they cannot be read.

    Data without any variable is not an environment: the process is a zombie, or has put its title there (setproctitle).
    """
    try:
        data = files.read(directory / "environ", limit=_LARGEST, follow_links=False).data
    except OSError:
        return None
    assignments = data.decode("utf-8", "replace").split("\0")
    return dict(_kept(assignments)) if any(map(_ASSIGNMENT.match, assignments)) else None


def _kept(assignments: Iterable[str]) -> Iterator[tuple[str, str]]:
    for assignment in assignments:
        name, _, value = assignment.partition("=")
        if _KEPT.fullmatch(name):
            yield name, value


def _differs(directory: Path, proc: Path, kind: str) -> bool | None:
    """Return whether the process in *directory* has another namespace of *kind* than this one; None if not known."""
    try:
        return (directory / "ns" / kind).readlink() != (proc / "self/ns" / kind).readlink()
    except OSError:
        return None


def _root_of(directory: Path, proc: Path) -> Path:
    """Return the root directory of the process in *directory*; that of this process if it is the same or not known."""
    root = directory / "root"
    with contextlib.suppress(OSError):
        if _differs(directory, proc, "mnt") or not root.samefile("/"):
            return root
    return Path("/")


def _home_of(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_dir
    except KeyError:
        return ""


def _confinement(directory: Path, status: Mapping[str, str]) -> Iterator[str]:
    """Yield what the kernel confines the process in *directory* with."""
    label = kernel_text(directory / "attr/current").strip("\0\n ")
    if label and "unconfined" not in label and "(complain)" not in label:
        yield f"the security label {printable(label)[:80]}"
    if status.get("Seccomp", "").strip() == "2":
        yield "a seccomp filter"


def _show(name: str, run: Runner) -> dict[str, list[str]]:
    """Return the lines of each property that systemd has of the unit *name*; empty without systemd."""
    shown: dict[str, list[str]] = {}
    for line in (run(["systemctl", "show", f"--property={_PROPERTIES}", "--", name]) or "").splitlines():
        key, _, value = line.partition("=")
        shown.setdefault(key, []).append(value)
    return shown


def _limits(shown: Mapping[str, list[str]]) -> dict[str, tuple[str, ...]]:
    return {name: tuple(" ".join(shown.get(name, ())).split()) for name in LIMITS}


def _environ_to_be(shown: Mapping[str, list[str]]) -> dict[str, str] | None:
    """Return the variables that matter in the settings *shown* of a unit; None if one of its files cannot be read."""
    assignments = [word for text in shown.get("Environment", ()) for word in _WORD.findall(text)]
    for text in shown.get("EnvironmentFiles", ()):
        pattern = text.partition(" (")[0]
        for name in sorted(glob.glob(pattern)) or [pattern]:  # noqa: PTH207 - there, ** searches whole trees
            try:
                data = files.read(Path(name), limit=_LARGEST, follow_links=True).data
            except FileNotFoundError:
                continue
            except (OSError, ValueError):
                return None
            assignments += data.decode("utf-8", "replace").splitlines()
    return dict(_kept(_unquoted(each.strip()) for each in assignments))


def _unquoted(text: str) -> str:
    return text.replace('"', "").replace("'", "")
