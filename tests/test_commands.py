"""Every AWS CLI command that rolewatch prints, read by bash and run by the AWS CLI: AWS receives each name as it is."""

from __future__ import annotations

import http.server
import json
import os
import re
import shlex
import subprocess
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Callable, NamedTuple
from urllib.parse import parse_qsl, quote
from xml.sax.saxutils import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rolewatch import shell
from rolewatch.aws.diagnose.remedy import Situation, fit
from rolewatch.aws.preflight import profile_checks
from rolewatch.faults import FAULTS
from rolewatch.faults.explain import explain
from rolewatch.faults.remedy import Step

IAM_NAME = st.text(alphabet="abzAZ09_+=,.@-", min_size=1, max_size=64)
"""What IAM permits: ``[\\w+=,.@-]+`` (IAM API reference, CreateRole and CreateInstanceProfile, 2026)."""
NAMES = ("-x", "--help", "--role-name", "-a=b,c@d.e+f_", "=x", "@file", "help", "---", "a,b", "-,")
"""Legal names that an option parser, a shell or the AWS CLI could take for something else."""
PARTS = ("role", "instance_profile", "expected_role", "expected_instance_profile")
NEW_ROLE = "--new=role,@"
"""What the stub says is the role in every instance profile."""
RECEIVED = ("RoleName", "InstanceProfileName", "IamInstanceProfile.Name")
NAMED = re.compile(r"\s--(?:role-name|instance-profile-name)[ =]|--iam-instance-profile Name=")
UNKNOWN = re.compile(r"<[a-z-]+>")
POLICY = {"Version": "2012-10-17", "Statement": []}
ANSWERS = {
    "DescribeInstances": "<reservationSet><item><instancesSet><item><instanceState><code>80</code><name>stopped</name>"
    "</instanceState></item></instancesSet></item></reservationSet>",
    "DescribeIamInstanceProfileAssociations": "<iamInstanceProfileAssociationSet><item><associationId>iip-assoc-1"
    "</associationId><state>associated</state></item></iamInstanceProfileAssociationSet>",
    "GetInstanceProfile": "<GetInstanceProfileResult><InstanceProfile><Roles><member><RoleName>"
    f"{escape(NEW_ROLE)}</RoleName></member></Roles></InstanceProfile></GetInstanceProfileResult>",
    "GetRole": "<GetRoleResult><Role><RoleId>AROA</RoleId><AssumeRolePolicyDocument>"
    f"{quote(json.dumps(POLICY))}</AssumeRolePolicyDocument></Role></GetRoleResult>",
}
"""What the stub answers; to every other operation it answers that it was done."""


FAKE_AWS = """
aws() {{
    printf '%s\\0' "$@" '' >&3
    case "$*" in *Roles*) echo {role};; *) echo iip-assoc-1;; esac
}}
"""
"""Notes its arguments, each ended by a zero byte, and prints what a command that asks for an id or a role expects."""


class Printed(NamedTuple):
    """One printed command, and the names that AWS must receive from it, where the test knows them beforehand."""

    command: str
    names: tuple[str, ...] = ()


class Stub(http.server.ThreadingHTTPServer):
    """An AWS that answers every operation of EC2, IAM and CloudTrail, and keeps the parameters it received."""

    daemon_threads = True

    def __init__(self) -> None:
        """Listen on a free port of loopback."""
        super().__init__(("127.0.0.1", 0), Handler)
        self.received: list[dict[str, str]] = []

    @property
    def url(self) -> str:
        """Where to send requests."""
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers one request of the query protocol, or of CloudTrail's JSON."""

    server: Stub

    def do_POST(self) -> None:
        """Keep the parameters, and answer."""
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        if "X-Amz-Target" in self.headers:
            answer = '{"Events": []}'
        else:
            parameters = dict(parse_qsl(body, keep_blank_values=True))
            self.server.received.append(parameters)
            action = parameters["Action"]
            result = ANSWERS.get(action, f"<{action}Result/>")
            answer = f"<{action}Response>{result}</{action}Response>"
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer.encode())

    def log_message(self, *_: object) -> None:
        """Keep the output of the tests clean."""


@pytest.fixture
def stub() -> Iterator[Stub]:
    """Run the stub."""
    with Stub() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def facts(names: tuple[str, ...]) -> dict[str, str]:
    """Return what is known of an instance whose names are *names*, in the order of `PARTS`."""
    return {
        "instance_id": "i-0123456789abcdef0",
        "region": "eu-central-1",
        "account_id": "123456789012",
        "partition": "aws",
        "instance_profile_id": "AIPAEXAMPLE0000000000",
        "uid": "990",
        **dict(zip(PARTS, names)),
    }


def of_the_table(known: Mapping[str, str]) -> Iterator[Printed]:
    """Yield the commands of every fault and reason, as `check` and `explain` print them."""
    for fault, entry in FAULTS.items():
        for reason, remedy in (("", entry.remedy), *entry.variants.items()):
            for raw, filled in zip(remedy.fix, explain(fault, {"reason": reason}, known).fix):
                names = [known[part] for part in re.findall(r"=\{(\w+)\}", raw.command) if part in PARTS]
                yield Printed(filled.command, (*names, *([NEW_ROLE] if '"$NEW"' in raw.command else [])))


