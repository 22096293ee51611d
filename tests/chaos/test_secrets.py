"""No secret is in debug logs, in a traceback from any function, in `ps` or in the output of a command."""

from __future__ import annotations

import contextlib
import gc
import http.client
import io
import json
import logging
import shutil
import signal
import subprocess
import sys
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FrameType, ModuleType

import pytest

from chaos.process_memory import BEGINNINGS, found_in, readable_daemon
from daemon_process import config, daemon, environment
from e2e.processes import until
from forms import Form
from harness import get, in_process, utc_now
from promises import Area, Measured, promise
from rolewatch import imds, monitor
from rolewatch.cli import check, main, poll_once
from rolewatch.imds import client, documents, transport
from rolewatch.monitor import classify, track
from rolewatch.publish import status
from rolewatch.simulator import Simulator
from rolewatch.simulator.scenarios import SCENARIOS
from skips import cannot

CREDENTIALS = "meta-data/iam/security-credentials/"
SENT_AS_HEADERS = {"endless_headers", "not_http"}
"""Scenarios that send the credentials as header lines: urllib3 logs header lines that it cannot parse."""
SOME = ["healthy", *sorted(SENT_AS_HEADERS), "imds_truncated", "imds_malformed", "imds_html"]


# Where a library logs all it does


@promise(
    Area.SECRETS,
    "everything is logged at debug, and http.client prints what it sends and reads",
    "requests, urllib3 and http.client print no key and no session token",
)
def test_a_library_at_debug_logs_no_secret(  # noqa: PLR0913 - what is listened to, and where
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    measured: Measured,
    *,
    form: Form,
) -> None:
    """The daemon prints nothing of it, not even of headers that are the credentials."""
    monkeypatch.setattr(http.client.HTTPConnection, "debuglevel", 1)
    caplog.set_level(logging.DEBUG)
    names = form.pick(quick=SOME[:2], short=SOME, long=[each.name for each in SCENARIOS])
    found: dict[str, set[str]] = {}
    for name in names:
        caplog.clear()
        with in_process(tmp_path, name) as rolewatch:
            seen = rolewatch.run(polls=2)
            assert rolewatch.simulator is not None
            secrets = rolewatch.simulator.secrets
        said = capfd.readouterr()
        out = f"{caplog.text}{said.out}{said.err}{seen.everything()}"
        found[name] = {secret for secret in secrets if secret in out}

    measured("scenarios", len(names), "")
    assert {name for name, secrets in found.items() if secrets} == set()


# Where something is thrown


class InjectedError(Exception):
    """Raised where no code raises."""


def functions(*, long: bool) -> list[CodeType]:
    """Return the code of the functions that handle a secret; with *long*, also of those between them and the output."""
    modules: list[ModuleType] = [transport, transport, client, documents, imds]
    if long:
        modules += [classify, track, monitor, poll_once, poll_once, check, status]
    found = []
    for module in modules:
        owners: list[object] = [module, *(each for each in vars(module).values() if isinstance(each, type))]
        for owner in owners:
            for each in vars(owner).values():
                code = getattr(getattr(each, "fget", each), "__code__", None)
                if isinstance(code, CodeType) and code.co_filename == module.__file__:
                    found.append(code)
    return found


@contextlib.contextmanager
def thrown_in(code: CodeType, when: str, error: type[Exception]) -> Iterator[list[str]]:
    """Throw *error* the first time that *code* is called, or returns; yield a list that is not empty once it was."""
    thrown: list[str] = []

    def profile(frame: FrameType, event: str, _: object) -> None:
        if frame.f_code is code and event == when and not thrown:
            thrown.append(code.co_name)
            raise error("thrown")

    sys.setprofile(profile)
    try:
        yield thrown
    finally:
        sys.setprofile(None)


