"""An AWS on loopback: moto's server, and the simulator as the IMDS of one instance of it.

moto's server is asked over HTTP as AWS would be, with IAM enforced. What its API cannot do is done in its memory, and
only that: the simulated instance, its profile and its credentials get the ids that IMDS serves.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import time
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import cache
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from moto.backends import get_backend
from moto.server import ThreadedMotoServer

from rolewatch import cli
from rolewatch.aws import credentials
from rolewatch.cli.diagnose import add_parser
from rolewatch.cli.diagnose import run as diagnose_run
from rolewatch.cli.parser import Parser
from rolewatch.errors import UsageError
from rolewatch.imds.client import Client
from rolewatch.settings import ImdsSettings
from rolewatch.simulator import Simulator
from rolewatch.simulator.instance import ACCOUNT_ID, INSTANCE_ID, REGION, fake_profile_id

OTHER_ID = "AIPAOTHER00000000001"
ROLE = PROFILE = "web-server"
TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}
RDS = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "rds.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}
FREE = "sts:GetCallerIdentity"
"""AWS asks for no permission here; moto does."""
ENFORCED_AFTER = 10_000
"""Requests until moto enforces IAM: more than the tests that do not ask for it make."""


def allow(*actions: str) -> str:
    """Return a policy that allows *actions* on everything."""
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


@dataclass
class Run:
    """The exit status and output of one run of the command."""

    status: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        """The JSON form."""
        return json.loads(self.out)  # type: ignore[no-any-return]

    @property
    def faults(self) -> list[str]:
        """The names of the faults."""
        return [each["fault"] for each in self.document["faults"]]

    @property
    def root(self) -> dict[str, Any]:
        """The root cause; empty where there is none."""
        return self.document["root_cause"] or {}

    def check(self, name: str) -> dict[str, Any]:
        """Return the check called *name*."""
        return next(each for each in self.document["checks"] if each["id"] == name)


@dataclass(frozen=True)
class Cloud:
    """One account with one instance, healthy until a test breaks it."""

    url: str

    @cache  # noqa: B019 - one for each process
    def client(self, service: str) -> Any:  # noqa: ANN401 - boto3 has no types
        """Return an administrator's client."""
        return boto3.client(
            service,
            region_name=REGION,
            endpoint_url=self.url,
            aws_access_key_id="AKIATESTTESTTESTTEST",
            aws_secret_access_key="test",  # noqa: S106 - moto takes any
            config=Config(proxies={}),
        )

    @property
    def ec2(self) -> Any:  # noqa: ANN401 - boto3 has no types
        """EC2, as an administrator."""
        return self.client("ec2")

    @property
    def iam(self) -> Any:  # noqa: ANN401 - boto3 has no types
        """IAM, as an administrator."""
        return self.client("iam")

    @property
    def association_id(self) -> str:
        """The id of the one association."""
        (found,) = self.ec2.describe_iam_instance_profile_associations()["IamInstanceProfileAssociations"]
        return str(found["AssociationId"])

    def build(self) -> None:
        """Make role, profile and instance, and associate them."""
        self.iam.create_role(RoleName=ROLE, AssumeRolePolicyDocument=json.dumps(TRUST))
        self.create_profile(fake_profile_id(PROFILE))
        made = self.ec2.run_instances(ImageId="ami-12c6146b", MinCount=1, MaxCount=1)["Instances"][0]["InstanceId"]
        self._rename_instance(made)
        self.ec2.associate_iam_instance_profile(IamInstanceProfile={"Name": PROFILE}, InstanceId=INSTANCE_ID)

    def create_profile(self, profile_id: str, role: str | None = ROLE) -> None:
        """Make the instance profile, with this id."""
        self.iam.create_instance_profile(InstanceProfileName=PROFILE)
        backend = get_backend("iam")[ACCOUNT_ID]["aws"]
        (made,) = [each for each in backend.instance_profiles.values() if each.name == PROFILE]
        made.id = profile_id
        if role:
            self.iam.add_role_to_instance_profile(InstanceProfileName=PROFILE, RoleName=role)

    def empty_profile(self) -> None:
        """Take the role out of the instance profile."""
        self.iam.remove_role_from_instance_profile(InstanceProfileName=PROFILE, RoleName=ROLE)

    def delete_role(self) -> None:
        """Delete the role, which must be in no instance profile."""
        self.iam.delete_role_policy(RoleName=ROLE, PolicyName="p")
        self.iam.delete_role(RoleName=ROLE)

    def delete_profile(self) -> None:
        """Delete the instance profile; EC2 goes on calling it associated."""
        self.empty_profile()
        self.iam.delete_instance_profile(InstanceProfileName=PROFILE)

    def trust(self, policy: object) -> None:
        """Edit the role's trust policy."""
        self.iam.update_assume_role_policy(RoleName=ROLE, PolicyDocument=json.dumps(policy))

    def user(self, *actions: str) -> dict[str, str]:
        """Make a user who may do *actions* and nothing else; return the environment with its keys."""
        self.iam.create_user(UserName="operator")
        self.iam.put_user_policy(UserName="operator", PolicyName="p", PolicyDocument=allow(FREE, *actions))
        key = self.iam.create_access_key(UserName="operator")["AccessKey"]
        return {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}

    def enforce(self) -> None:
        """Let moto enforce IAM from here on."""
        self._post("reset-auth", b"0")

    def reset(self) -> None:
        """Forget everything, and enforce nothing."""
        self._post("reset-auth", str(ENFORCED_AFTER).encode())
        self._post("reset", b"")

    def _post(self, what: str, body: bytes) -> None:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        request = urllib.request.Request(  # noqa: S310 - loopback
            f"{self.url}/moto-api/{what}", data=body, headers={"Content-Type": "text/plain"}
        )
        with opener.open(request) as answer:
            assert answer.status == 200

    def _rename_instance(self, made: str) -> None:
        backend = get_backend("ec2")[ACCOUNT_ID][REGION]
        for reservation in backend.reservations.values():
            for instance in reservation.instances:
                if instance.id == made:
                    instance.id = INSTANCE_ID


