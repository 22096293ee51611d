"""Another program: found in /proc and by systemd, without the values of its variables."""

from __future__ import annotations

import os
import pwd
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from aws.test_diagnosis import context, faults, local, outcome
from rolewatch.aws.checks import Status
from rolewatch.aws.diagnose import diagnose, programs
from rolewatch.aws.diagnose.overrides import Overrides
from rolewatch.aws.diagnose.programs import Program, Runner, execute, request_as
from rolewatch.errors import UsageError
from rolewatch.faults import Fault
from rolewatch.imds.client import Client
from rolewatch.settings import ImdsSettings

NOBODY = pwd.getpwnam("nobody")
CANARY = "canary"
AGENT = Program("the unit agent.service (process 7)", NOBODY.pw_uid, NOBODY.pw_gid, 7, {}, Path("/home/agent"))


def a_process(directory: Path, **files: str) -> Path:
    """Write process 7 with *files* below *directory*, and return its /proc."""
    written = {
        "status": f"Name:\tagent\nUid:\t0\t{NOBODY.pw_uid}\t0\t0\nGid:\t0\t{NOBODY.pw_gid}\t0\t0\nSeccomp:\t2\n",
        "cgroup": "0::/system.slice/agent.service\n",
        "environ": f"HTTP_PROXY=http://u:{CANARY}@10.9.9.9\0DB_PASSWORD={CANARY}\0AWS_SECRET_ACCESS_KEY={CANARY}\0HOME=/srv/agent\0",
        **files,
    }
    for name, text in written.items():
        path = directory / "7" / name.replace("_", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return directory


def systemd(**properties: str) -> Runner:
    """Return a runner that answers as ``systemctl show`` with *properties*."""
    lines = {"LoadState": "loaded", "MainPID": "0", **properties}

    def run(command: Sequence[str]) -> str:
        assert command[:2] == ["systemctl", "show"]
        return "".join(f"{name}={value}\n" for name, value in lines.items())

    return run


def test_a_process_is_read_without_what_does_not_matter(tmp_path: Path) -> None:
    """Its user, its home, the variables that decide; its other secrets are not kept, and none is shown."""
    found = programs.process(7, proc=a_process(tmp_path), run=systemd())

    assert (found.name, found.uid, found.gid) == ("the process 7 (agent)", NOBODY.pw_uid, NOBODY.pw_gid)
    assert set(found.environ or ()) == {"HTTP_PROXY", "HOME"}
    assert found.home == Path("/srv/agent")
    assert found.confined_by == ("a seccomp filter",)
    assert CANARY not in repr(found)


@pytest.mark.parametrize("environ", ["", "nginx: worker process\0\0\0", "worker: HOME=/x\0\0"])
def test_an_environment_without_variables_is_not_known(tmp_path: Path, environ: str) -> None:
    """A zombie has none, and setproctitle writes over it: no pass follows."""
    found = programs.process(7, proc=a_process(tmp_path, environ=environ), run=systemd())
    judged = diagnose(context(local=local(program=found, request={})))

    assert (found.environ, found.home) == (None, Path(NOBODY.pw_dir))
    for name in ("host.proxy", "shadow.environment", "shadow.container"):
        assert outcome(judged, name).status is Status.SKIPPED
        assert "its environment cannot be read" in outcome(judged, name).note


@pytest.mark.parametrize(
    ("label", "count"), [("/usr/bin/agent (enforce)\n", 2), ("/usr/bin/agent (complain)\n", 1), ("unconfined\n", 1)]
)
def test_a_security_label_that_confines_is_named(tmp_path: Path, label: str, count: int) -> None:
    """AppArmor in complain mode refuses nothing."""
    assert len(programs.process(7, proc=a_process(tmp_path, attr_current=label), run=systemd()).confined_by) == count


def test_a_running_unit_is_its_main_process(tmp_path: Path) -> None:
    """With the variables that it was started with, wherever they came from."""
    found = programs.unit("agent", proc=a_process(tmp_path), run=systemd(MainPID="7", IPAddressDeny="::/0 0.0.0.0/0"))

    assert (found.name, found.pid) == ("the unit agent (process 7)", 7)
    assert found.limits["IPAddressDeny"] == ("::/0", "0.0.0.0/0")


def test_a_unit_that_does_not_run_is_what_systemd_would_start(tmp_path: Path) -> None:
    """Its Environment and EnvironmentFile, and the home of its user."""
    path = tmp_path / "agent.env"
    path.write_text(f"# mine\nHTTP_PROXY='http://u:{CANARY}@10.9.9.9'\nPASSWORD={CANARY}\n")
    shown = systemd(User="nobody", Environment="NO_PROXY=x 'A=b c'", EnvironmentFiles=f"{path} (ignore_errors=no)")
    found = programs.unit("agent.service", run=shown)

    assert found.environ == {"NO_PROXY": "x", "HTTP_PROXY": f"http://u:{CANARY}@10.9.9.9"}
    assert (found.uid, found.home) == (NOBODY.pw_uid, Path(NOBODY.pw_dir))
    assert "does not run" in found.name


def test_a_file_of_variables_that_cannot_be_read_is_not_a_pass(tmp_path: Path) -> None:
    """One that is not there has none; systemd ignores it, or does not start the unit."""
    gone = programs.unit("a.service", run=systemd(EnvironmentFiles=f"{tmp_path}/gone (ignore_errors=yes)"))
    unread = programs.unit("a.service", run=systemd(EnvironmentFiles=f"{tmp_path} (ignore_errors=no)"))

    assert (gone.environ, unread.environ) == ({}, None)


def test_files_of_variables_are_found_by_their_pattern(tmp_path: Path) -> None:
    """In the order of their names, as systemd reads them: the last value of a variable is in force."""
    for name, text in {
        "b.conf": "HTTP_PROXY=b\n",
        "a.conf": "HTTP_PROXY=a\nNO_PROXY=a\n",
        "c.txt": "NO_PROXY=c",
    }.items():
        (tmp_path / name).write_text(text)
    found = programs.unit("a.service", run=systemd(EnvironmentFiles=f"{tmp_path}/*.conf (ignore_errors=no)"))

    assert found.environ == {"HTTP_PROXY": "b", "NO_PROXY": "a"}


def test_the_user_of_a_unit_may_be_a_number() -> None:
    """As systemd takes it."""
    found = programs.unit("a.service", run=systemd(User=str(NOBODY.pw_uid)))

    assert (found.uid, found.gid, found.home) == (NOBODY.pw_uid, NOBODY.pw_gid, Path(NOBODY.pw_dir))


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")  # pytest-xdist, not the command
@pytest.mark.parametrize("name", ["dynamic", "4294967200"])
def test_a_unit_without_its_user_is_judged_by_its_variables(name: str) -> None:
    """DynamicUser: systemd makes the user when it starts the unit. No request is made as another user."""
    found = programs.unit("a.service", run=systemd(User=name, Environment="AWS_PROFILE=x"))
    judged = diagnose(context(local=local(program=found)))

    assert (found.uid, found.home, found.environ) == (None, None, {"AWS_PROFILE": "x"})
    assert request_as(found, Client("http://127.0.0.1:9", ImdsSettings(), monotonic=time.monotonic)) is None
    assert outcome(judged, "program.network").status is Status.SKIPPED
    assert outcome(judged, "shadow.files").status is Status.UNKNOWN


@pytest.mark.parametrize("state", ["not-found", "masked"])
def test_a_unit_that_runs_is_found_without_its_file(tmp_path: Path, state: str) -> None:
    """Its process runs, and systemd lists it."""
    assert programs.unit("a.service", proc=a_process(tmp_path), run=systemd(LoadState=state, MainPID="7")).pid == 7


def test_what_is_not_there_is_a_wrong_usage(tmp_path: Path) -> None:
    """No process, no unit, no user."""
    with pytest.raises(UsageError, match="no process 8"):
        programs.process(8, proc=tmp_path)
    with pytest.raises(UsageError, match="no unit"):
        programs.unit("nope.service", run=systemd(LoadState="not-found"))
    with pytest.raises(UsageError, match="no unit"):
        programs.unit("--version", run=systemd())
    with pytest.raises(UsageError, match="no user"):
        programs.user("nobody-at-all")


@pytest.mark.parametrize(
    ("limits", "setting"),
    [
        ({}, ""),
        ({"RestrictAddressFamilies": ("AF_UNIX", "AF_INET")}, ""),
        ({"RestrictAddressFamilies": ("AF_UNIX",)}, "RestrictAddressFamilies"),
        ({"RestrictAddressFamilies": ("~AF_INET", "AF_INET6")}, "RestrictAddressFamilies"),
        ({"RestrictAddressFamilies": ("~AF_PACKET",)}, ""),
        ({"IPAddressDeny": ("::/0", "0.0.0.0/0")}, "IPAddressDeny"),
        ({"IPAddressDeny": ("169.254.0.0/16",)}, "IPAddressDeny"),
        ({"IPAddressDeny": ("0.0.0.0/0",), "IPAddressAllow": ("169.254.169.254/32",)}, ""),
    ],
)
def test_a_unit_that_forbids_imds_is_named(limits: Mapping[str, tuple[str, ...]], setting: str) -> None:
    """Systemd's own settings decide; they are the operator's."""
    found = diagnose(context(local=local(program=replace(AGENT, limits=limits), request={})))

    assert faults(found) == ([Fault.CREDENTIALS_OVERRIDDEN] if setting else [])
    assert setting in outcome(found, "program.limits").note


def test_a_pass_says_whose_variables_it_covers() -> None:
    """And that a program may change them later."""
    found = diagnose(context(local=local(program=AGENT, request={})))

    for name in ("host.proxy", "shadow.environment", "shadow.container"):
        assert "agent.service" in outcome(found, name).note
        assert "later" in outcome(found, name).note
    assert outcome(found, "program.network").status is Status.PASS


def test_what_only_root_can_see_is_skipped() -> None:
    """Variables of another user, and a request as that user."""
    found = diagnose(context(local=local(program=replace(AGENT, environ=None), request=None)))

    for name in ("host.proxy", "shadow.environment", "shadow.container", "program.network"):
        assert outcome(found, name).status is Status.SKIPPED
        assert "root" in outcome(found, name).who


def test_all_units_are_rows_of_one_table() -> None:
    """Those that do not use the role come first; those with the same note are one row."""
    by_proxy = Overrides(proxies={"Go": "HTTP_PROXY"})
    proxied = local(program=replace(AGENT, name="agent.service"), request={}, overrides=by_proxy)
    others = [local(program=replace(AGENT, name=name), request={}) for name in ("a.service", "b.service")]
    unread = local(program=replace(AGENT, name="c.service", environ=None), request={})
    found = diagnose(context(units=(*others, unread, proxied)))
    rows = [result for result in found.results if result.id.startswith("unit.")]

    assert [row.title for row in rows] == ["agent.service", "c.service", "a.service", "b.service"]
    assert [row.outcome.status.value for row in rows] == ["fail", "skipped", "pass", "pass"]
    assert rows[2].outcome.note == rows[3].outcome.note
    assert faults(found) == [Fault.CREDENTIALS_OVERRIDDEN]


@pytest.mark.parametrize(
    ("limits", "request_failed"),
    [
        ({"RestrictAddressFamilies": ("AF_UNIX", "AF_NETLINK"), "PrivateNetwork": ("no",)}, {}),
        ({"IPAddressDeny": ("::/0", "0.0.0.0/0")}, {}),
        ({"PrivateNetwork": ("yes",)}, {"reason": "no_route"}),
        ({"PrivateNetwork": ("yes",)}, None),
    ],
)
def test_a_sandbox_without_imds_is_no_fault_of_all_units(
    limits: Mapping[str, tuple[str, ...]], request_failed: Mapping[str, str] | None
) -> None:
    """As that of systemd-journald and systemd-logind; one that has a proxy, too, is still a fault."""
    closed = local(program=replace(AGENT, limits=limits), request=request_failed)
    proxied = replace(closed, overrides=Overrides(proxies={"Go": "HTTP_PROXY"}))
    found = diagnose(context(units=(closed,)))
    row = next(result for result in found.results if result.id.startswith("unit."))

    assert (row.outcome.status, row.outcome.note) == (Status.PASS, "Its unit allows no request for IMDS.")
    assert faults(found) == []
    assert faults(diagnose(context(units=(proxied,)))) == [Fault.CREDENTIALS_OVERRIDDEN]


def test_a_private_network_that_reaches_imds_is_judged_as_any() -> None:
    """And one that does not, of which the unit says nothing, is a fault."""
    private = replace(AGENT, limits={"PrivateNetwork": ("yes",)})
    reached = diagnose(context(units=(local(program=private, request={}),)))
    unreached = diagnose(context(units=(local(program=AGENT, request={"reason": "no_route"}),)))

    assert "Nothing keeps it" in outcome(reached, f"unit.{AGENT.name}").note
    assert faults(unreached) == [Fault.CREDENTIALS_OVERRIDDEN]


def test_the_units_that_run_are_listed() -> None:
    """By systemd; without it, that is a wrong usage."""
    listed = "agent.service loaded active running An agent\nssh.service loaded active running SSH\n"

    assert programs.running_units(run=lambda _: listed) == ["agent.service", "ssh.service"]
    with pytest.raises(UsageError, match="systemd"):
        programs.running_units(run=lambda _: None)


def test_a_command_that_fails_is_nothing() -> None:
    """Not found, failed: a host without systemd."""
    assert execute(["/nonexistent/systemctl"]) is None
    assert execute(["/bin/false"]) is None
    assert execute(["/bin/echo", "x"]) == "x\n"


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")  # likewise
def test_a_network_that_cannot_be_compared_is_not_asked(tmp_path: Path) -> None:
    """An answer in another network than the program's would prove nothing."""
    found = programs.process(7, proc=a_process(tmp_path), run=systemd())

    assert found.own_network is None
    assert request_as(found, Client("http://127.0.0.1:9", ImdsSettings(), monotonic=time.monotonic)) is None


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")  # pytest-xdist, not the command
def test_a_request_without_a_change_of_user_needs_no_root() -> None:
    """It is refused on a closed port, in a child process that ends."""
    me = Program("me", os.geteuid(), os.getegid())
    evidence = request_as(me, Client("http://127.0.0.1:9", ImdsSettings(), monotonic=time.monotonic))

    assert evidence is not None
    assert evidence["reason"] == "refused"


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")  # likewise
def test_a_request_that_does_not_end_is_given_up() -> None:
    """Its process is ended: the command does not wait for it."""
    me = Program("me", os.geteuid(), os.getegid())
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        client = Client(endpoint, ImdsSettings(timeout=60, deadline=60), monotonic=time.monotonic)

        assert request_as(me, client, longest=0.1) is None


def test_this_machine_s_own_process_is_read() -> None:
    """The real /proc."""
    with subprocess.Popen(["sleep", "60"], env={"HTTP_PROXY": "p", "HOME": "/srv"}) as popen:
        while Path(f"/proc/{popen.pid}/comm").read_text() != "sleep\n":
            pass
        found = programs.process(popen.pid)
        popen.kill()

    assert found.environ == {"HTTP_PROXY": "p", "HOME": "/srv"}
    assert (found.uid, found.own_network, found.view.root) == (os.geteuid(), False, Path("/"))