def run_check(endpoint: str) -> str:
    """Run `rolewatch check` as the interpreter does; return all that came out, an uncaught error's trace included."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        try:
            main(["check", "--endpoint", endpoint])
        except BaseException:  # noqa: BLE001 - what the interpreter would print of it
            sys.excepthook(*sys.exc_info())
            out.write("".join(traceback.format_exc()))
    return out.getvalue()


@pytest.mark.slow
@promise(
    Area.SECRETS,
    "an exception is thrown in any function between the socket and the output, at its beginning or at its end",
    "neither the trace nor anything else that is printed has a secret",
)
def test_a_trace_from_anywhere_shows_no_secret(measured: Measured, *, form: Form) -> None:
    """An error out of memory, out of a value, out of a bug: no message, no chain of causes carries a secret along."""
    errors: list[type[Exception]] = [InjectedError, *form.pick(quick=[], short=[], long=[MemoryError, KeyError])]
    traces = uncaught = 0
    found = set()
    with Simulator(now=utc_now) as simulator, warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # the injected exception leaves a socket open
        for code in functions(long=form is Form.LONG)[:: form.pick(quick=5, short=1, long=1)]:
            for when in ("call", "return"):
                for error in errors:
                    with thrown_in(code, when, error) as thrown:
                        said = run_check(simulator.endpoint)
                    traces += len(thrown)
                    uncaught += "Traceback" in said
                    if any(secret in said for secret in simulator.secrets):
                        found.add(code.co_name)
        gc.collect()

    assert found == set()
    assert uncaught > form.pick(quick=1, short=10, long=10)
    measured("exceptions", traces, "")


@promise(
    Area.SECRETS,
    "the daemon is aborted in the middle of a poll, as the watchdog does it",
    "the stacks that it prints have no values",
)
def test_the_stacks_of_an_abort_show_no_secret(tmp_path: Path) -> None:
    """SIGABRT while the credentials come in, byte by byte."""
    with Simulator(now=utc_now, scenario_name="drip") as simulator:
        with daemon("--config", str(config(tmp_path, simulator))) as process:
            until(lambda: [each for each in simulator.requests if CREDENTIALS in each.path], "the credentials come in")
            process.popen.send_signal(signal.SIGABRT)
            assert process.exit_status() == -signal.SIGABRT
            said = "".join(process.other) + json.dumps(process.entries)
        secrets = simulator.secrets

    assert "Fatal Python error: Aborted" in said
    assert "imds/client.py" in said
    assert [secret for secret in secrets if secret in said] == []


# What other users can read


def about(pid: int) -> bytes:
    """Return what /proc has of the process: command line, environment, names of files and threads."""
    proc = Path(f"/proc/{pid}")
    parts = [(proc / name).read_bytes() for name in ("cmdline", "environ", "comm", "maps", "status", "stat", "wchan")]
    parts += [str(link.readlink()).encode() for link in proc.glob("fd/*")]
    parts += [each.read_bytes() for each in proc.glob("task/*/comm")]
    return b"\n".join(parts)


@pytest.mark.slow
@promise(
    Area.SECRETS,
    "another user reads `ps`, /proc, and every file that the daemon writes",
    "there is no secret in arguments, environment, names of files and threads, temporary files or its own",
)
def test_the_process_shows_no_secret(tmp_path: Path, measured: Measured) -> None:
    """Nor does it leave a temporary file, or start another process."""
    if shutil.which("ps") is None:
        cannot("ps is not installed: apt-get install procps")
    own, temporary = tmp_path / "state", tmp_path / "tmp"
    for directory in (own, temporary):
        directory.mkdir(0o700)
    settings = f'[state]\ndirectory = "{own}"\n[textfile]\npath = "{tmp_path}/rolewatch.prom"\n[log]\nlevel = "debug"\n'
    with readable_daemon(tmp_path, settings, TMPDIR=str(temporary)) as readable:
        for fault in ("healthy", "credentials_error", "assume_role_unauthorized"):
            readable.simulator.switch(fault)
            readable.simulator.rotate()
            readable.process.poll()
        pid = readable.process.pid
        listed = subprocess.run(["ps", "auxwwe"], capture_output=True, check=True).stdout
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8")
        visible = listed + about(pid) + get(f"http://{readable.process.address}/")[1].encode()
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    visible += b"\n".join(path.read_bytes() for path in files) + json.dumps(readable.process.entries).encode()
    secrets = readable.keys | readable.sessions

    assert found_in(secrets, visible) == set()
    assert (children, list(temporary.iterdir())) == ("", [])
    assert {"state.json", "rolewatch.prom", "rolewatch.toml"} <= {path.name for path in files}
    measured("files of the daemon", len(files), "")


# The commands


def command(*words: str, **environ: str) -> str:
    """Run the command in development mode, all warnings shown; return everything that it prints."""
    said = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "always", "-m", "rolewatch", *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**environment(), "BOTO_DEBUG": "1", "AWS_DEBUG": "true", **environ},
    )
    return said.stdout + said.stderr


@pytest.mark.slow
@promise(
    Area.SECRETS,
    "the commands are run with `-X dev`, all warnings on, and with variables that ask for debugging",
    "`check` in every form, `config`, `rules`, `explain` and `demo` print no secret, and write none",
)
def test_no_command_prints_a_secret(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """What they print, and the files that they write; the settings have no secret to begin with."""
    textfile = tmp_path / "rolewatch.prom"
    with Simulator(now=utc_now) as simulator:
        settings = ("--config", str(config(tmp_path, simulator)))
        said = [
            command("check", *settings),
            command("check", "--json", *settings),
            command("demo", "--for", "2s", "--listen", "127.0.0.1:0"),
        ]
        assert command("check", "--textfile", str(textfile), *settings) == ""
        for words in (("config", "show", *settings), ("rules",), ("explain", "credentials_expired")):
            with contextlib.suppress(SystemExit):
                main(words)
        secrets = simulator.secrets
    out = "\n".join((*said, *capfd.readouterr(), textfile.read_text(encoding="utf-8")))

    assert all(said)
    assert "rolewatch_state" in out
    assert len(secrets) >= 3 * 3
    assert [secret for secret in (*secrets, *BEGINNINGS) if secret in out] == []
