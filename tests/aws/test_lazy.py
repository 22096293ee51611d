"""Only commands that call AWS import boto3, and only at the first call."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

AGENT = Path(__file__).parents[2] / "agent"


def loaded(code: str, *flags: str) -> str:
    """Run *code* and return the names of the modules that it left loaded, one a line."""
    program = f"import sys\n{code}\nprint(*sys.modules, sep='\\n')"
    done = subprocess.run(
        [sys.executable, *flags, "-c", program],
        env={**os.environ, "PYTHONPATH": str(AGENT)},
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    return f"\n{done.stdout}"


@pytest.mark.parametrize(
    "module", ["rolewatch.cli.run", "rolewatch.cli.daemon", "rolewatch.cli.check", "rolewatch.cli"]
)
def test_the_daemon_never_loads_it(module: str) -> None:
    """Neither boto3 nor botocore, nor anything of rolewatch.aws."""
    names = loaded(f"import {module}")

    assert "\nboto" not in names
    assert "\nrolewatch.aws\n" not in names


def test_diagnose_itself_loads_it_late() -> None:
    """The command's help costs no boto3, and neither do the checks."""
    names = loaded("import rolewatch.cli.diagnose, rolewatch.aws.diagnose, rolewatch.aws.credentials")

    assert "\nrolewatch.aws.diagnose" in names
    assert "\nboto" not in names


def test_diagnose_works_without_boto3(tmp_path: Path) -> None:
    """Where it is not installed, IMDS is still polled, and AWS's checks say why they are skipped."""
    code = (
        "sys.modules['boto3'] = sys.modules['botocore'] = None\n"
        f"sys.path[:0] = [{str(AGENT.parent / 'tests')!r}]\n"
        "import os; del os.environ['AWS_EC2_METADATA_DISABLED']\n"
        "import guard; sys.addaudithook(guard.refuse_real_imds)\n"
        "from datetime import datetime, timezone\n"
        "from rolewatch import cli\n"
        "from rolewatch.simulator import Simulator\n"
        "cli.COMMANDS.setdefault('diagnose', '')\n"
        f"open({str(tmp_path / 'r.toml')!r}, 'w').write('[imds]\\ndisabled = false\\n')\n"
        "with Simulator(now=lambda: datetime.now(timezone.utc)) as simulator:\n"
        f"    words = ['diagnose', '--config', {str(tmp_path / 'r.toml')!r}, '--endpoint', simulator.endpoint]\n"
        "    assert cli.main(words) == 0\n"
    )

    assert "boto3 is not installed" in loaded(code)
