"""What is in the daemon's memory when a poll is over: no key of any poll. And in its core dump: nothing at all."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from builders import INSTANCE_ID
from chaos.hostile import CANARY, KEY_ID, PATHS, documents, parts, whole, with_header
from chaos.process_memory import POLLS_ON_DEMAND, ROLE, copies, found_in, readable_daemon, writable
from daemon_process import config, daemon
from forms import Form
from promises import Area, Measured, promise
from rolewatch.simulator.scenarios import SCENARIOS
from wire import Request, Script, Wire

AS_HEADERS = {"endless_headers", "not_http"}
"""Scenarios in which the credentials come as header lines, of which http.client makes copies of its own."""


@pytest.mark.slow
@promise(
    Area.SECRETS,
    "the daemon's memory is read between two polls, all of it, as root or a debugger can (`gcore -a`)",
    "no access key id, secret key or token is in it, of the last poll or of one before, not even 16 bytes of one",
)
def test_no_key_is_in_memory_when_its_poll_is_over(tmp_path: Path, measured: Measured, *, form: Form) -> None:
    """Nor after the next poll, nor after a rotation. Freed memory is not wiped by itself: ours is, by us."""
    last: set[str] = set()
    worst = {"now": 0, "next": 0, "old": 0}
    with readable_daemon(tmp_path) as readable:
        for number in range(form.pick(quick=3, short=5, long=60)):
            if number % 2:
                readable.simulator.rotate()
            earlier = readable.keys
            readable.process.poll()
            memory = readable.memory()
            new = readable.keys - earlier
            found = {
                "now": copies(new, memory),
                "next": copies(last, memory),
                "old": copies(earlier - last, memory),
            }
            worst = {name: max(count, found[name]) for name, count in worst.items()}
            last = new or last
        sessions = copies(readable.sessions, memory)
        assert copies([ROLE], memory)
        assert len(readable.keys) >= 3 * (readable.process.polls() // 2)

    measured("copies of a key right after its poll", worst["now"], "", bound=0)
    measured("after the next poll", worst["next"], "", bound=0)
    measured("later", worst["old"], "", bound=0)
    measured("IMDS session tokens, each good for 60 s", sessions, "")


@pytest.mark.slow
@promise(
    Area.SECRETS,
    "IMDS sends the credentials cut off or spoilt (in the long form in any way of `rolewatch simulate`)",
    "no key is in the daemon's memory afterwards, unless they came as header lines",
)
def test_no_key_is_in_memory_after_a_poll_that_went_wrong(tmp_path: Path, measured: Measured, *, form: Form) -> None:
    """What is given up half read is overwritten, too."""
    some = ["imds_truncated", "imds_malformed", "invalid_utf8"]
    every = [each.name for each in SCENARIOS if each.conditions.listening]
    names = form.pick(quick=some[:1], short=some, long=every)
    found = {}
    with readable_daemon(tmp_path) as readable:
        for name in names:
            readable.simulator.switch(name)
            readable.simulator.rotate()
            before = readable.keys
            readable.process.poll()
            found[name] = found_in(readable.keys - before, readable.memory())
        seen = sum(bool(keys) for name, keys in found.items() if name not in AS_HEADERS)

    measured("scenarios", len(names), "")
    measured("scenarios after which a key is in memory", seen, "", bound=0)


@promise(
    Area.SECRETS,
    "the credentials come in chunks, as from a proxy, and the last one is missing or cut off",
    "no key is in the daemon's memory afterwards",
)
@pytest.mark.parametrize("missing", [0, 7], ids=["last-chunk", "end-of-a-chunk"])
def test_no_key_is_in_memory_after_chunks_that_were_cut_off(tmp_path: Path, missing: int) -> None:
    """The error that is made of them has a copy of what was read. A large one: a small one is soon written over."""
    bodies = {PATHS[phase]: body for phase, body in documents().items()}

    def play(request: Request) -> Script:
        good = whole(bodies[request.path])
        if request.path != PATHS["credentials"]:
            return [good]
        head, body = parts(good.replace(CANARY.encode(), CANARY.encode() * 40))
        first, second = body[:1200], body[1200:]
        chunks = b"%x\r\n%b\r\n%x\r\n%b" % (len(first), first, len(second), second[: len(second) - missing])
        return [with_header(head, b"Transfer-Encoding: chunked", without=b"Content-Length") + chunks]

    with Wire(play) as wire:
        settings = str(config(tmp_path, wire, POLLS_ON_DEMAND))
        with daemon("--config", settings, environ={"PYTHONDEVMODE": ""}) as process:
            memory = writable(process.watching().pid)

    assert copies([INSTANCE_ID], memory)
    assert found_in([CANARY, KEY_ID], memory) == set()


@promise(
    Area.SECRETS,
    "a core is made of the running daemon with `gcore`",
    "it has registers and no memory",
)
def test_a_core_of_the_daemon_contains_no_memory(tmp_path: Path, measured: Measured) -> None:
    """The daemon excludes every mapping from core dumps, and writes no core file."""
    if shutil.which("gcore") is None:
        pytest.skip("gdb is not installed")
    core = tmp_path / "core"
    with readable_daemon(tmp_path) as readable:
        memory = readable.memory()
        pid = readable.process.pid
        made = subprocess.run(["gcore", "-o", core, str(pid)], capture_output=True, text=True, check=False, timeout=60)
        limits = Path(f"/proc/{pid}/limits").read_text(encoding="utf-8")
        secrets = readable.keys | readable.sessions
    file = tmp_path / f"core.{pid}"
    if not file.exists() and "ptrace: " in made.stderr:
        pytest.skip(f"gdb may not attach here: {made.stderr[-200:]}")
    content = file.read_bytes()

    assert "Max core file size        0                    0 " in limits
    assert copies(secrets, content) == 0
    assert len(content) < len(memory) / 100
    measured("size of the core", len(content) / 1024, "KiB")