@dataclass
class House:
    """The account, its instance's IMDS, and `rolewatch diagnose` as a person types it."""

    cloud: Cloud
    imds: Simulator
    directory: Path
    patch: pytest.MonkeyPatch
    environ: dict[str, str] = field(default_factory=dict)

    def know_served_keys(self, role: str = ROLE, session_name: str = INSTANCE_ID) -> None:
        """Let STS know the credentials that IMDS serves as a session of *role*, and as no other."""
        known = get_backend("sts")[ACCOUNT_ID]["aws"].assumed_roles
        known.clear()
        self.cloud.client("sts").assume_role(
            RoleArn=f"arn:aws:iam::{ACCOUNT_ID}:role/{role}", RoleSessionName=session_name
        )
        session = known[-1]
        keys = self.keys()
        session.access_key_id = session.access_key.access_key_id = keys.user
        session.secret_access_key = session.access_key.secret_access_key = keys.secret
        session.session_token = keys.token
        self.cloud.iam.put_role_policy(RoleName=role, PolicyName="p", PolicyDocument=allow(FREE))

    def keys(self) -> credentials.Keys:
        """Return what IMDS serves."""
        client = Client(self.imds.endpoint, ImdsSettings(timeout=10.0, deadline=20.0), monotonic=time.monotonic)
        keys = credentials.fetch(client)
        assert keys is not None
        return keys

    def diagnose(self, *words: str, json_form: bool = True) -> Run:
        """Run the command on the instance."""
        return self.run("--endpoint", self.imds.endpoint, *words, json_form=json_form)

    def from_elsewhere(self, *words: str, json_form: bool = True) -> Run:
        """Run the command on a workstation, where there is no IMDS."""
        return self.run("--instance-id", INSTANCE_ID, "--region", REGION, *words, disabled=True, json_form=json_form)

    def run(self, *words: str, json_form: bool = True, disabled: bool = False) -> Run:
        """Run the command, in this process."""
        settings = self.directory / "rolewatch.toml"
        settings.write_text(f"[imds]\ndisabled = {str(disabled).lower()}\ntimeout = '10s'\n")
        self.patch.setenv("AWS_ENDPOINT_URL", self.cloud.url)
        for name, value in self.environ.items():
            self.patch.setenv(name, value)
        return run_diagnose(["--config", str(settings), *words, *(["--json"] if json_form else [])])


def run_diagnose(words: Sequence[str]) -> Run:
    """Run `rolewatch diagnose` and return its output; the pause of 3 s before IAM is asked again is left out.

    The variables of the tests, which keep botocore from IMDS, are none of the user's.
    """
    parser = Parser(prog="rolewatch")
    add_parser(parser.add_subparsers(parser_class=Parser))
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = diagnose_run(parser.parse_args(["diagnose", *words]), pause=lambda _: None, environ={})
        except UsageError as error:
            err.write(str(error))
            status = cli.EX_USAGE
    return Run(status, out.getvalue(), err.getvalue())


@contextlib.contextmanager
def running() -> Iterator[Cloud]:
    """Run moto's server."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield Cloud(f"http://{host}:{port}")
    finally:
        server.stop()


def now() -> datetime:
    """Return the time, for the simulator."""
    return datetime.now(timezone.utc)
