"""Clients that people use believe the simulator: botocore, the AWS CLI, both `ec2-metadata`, cloud-init.

Those that know no address but 169.254.169.254 are run in a network namespace of their own, where the simulator has that
address: nothing they send can leave it.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from rolewatch.simulator import Simulator
from skips import cannot

pytestmark = pytest.mark.client

AGENT = Path(__file__).resolve().parents[2] / "agent"
SYSTEM_PYTHON = "/usr/bin/python3"
"""Where distributions put cloud-init."""
NAMESPACE = ("unshare", "--map-root-user", "--net")

IN_NAMESPACE = """
import json, subprocess, sys
from datetime import datetime, timezone
from rolewatch.simulator import Simulator

host, scenario, *command = sys.argv[1:]
# nodad: else the address is tentative, and no process can bind it, until a kernel thread has checked for a duplicate.
kind, address = (["-6"], [host + "/128", "nodad"]) if ":" in host else ([], [host + "/32"])
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
subprocess.run(["ip", *kind, "address", "add", *address, "dev", "lo"], check=True)
with Simulator(now=lambda: datetime.now(timezone.utc), host=host, port=80, scenario_name=scenario) as simulator:
    done = subprocess.run(command, capture_output=True, text=True, timeout=50)
    asked = [f"{request.method} {request.path}" for request in simulator.requests]
print(json.dumps({"status": done.returncode, "out": done.stdout, "err": done.stderr, "asked": asked}))
"""
"""Run in a new network namespace: an address, the simulator on it, and a command that asks it."""

CLOUD_INIT = """
import json
from cloudinit.sources.helpers import ec2
from cloudinit.url_helper import readurl

base = "http://169.254.169.254"
life = {"X-aws-ec2-metadata-token-ttl-seconds": "60"}
token = str(readurl(base + "/latest/api/token", request_method="PUT", headers=life, timeout=5))
headers = {"X-aws-ec2-metadata-token": token}
sending = {"metadata_address": base, "retries": 0, "headers_cb": lambda url: headers}
print(json.dumps({
    "metadata": ec2.get_instance_metadata("2021-03-23", **sending),
    "identity": ec2.get_instance_identity("2021-03-23", **sending),
}))
"""
"""What DataSourceEc2 does at boot: a dated version, and a walk through all listings."""

BOTOCORE = "import botocore.session as s; print(s.get_session().get_credentials().access_key)"


def environment(**more: str) -> dict[str, str]:
    """Return the environment of a child that may ask IMDS: where, must be said in *more*, or be a namespace."""
    kept = {name: value for name, value in os.environ.items() if name != "AWS_EC2_METADATA_DISABLED"}
    return {**kept, "PYTHONPATH": str(AGENT), **more}


def ask(simulator: Simulator, *command: str) -> subprocess.CompletedProcess[str]:
    """Run *command* with the simulator for its IMDS."""
    env = environment(AWS_EC2_METADATA_SERVICE_ENDPOINT=simulator.endpoint)
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=50, check=False)


def in_namespace(host: str, scenario: str, *command: str, **more: str) -> dict[str, Any]:
    """Run *command* where *host* is the simulator's; return its status, what it printed, and what it asked for."""
    if shutil.which("unshare") is None or shutil.which("ip") is None:
        cannot("needs unshare (util-linux) and ip (iproute2)")
    if subprocess.run([*NAMESPACE, "true"], capture_output=True, check=False).returncode:
        cannot("this machine lets us make no network namespace")
    if ":" in host and not Path("/proc/net/if_inet6").exists():
        pytest.skip("this machine has no IPv6")
    driver = [*NAMESPACE, sys.executable, "-c", IN_NAMESPACE, host, scenario, *command]
    done = subprocess.run(driver, env=environment(**more), capture_output=True, text=True, timeout=55, check=False)
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def aws() -> list[str]:
    """Return how to call the AWS CLI, or skip the test."""
    found: list[str] | None = None
    if importlib.util.find_spec("awscli"):
        found = [sys.executable, "-m", "awscli"]
    elif shutil.which("aws"):
        found = ["aws"]
    if found is None or subprocess.run([*found, "--version"], capture_output=True, check=False).returncode:
        pytest.skip("the AWS CLI is not installed")
    return found


