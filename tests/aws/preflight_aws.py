"""An AWS on loopback: moto's server with its IAM enforcement, and before it what moto lacks.

Moto (5.2) has no SimulatePrincipalPolicy, and its RunInstances checks neither iam:PassRole nor the instance
profile before it answers a dry run. Both are answered here, in the shapes that AWS has (API reference, 2026); the
verdicts come from moto's own policy evaluation, over the policies that the test has put into moto.
"""

from __future__ import annotations

import io
import json
import os
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Callable
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

import boto3
from moto.iam.access_control import IAMPolicy, PermissionResult
from moto.iam.models import iam_backends
from moto.moto_server import werkzeug_app
from werkzeug.serving import WSGIRequestHandler, make_server

ACCOUNT = os.environ.get("MOTO_ACCOUNT_ID", "123456789012")
"""Moto's; conftest.py sets it."""
REGION = "eu-west-1"
IMAGE = "ami-0123456789abcdef0"
TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}
READING = (
    "iam:GetInstanceProfile",
    "iam:GetRole",
    "iam:ListInstanceProfilesForRole",
    "iam:SimulatePrincipalPolicy",
)
"""What packaging/iam/preflight.json grants."""

Statement = dict[str, Any]


def allow(*actions: str, on: str = "*") -> Statement:
    """Return a statement that allows *actions*."""
    return {"Effect": "Allow", "Action": list(actions), "Resource": on}


def deny(*actions: str, on: str = "*") -> Statement:
    """Return a statement that denies *actions*."""
    return {"Effect": "Deny", "Action": list(actions), "Resource": on}


def policy(*statements: Statement) -> str:
    """Return a policy of *statements*."""
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


@dataclass
class Aws:
    """An AWS with an administrator, who makes things, and a user, whose permissions are in question."""

    endpoint: str
    calls: list[dict[str, str]] = field(default_factory=list)
    """Every request, by its form, in order."""
    canned: dict[str, tuple[int, str]] = field(default_factory=dict)
    """Status and body by action, before everything else."""
    keys: tuple[str, str] = ("", "")

    @cached_property
    def iam(self) -> Any:  # noqa: ANN401 - boto3 has no types
        """The administrator's client."""
        return boto3.client(
            "iam",
            region_name=REGION,
            endpoint_url=self.endpoint,
            aws_access_key_id="AKIAADMINISTRATOR000",
            aws_secret_access_key="administrator",  # noqa: S106 - opens nothing
        )

    def role(self, name: str, *, trust: dict[str, Any] | None = None, path: str = "/") -> str:
        """Make a role, and return its ARN."""
        document = json.dumps(trust or TRUST)
        made = self.iam.create_role(RoleName=name, AssumeRolePolicyDocument=document, Path=path)
        return str(made["Role"]["Arn"])

    def profile(self, name: str, *, role: str = "", path: str = "/") -> str:
        """Make an instance profile, with *role* in it, and return its ARN."""
        made = self.iam.create_instance_profile(InstanceProfileName=name, Path=path)
        if role:
            self.iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=role)
        return str(made["InstanceProfile"]["Arn"])

    def user(self, *statements: Statement, name: str = "ops") -> str:
        """Make a user with a policy of *statements*, who asks from now on; return the ARN."""
        arn = self.iam.create_user(UserName=name)["User"]["Arn"]
        self.iam.put_user_policy(UserName=name, PolicyName="given", PolicyDocument=policy(*statements))
        key = self.iam.create_access_key(UserName=name)["AccessKey"]
        self.keys = (key["AccessKeyId"], key["SecretAccessKey"])
        return str(arn)

    def actions(self) -> list[str]:
        """Return the operations that were called."""
        return [call["Action"] for call in self.calls]


class Application:
    """Moto's WSGI application, and before it what moto lacks."""

    def __init__(self, aws: Aws) -> None:
        """Serve *aws*."""
        self._moto = werkzeug_app.DomainDispatcherApplication(werkzeug_app.create_backend_app)
        self._aws = aws
        self._lock = threading.Lock()

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        """Answer one request."""
        length = int(environ.get("CONTENT_LENGTH") or 0)
        body = environ["wsgi.input"].read(length)
        environ["wsgi.input"] = io.BytesIO(body)
        form = {key: values[0] for key, values in parse_qs(body.decode("utf-8", "replace")).items()}
        with self._lock:
            self._aws.calls.append(form)
        answer = self._answer(form, _user_of(environ))
        if answer is None:
            return self._moto(environ, start)  # type: ignore[no-any-return]  # moto has no types here
        status, text = answer
        start(f"{status} -", [("Content-Type", "text/xml")])
        return [text.encode()]

    def _answer(self, form: dict[str, str], user: str) -> tuple[int, str] | None:
        action = form.get("Action", "")
        if action in self._aws.canned:
            return self._aws.canned[action]
        if action == "SimulatePrincipalPolicy":
            if not _may(user, "iam:SimulatePrincipalPolicy", form["PolicySourceArn"]):
                return _iam_denied(user, "iam:SimulatePrincipalPolicy", form["PolicySourceArn"])
            return _simulated(form)
        if action == "RunInstances" and form.get("DryRun") == "true":
            return _rehearsed(form, user)
        return None


def iam_error(status: int, code: str, message: str) -> tuple[int, str]:
    """Return an error as IAM and STS send it."""
    return status, (
        f'<ErrorResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><Error><Type>Sender</Type><Code>{code}</Code>'
        f"<Message>{escape(message)}</Message></Error><RequestId>00000000</RequestId></ErrorResponse>"
    )


