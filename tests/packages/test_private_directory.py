"""What the packages bring works as it is packed: trimmed, isolated, with the distribution's requests and urllib3."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rolewatch.simulator import instance
from rolewatch.simulator.instance import INSTANCE_ID, REGION

pytest.importorskip("moto")

import rolewatch
from packages.built import Built

os.environ["MOTO_ACCOUNT_ID"] = instance.ACCOUNT_ID  # moto reads it when it is imported

from aws import cloud
from skips import cannot

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

SYSTEM_PYTHON = "/usr/bin/python3"
CALLS = """
import sys, warnings
warnings.simplefilter("ignore")
import boto3, botocore, urllib3
client = lambda name: boto3.client(name, region_name="eu-west-1")
print(client("sts").get_caller_identity()["Account"])
print(len(client("iam").list_instance_profiles()["InstanceProfiles"]))
print(len(client("ec2").describe_instances()["Reservations"]))
for name in ("sso", "sso-oidc", "signin"):
    client(name)
print(botocore.__file__, urllib3.__file__, urllib3.__version__)
"""


@pytest.fixture(name="distribution")
def what_the_distribution_brings() -> None:
    """Skip the test where the distribution's requests, which the packages depend on, is not installed."""
    code = "import sys; sys.path.append('/usr/lib/python3/dist-packages'); import requests.sessions"
    try:
        subprocess.run([SYSTEM_PYTHON, "-ISB", "-c", code], capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        cannot("requests is not installed for the system's Python: apt-get install python3-requests")


@pytest.fixture(name="account")
def an_account() -> Iterator[cloud.Cloud]:
    """Yield an AWS on loopback with one healthy instance."""
    with cloud.running() as account:
        account.reset()
        account.build()
        yield account
        account.reset()


def environment(account: cloud.Cloud) -> dict[str, str]:
    """Return the environment of a workstation with an administrator's keys."""
    return {
        **os.environ,
        "AWS_ENDPOINT_URL": account.url,
        "AWS_ACCESS_KEY_ID": "AKIATESTTESTTESTTEST",
        "AWS_SECRET_ACCESS_KEY": "test",
    }


def under_the_launcher(tree: Path, code: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run *code* on the system's Python, with the paths that the launcher sets for people's commands."""
    launcher = tree / "build/private/bin/rolewatch"
    start = (
        "import runpy; from pathlib import Path; "
        f"runpy.run_path({str(launcher)!r})['set_paths'](Path({str(launcher)!r}), 'diagnose')\n"
    )
    return subprocess.run(
        [SYSTEM_PYTHON, "-ISB", "-c", start + code],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **more},
        timeout=60,
    )


@pytest.mark.usefixtures("distribution")
def test_diagnose_asks_aws_with_what_the_packages_bring(today: Built, account: cloud.Cloud) -> None:
    """From a workstation, on the system's Python: every check that asks AWS is made, and the instance is healthy."""
    done = subprocess.run(
        [
            today.tree / "build/private/bin/rolewatch",
            "diagnose",
            "--instance-id",
            INSTANCE_ID,
            "--region",
            REGION,
            "--json",
        ],
        capture_output=True,
        text=True,
        check=False,
        env=environment(account),
        timeout=60,
    )
    checks = {each["id"]: each["status"] for each in json.loads(done.stdout)["checks"]}

    assert done.stderr == ""
    assert (checks["iam.trust"], checks["ec2.association"]) == ("pass", "pass")


@pytest.mark.usefixtures("distribution")
def test_every_model_that_is_called_was_left_in(today: Built, account: cloud.Cloud) -> None:
    """With the distribution's urllib3, whatever its version: the three services, and those of `aws sso login`."""
    done = under_the_launcher(today.tree, CALLS, **environment(account))
    *answers, files = done.stdout.splitlines()

    assert (done.returncode, done.stderr) == (0, "")
    assert answers == [instance.ACCOUNT_ID, "1", "1"]
    assert f"{today.tree}/build/private/vendor-aws/botocore/__init__.py /usr/lib/python3" in files


def test_botocore_works_with_the_newest_urllib3(today: Built, account: cloud.Cloud) -> None:
    """On Python 3.9 it asks for urllib3 before 1.27; newer distributions have 2.x."""
    done = subprocess.run(
        [sys.executable, "-c", CALLS],
        capture_output=True,
        text=True,
        check=False,
        env={**environment(account), "PYTHONPATH": str(today.tree / "build/private/vendor-aws")},
        timeout=60,
    )
    *answers, files = done.stdout.splitlines()

    assert (done.returncode, done.stderr) == (0, "")
    assert answers == [instance.ACCOUNT_ID, "1", "1"]
    assert f"{today.tree}/build/private/vendor-aws/botocore" in files
    assert files.split()[2].startswith("2.")


def test_a_service_that_is_not_called_is_not_there(today: Built) -> None:
    """424 services are 77 % of botocore."""
    data = today.tree / "build/private/vendor-aws/botocore/data"

    assert {path.name for path in data.iterdir() if path.is_dir()} == {"ec2", "iam", "sts", "sso", "sso-oidc", "signin"}
    assert [path for path in data.iterdir() if path.is_dir() and len(list(path.iterdir())) != 1] == []


@pytest.mark.usefixtures("distribution")
def test_rich_draws_tables_without_what_it_asks_for(today: Built) -> None:
    """A table with a terminal's colours needs neither pygments nor markdown-it."""
    code = """
import sys
from rich.console import Console
from rich.table import Table
from rich.text import Text
table = Table(box=None, show_header=False)
table.add_row(Text("FAIL", style="red"), Text("the role"))
Console(force_terminal=True, width=40, color_system="standard").print(table)
print({"pygments", "markdown_it"} & set(sys.modules), sys.modules["rich"].__path__)
"""
    done = under_the_launcher(today.tree, code)

    assert (done.returncode, done.stderr) == (0, "")
    assert "\x1b[31mFAIL" in done.stdout
    assert f"set() ['{today.tree}/build/private/vendor-cli/rich']" in done.stdout


@pytest.mark.usefixtures("distribution")
def test_the_daemon_knows_what_it_is_without_half_a_mebibyte_of_modules(today: Built) -> None:
    """Version and addresses are read beside the package: importlib.metadata would stay in memory."""
    code = (
        "import sys, rolewatch\n"
        "print(rolewatch.__version__, rolewatch.project_url('Homepage'), 'importlib.metadata' in sys.modules)"
    )
    done = under_the_launcher(today.tree, code)
    expected = rolewatch.__version__, rolewatch.project_url("Homepage"), "False"

    assert done.stdout.split() == list(expected), done.stderr
    assert rolewatch.__version__ != "0+unknown"