def test_botocores_fetcher_gets_credentials(simulator: Simulator) -> None:
    """The fetcher behind every Python SDK call finds role, keys and expiry; by IMDSv2."""
    utils = pytest.importorskip("botocore.utils")
    fetched = utils.InstanceMetadataFetcher(base_url=simulator.endpoint, env={}).retrieve_iam_role_credentials()

    assert fetched["role_name"] == "web-server"
    assert {fetched["access_key"], fetched["secret_key"], fetched["token"]} <= simulator.secrets
    assert all("x-aws-ec2-metadata-token" in request.headers for request in simulator.requests[1:])


@pytest.mark.parametrize(
    "scenario",
    [
        "assume_role_unauthorized",
        "instance_profile_without_role",
        "instance_profile_not_found",
        "instance_profile_detached",
        "credentials_missing",
        "credentials_incomplete",
        "imds_disabled",
        "imds_unreachable",
        "imds_malformed",
    ],
)
def test_botocore_finds_no_credentials_and_does_not_say_why(simulator: Simulator, scenario: str) -> None:
    """Nine causes, one empty answer: what this product is for."""
    utils = pytest.importorskip("botocore.utils")
    simulator.switch(scenario)

    assert utils.InstanceMetadataFetcher(base_url=simulator.endpoint, env={}).retrieve_iam_role_credentials() == {}
    assert simulator.requests or scenario == "imds_unreachable"


def test_botocore_falls_back_to_imdsv1_at_the_hop_limit(simulator: Simulator) -> None:
    """The token is not answered, and the SDK asks without one, silently."""
    utils = pytest.importorskip("botocore.utils")
    simulator.switch("imds_hop_limit")
    fetched = utils.InstanceMetadataFetcher(
        base_url=simulator.endpoint, timeout=0.3, env={}
    ).retrieve_iam_role_credentials()

    assert fetched["role_name"] == "web-server"
    assert "x-aws-ec2-metadata-token" not in simulator.requests[-1].headers


def test_a_botocore_session_uses_the_role(simulator: Simulator) -> None:
    """The whole chain of providers, with the endpoint from the environment."""
    pytest.importorskip("botocore")
    done = ask(simulator, sys.executable, "-c", BOTOCORE)

    assert done.stdout.strip() in simulator.secrets, done.stderr


def test_the_aws_cli_finds_the_role(simulator: Simulator) -> None:
    """`aws configure list` says that the keys are of an IAM role, and shows the end of the key id that is served."""
    done = ask(simulator, *aws(), "configure", "list")
    shown = re.search(r"access_key\W+([A-Z0-9]{4})\W+iam-role", done.stdout)

    assert shown, done.stdout + done.stderr
    assert any(secret.startswith("ASIA") and secret.endswith(shown[1]) for secret in simulator.secrets)


def test_the_aws_cli_exports_the_credentials(simulator: Simulator) -> None:
    """`aws configure export-credentials` gives what IMDS serves."""
    done = ask(simulator, *aws(), "configure", "export-credentials", "--format", "process")
    if "Invalid choice" in done.stderr:
        pytest.skip("version 1 of the AWS CLI has no export-credentials")
    exported = json.loads(done.stdout)

    assert {exported["AccessKeyId"], exported["SecretAccessKey"], exported["SessionToken"]} <= simulator.secrets


