"""Commands that call AWS never print a key: not of the chain of credentials, not of IMDS, not at debug level."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest

from rolewatch.cli import main
from rolewatch.simulator.instance import REGION

pytest.importorskip("moto")
pytest.importorskip("boto3")

from aws import cloud
from forms import Form
from promises import Area, promise

CANARY = "CANARYwJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPL"
KEY_ID = "ASIACANARY7CANARY7QX"
TOKEN = "IQoJb3JpZ2luX2VjCANARY" + "Zm9vYmFy" * 60

PROCESS = """\
#!{python}
import json, sys
print("CANARY on standard error: {canary}", file=sys.stderr)
print(json.dumps({{"Version": 1, "AccessKeyId": "{key_id}", "SecretAccessKey": "{canary}", "SessionToken": "{token}"}}))
sys.exit({status})
"""


def chain(kind: str, directory: Path) -> dict[str, str]:
    """Return an environment whose credentials, which AWS does not know, come from *kind*."""
    if kind == "environment":
        return {"AWS_ACCESS_KEY_ID": KEY_ID, "AWS_SECRET_ACCESS_KEY": CANARY, "AWS_SESSION_TOKEN": TOKEN}
    configuration, shared = directory / "config", directory / "credentials"
    where = {"AWS_CONFIG_FILE": str(configuration), "AWS_SHARED_CREDENTIALS_FILE": str(shared)}
    if kind == "file":
        shared.write_text(
            f"[default]\naws_access_key_id = {KEY_ID}\naws_secret_access_key = {CANARY}\naws_session_token = {TOKEN}\n"
        )
        return where
    if kind == "file that cannot be read":
        shared.write_text(f"[default\naws_secret_access_key {CANARY}\n")
        return where
    if kind.startswith("process"):
        program = directory / "program"
        status = 1 if kind == "process that fails" else 0
        program.write_text(
            PROCESS.format(python=sys.executable, canary=CANARY, key_id=KEY_ID, token=TOKEN, status=status)
        )
        program.chmod(0o700)
        configuration.write_text(f"[default]\ncredential_process = {program}\n")
        return where
    return {}


KINDS = ("environment", "process that fails", "IMDS")
ALL_KINDS = (*KINDS, "file", "file that cannot be read", "process")


@pytest.mark.slow
@promise(
    Area.SECRETS,
    "`rolewatch diagnose` asks AWS with keys of the environment, a file, a process or IMDS, and botocore is at debug",
    "the report, its JSON and the evidence have no key, and nothing is logged",
)
def test_no_form_of_a_diagnosis_shows_a_key(
    house: cloud.House,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    *,
    form: Form,
) -> None:
    """AWS accepts the keys of IMDS and refuses the others: both are reported without one."""
    evidence = tmp_path / "evidence.json"
    caplog.set_level(logging.DEBUG)
    for kind in form.pick(quick=KINDS[:1], short=KINDS, long=ALL_KINDS):
        evidence.unlink(missing_ok=True)
        with pytest.MonkeyPatch.context() as house.patch:
            house.environ = chain(kind, tmp_path)
            result = [house.diagnose(json_form=False), house.diagnose("--output", str(evidence))]
            if form is Form.LONG:
                result += [house.diagnose(), house.from_elsewhere(json_form=False)]
        said = capfd.readouterr()
        written = evidence.read_text(encoding="utf-8")
        out = "\n".join((*(each.out + each.err for each in result), said.out, said.err, caplog.text, written))

        assert result[0].out
        assert json.loads(written)["schema"] == 1
        assert found(out, house.imds.secrets) == [], kind


@pytest.mark.slow
@promise(Area.SECRETS, "`rolewatch preflight` asks AWS with such keys", "what it prints has none")
def test_preflight_shows_no_key(
    house: cloud.House,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    *,
    form: Form,
) -> None:
    """In words and as JSON."""
    caplog.set_level(logging.DEBUG)
    asked = ("preflight", "visible", "--role", cloud.ROLE, "--region", REGION, "--endpoint", house.imds.endpoint)
    for kind in form.pick(quick=KINDS[:1], short=KINDS[:2], long=ALL_KINDS):
        with pytest.MonkeyPatch.context() as patch:
            for name, value in {"AWS_ENDPOINT_URL": house.cloud.url, **chain(kind, tmp_path)}.items():
                patch.setenv(name, value)
            main(asked)
            main([*asked, "--json"])
        said = capfd.readouterr()

        assert said.out, said.err
        assert found(f"{said.out}{said.err}{caplog.text}", house.imds.secrets) == [], kind


@pytest.mark.slow
@promise(
    Area.SECRETS,
    "`rolewatch diagnose` runs with `-X dev`, all warnings on and a debug handler, in a process of its own",
    "standard output and standard error have no key",
)
def test_a_diagnosis_in_development_mode_shows_no_key(house: cloud.House, tmp_path: Path) -> None:
    """As a developer runs it to find a bug."""
    code = "import logging; logging.basicConfig(level=logging.DEBUG); from rolewatch.cli import main; main()"
    result = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "always", "-c", code, "diagnose", "--endpoint", house.imds.endpoint],
        env={
            **chain("environment", tmp_path),
            "PATH": "/usr/bin:/bin",
            "PYTHONPATH": str(Path(__file__).parents[2] / "agent"),
            "AWS_ENDPOINT_URL": house.cloud.url,
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

    assert result.stdout.count("\n") > 10
    assert found(result.stdout + result.stderr, house.imds.secrets) == []


def found(out: str, secrets: frozenset[str]) -> list[str]:
    """Return which of the keys of the chain, and of *secrets*, are in *out*."""
    return [secret for secret in (*secrets, CANARY, KEY_ID, TOKEN, "CANARY") if secret in out]