def of_diagnose(known: Mapping[str, str]) -> Iterator[Printed]:
    """Yield the commands of every fault, with the names that EC2 may have served."""
    known = {**known, "association_id": "iip-assoc-1"}
    for situation in (
        Situation(association_known=True),
        Situation(association_known=True, association_id="iip-assoc-1", association_state="associated"),
        Situation(association_known=True, association_id="iip-assoc-1", association_state="associated", running=False),
    ):
        for fault, entry in FAULTS.items():
            fitted = explain(fault, {}, known, fit(entry.remedy.fix, situation))
            yield from (Printed(step.command) for step in fitted.fix)


def of_preflight(role: str, profile: str, other: str) -> Iterator[Printed]:
    """Yield the commands of every remedy of preflight."""
    steps: tuple[Step, ...] = (
        profile_checks.OTHER_PROFILE,
        profile_checks.find_holders(role),
        profile_checks.create(profile, role),
        *profile_checks.make_room(profile, old=other, new=role),
    )
    yield from (Printed(step.command) for step in steps)


def complete_commands(names: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """Return every command of the AWS CLI that is printed where all names are known, each with the names in it."""
    known = facts(names)
    printed = [*of_preflight(*names[:3]), *of_diagnose(known), *of_the_table(known)]
    return {
        each.command: each.names
        for each in printed
        if "aws " in each.command and "169.254" not in each.command and not UNKNOWN.search(each.command)
    }


def words_of(command: str) -> list[list[str]]:
    """Return the arguments that bash hands to ``aws``, for each time that *command* calls it."""
    script = FAKE_AWS.format(role=shlex.quote(NEW_ROLE)) + command
    reading, writing = os.pipe()
    with open(reading, "rb") as arguments:  # noqa: PTH123 - a descriptor
        done = subprocess.run(
            ["bash", "-eu", "-c", f"exec 3>&{writing}\n{script}"], pass_fds=[writing], capture_output=True, check=False
        )
        os.close(writing)
        calls = arguments.read().decode().split("\0\0")
    assert (done.returncode, done.stderr) == (0, b""), command
    assert calls.pop() == ""
    return [call.split("\0") for call in calls]


@pytest.fixture
def received_from(stub: Stub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], list[str]]:
    """Return a function that runs a printed command, and returns the names that AWS received."""
    clidriver = pytest.importorskip("awscli.clidriver")
    monkeypatch.chdir(tmp_path)
    for name, value in {
        "AWS_CONFIG_FILE": str(tmp_path / "config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials"),
        "AWS_ENDPOINT_URL": stub.url,
        "AWS_ACCESS_KEY_ID": "AKIATESTTESTTESTTEST",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_MAX_ATTEMPTS": "1",
    }.items():
        monkeypatch.setenv(name, value)
    driver = clidriver.create_clidriver()

    def run(command: str) -> list[str]:
        stub.received.clear()
        for words in words_of(command):
            assert driver.main(words) == 0, (command, words)
        return [values[key] for values in stub.received for key in RECEIVED if key in values]

    return run


@pytest.mark.slow
@pytest.mark.parametrize("start", range(len(NAMES)), ids=NAMES)
def test_aws_receives_every_name_as_it_is(
    start: int, received_from: Callable[[str], list[str]], tmp_path: Path
) -> None:
    """No legal name is taken for an option, a file, a list or two parameters, in any command that is printed."""
    (tmp_path / "trust-policy.json").write_text(json.dumps(POLICY))
    names = tuple(NAMES[(start + number) % len(NAMES)] for number in range(len(PARTS)))
    commands, others = complete_commands(names), complete_commands(("w", "x", "y", "z"))
    for command, expected in commands.items():
        if start and command in others:
            continue  # no name is in it: once is enough
        received = received_from(command)

        assert set(received) <= {*names, NEW_ROLE}, command
        assert len(received) == len(NAMED.findall(command)), command
        assert not expected or sorted(received) == sorted(expected), command
    assert len(commands) >= 30


@given(IAM_NAME)
def test_a_name_in_the_shorthand_is_one_value(name: str) -> None:
    """The AWS CLI's own parser reads the shorthand, as the shell hands it over, as one value."""
    parser = pytest.importorskip("awscli.shorthand").ShorthandParser()
    (word,) = shlex.split(f"Name={shell.shorthand(name)}")

    assert parser.parse(word) == {"Name": name}


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
def test_an_option_is_one_word_whatever_its_value(value: str) -> None:
    """A shell reads ``--name=value`` as one word; only a placeholder is left for a person to see."""
    if not UNKNOWN.fullmatch(value):
        assert shlex.split(shell.option("role-name", value)) == [f"--role-name={value}"]


def test_a_placeholder_stays_readable() -> None:
    """What is unknown appears without quotes, as in every page."""
    assert shell.option("role-name", shell.placeholder("expected_role")) == "--role-name=<expected-role>"
    assert f"Name={shell.shorthand('<instance-profile>')}" == "Name=<instance-profile>"


def test_no_name_follows_its_option_after_a_space() -> None:
    """In no printed command: a name that begins with a dash would be read as another option."""
    printed = complete_commands(("ROLE", "PROFILE", "EXPECTED", "OTHER"))
    wrong = [command for command in printed if re.search(r"--[a-z-]+ +(?:ROLE|PROFILE|EXPECTED|OTHER)\b", command)]

    assert wrong == []