def ec2_error(status: int, code: str, message: str) -> tuple[int, str]:
    """Return an error as EC2 sends it."""
    return status, (
        f'<?xml version="1.0" encoding="UTF-8"?><Response><Errors><Error><Code>{code}</Code>'
        f"<Message>{escape(message)}</Message></Error></Errors><RequestID>00000000</RequestID></Response>"
    )


def simulation(action: str, resource: str, decision: str, more: str = "") -> tuple[int, str]:
    """Return an answer of SimulatePrincipalPolicy, in the shape of 2026, with *more* in the result."""
    return 200, (
        '<SimulatePrincipalPolicyResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/">'
        "<SimulatePrincipalPolicyResult><IsTruncated>false</IsTruncated><EvaluationResults><member>"
        f"<EvalActionName>{action}</EvalActionName><EvalDecision>{decision}</EvalDecision>"
        f"<EvalResourceName>*</EvalResourceName>{more}<ResourceSpecificResults><member>"
        f"<EvalResourceName>{escape(resource)}</EvalResourceName>"
        f"<EvalResourceDecision>{decision}</EvalResourceDecision><MatchedStatements/>"
        "</member></ResourceSpecificResults></member></EvaluationResults></SimulatePrincipalPolicyResult>"
        "<ResponseMetadata><RequestId>00000000</RequestId></ResponseMetadata></SimulatePrincipalPolicyResponse>"
    )


def _simulated(form: dict[str, str]) -> tuple[int, str]:
    arn, action, resource = (form[key] for key in ("PolicySourceArn", "ActionNames.member.1", "ResourceArns.member.1"))
    if ":sts:" in arn:
        return iam_error(
            400, "InvalidInput", f"Invalid Entity Arn: {arn} does not clearly define entity type and name."
        )
    policies = _policies(arn)
    if policies is None:
        return iam_error(404, "NoSuchEntity", f"The entity {arn} cannot be found.")
    return simulation(action, resource, _decide(policies, action, resource))


def _rehearsed(form: dict[str, str], user: str) -> tuple[int, str]:
    """Answer a dry run in EC2's order: the parameters, then the permissions."""
    backend = iam_backends[ACCOUNT]["aws"]
    name = form.get("IamInstanceProfile.Name") or form.get("IamInstanceProfile.Arn", "").rpartition("/")[2]
    profile = next((each for each in backend.instance_profiles.values() if each.name == name), None)
    if name and profile is None:
        message = f"Value ({name}) for parameter iamInstanceProfile.name is invalid. Invalid IAM Instance Profile name"
        return ec2_error(400, "InvalidParameterValue", message)
    if profile and not profile.roles:
        message = f'IAM Instance Profile "{profile.arn}" has no associated IAM Roles'
        return ec2_error(400, "InvalidParameterValue", message)
    needed = [("ec2:RunInstances", "*"), *([("iam:PassRole", profile.roles[0].arn)] if profile else [])]
    if not all(_may(user, action, resource) for action, resource in needed):
        message = "You are not authorized to perform this operation. Encoded authorization failure message: 3x4mpl3"
        return ec2_error(403, "UnauthorizedOperation", message)
    return ec2_error(412, "DryRunOperation", "Request would have succeeded, but DryRun flag is set.")


def _iam_denied(user: str, action: str, resource: str) -> tuple[int, str]:
    message = (
        f"User: arn:aws:iam::{ACCOUNT}:user/{user} is not authorized to perform: {action} on resource: {resource} "
        f"because no identity-based policy allows the {action} action"
    )
    return iam_error(403, "AccessDenied", message)


def _user_of(environ: dict[str, Any]) -> str:
    key = str(environ.get("HTTP_AUTHORIZATION", "")).partition("Credential=")[2].partition("/")[0]
    for user in iam_backends[ACCOUNT]["aws"].users.values():
        if any(each.access_key_id == key for each in user.access_keys):
            return str(user.name)
    return ""


def _policies(arn: str) -> list[Any] | None:
    """Return the policies in moto of the user or role called *arn*; None where there is none."""
    backend = iam_backends[ACCOUNT]["aws"]
    name = arn.rpartition("/")[2]
    if ":user/" in arn:
        known = any(user.arn == arn for user in backend.users.values())
        return [backend.get_user_policy(name, each) for each in backend.list_user_policies(name)] if known else None
    known = any(role.arn == arn for role in backend.roles.values())
    return [backend.get_role_policy(name, each)[1] for each in backend.list_role_policies(name)] if known else None


def _may(user: str, action: str, resource: str) -> bool:
    return _decide(_policies(f"arn:aws:iam::{ACCOUNT}:user/{user}") or [], action, resource) == "allowed"


def _decide(policies: list[Any], action: str, resource: str) -> str:
    said = [IAMPolicy(policy).is_action_permitted(action, resource) for policy in policies]
    if PermissionResult.DENIED in said:
        return "explicitDeny"
    return "allowed" if PermissionResult.PERMITTED in said else "implicitDeny"


class Server:
    """The AWS, listening on loopback."""

    def __init__(self) -> None:
        """Listen on a port that the kernel chooses."""
        self.aws = Aws("")
        # Moto has a handler of its own since 5.2; on Python 3.9 there is an older one.
        handler = getattr(werkzeug_app, "MotoRequestHandler", WSGIRequestHandler)
        self._server = make_server("127.0.0.1", 0, Application(self.aws), threaded=True, request_handler=handler)
        self.aws.endpoint = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