def test_ec2_metadata_of_pypi_reads_the_instance(simulator: Simulator) -> None:
    """Each property that shows a document of ours."""
    ec2_metadata = pytest.importorskip("ec2_metadata")
    metadata = ec2_metadata.EC2Metadata()
    metadata.service_url = f"{simulator.endpoint}/latest/"
    metadata.dynamic_url = f"{metadata.service_url}dynamic/"
    metadata.metadata_url = f"{metadata.service_url}meta-data/"
    metadata.userdata_url = f"{metadata.service_url}user-data/"

    assert metadata.iam_info["InstanceProfileArn"] == "arn:aws:iam::111122223333:instance-profile/web-server"
    assert metadata.iam_security_credentials["AccessKeyId"] in simulator.secrets
    assert (metadata.region, metadata.account_id, metadata.partition) == ("eu-west-1", "111122223333", "aws")
    assert metadata.instance_identity_document["instanceId"] == metadata.instance_id
    assert [interface.subnet_id for interface in metadata.network_interfaces.values()] == ["subnet-0123456789abcdef0"]
    assert (metadata.user_data, metadata.spot_instance_action) == (None, None)


def test_ec2_metadata_of_amazon_ec2_utils_reads_the_instance() -> None:
    """The script of Debian and Amazon Linux, all of its items."""
    if shutil.which("ec2-metadata") is None:
        pytest.skip("amazon-ec2-utils is not installed")
    done = in_namespace("169.254.169.254", "instance_tags", "ec2-metadata", "--all")
    lines = done["out"].splitlines()

    assert done["status"] == 0, done["err"]
    assert "instance-id: i-0123456789abcdef0" in lines
    assert "placement: eu-west-1a" in lines
    assert "user-data: not available" in lines
    assert "keyname:rolewatch-simulator" in lines
    assert "\t ExpectedRole: web-server" in lines
    assert done["asked"][0] == "PUT /latest/api/token"


def test_ec2_metadata_of_amazon_ec2_utils_says_that_imds_is_disabled() -> None:
    """403 to the token."""
    if shutil.which("ec2-metadata") is None:
        pytest.skip("amazon-ec2-utils is not installed")
    done = in_namespace("169.254.169.254", "imds_disabled", "ec2-metadata", "--instance-id")

    assert (done["status"], "[ERROR] Could not get IMDSv2 token" in done["out"] + done["err"]) == (1, True)


def test_cloud_init_walks_through_all_metadata() -> None:
    """The crawl of DataSourceEc2 finds every item that is listed, and skips the credentials as it should."""
    if subprocess.run([SYSTEM_PYTHON, "-c", "import cloudinit"], capture_output=True, check=False).returncode:
        pytest.skip("cloud-init is not installed")
    done = in_namespace("169.254.169.254", "healthy", SYSTEM_PYTHON, "-c", CLOUD_INIT)
    assert done["status"] == 0, done["err"]
    read = json.loads(done["out"])
    metadata = read["metadata"]

    assert metadata["instance-id"] == read["identity"]["document"]["instanceId"] == "i-0123456789abcdef0"
    assert metadata["iam"]["info"]["Code"] == "Success"
    assert list(metadata["public-keys"]) == ["rolewatch-simulator"]
    assert metadata["placement"]["region"] == "eu-west-1"


@pytest.mark.parametrize(
    ("host", "mode"), [("169.254.169.254", "IPv4"), ("fd00:ec2::254", "IPv6")], ids=["IPv4", "IPv6"]
)
def test_botocore_finds_the_role_at_the_well_known_address(host: str, mode: str) -> None:
    """Nothing is configured but the kind of address, as on an instance; and ten seconds instead of botocore's one."""
    pytest.importorskip("botocore")
    more = {"AWS_METADATA_SERVICE_TIMEOUT": "10"}
    if mode != "IPv4":
        more["AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE"] = mode
    done = in_namespace(host, "healthy", sys.executable, "-c", BOTOCORE, **more)

    assert done["out"].startswith("ASIAFAKE"), done["err"]
    assert done["asked"][-1] == "GET /latest/meta-data/iam/security-credentials/web-server"
