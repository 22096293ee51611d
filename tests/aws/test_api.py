"""Calls to AWS over real sockets: every way in which AWS does not answer is a value, and one clear line.

What moto lacks is served by a listener of our own, in the shapes of the API references: throttling, opt-in, time skew,
denial with a reason, silence, garbage.
"""

from __future__ import annotations

import contextlib
import http.server
import json
import logging
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rolewatch.aws import queries
from rolewatch.aws.client import (
    CALLER,
    INSTANCES,
    PROFILE,
    ROLE,
    Api,
    Budget,
    Call,
    Missing,
    Refused,
    Timeouts,
    Trouble,
)
from rolewatch.aws.credentials import connect, without_credentials
from rolewatch.aws.diagnose.findings import Subject, collect
from rolewatch.aws.queries import Caller, Instance

pytest.importorskip("boto3")

QUERY = (
    '<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type><Code>{code}</Code>'
    "<Message>{message}</Message></Error><RequestId>0</RequestId></ErrorResponse>"
)
EC2 = (
    "<Response><Errors><Error><Code>{code}</Code><Message>{message}</Message></Error></Errors>"
    "<RequestID>0</RequestID></Response>"
)
IDENTITY = (
    '<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>'
    "<Arn>{arn}</Arn><UserId>{user}</UserId><Account>111122223333</Account></GetCallerIdentityResult>"
    "</GetCallerIdentityResponse>"
)
QUICK = Timeouts(connect=1.0, read=1.0, attempts=1)
PATIENT = Timeouts(connect=10.0, read=10.0, attempts=1)


@contextlib.contextmanager
def serving(status: int, body: str, *, silent: bool = False) -> Iterator[tuple[str, list[str]]]:
    """Answer every request so; yield the URL and the paths and bodies that were asked."""
    asked: list[str] = []
    stop = threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(self.rfile.read(int(self.headers.get("Content-Length", 0))).decode())
            if silent:
                stop.wait(20)
                return
            self.send_response(status)
            self.send_header("Content-Length", str(len(body.encode())))
            self.send_header("Content-Type", "text/xml")
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *args: object) -> None:
            """Be quiet."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        stop.set()
        server.shutdown()
        thread.join()
        server.server_close()


def api(timeouts: Timeouts = PATIENT, region: str = "eu-west-1", budget: Budget | None = None) -> Api:
    """Return an `Api` whose keys are canaries."""
    return Api(
        without_credentials(),
        region=region,
        timeouts=timeouts,
        budget=budget,
        aws_access_key_id="ASIATESTTESTTESTTEST",
        aws_secret_access_key="canary-secret",  # noqa: S106 - made up
        aws_session_token="canary-token",  # noqa: S106 - likewise
    )


@pytest.mark.parametrize(
    ("call", "status", "form", "code", "message", "trouble"),
    [
        (PROFILE, 403, QUERY, "AccessDenied", "User: x is not authorized", Trouble.ACCESS_DENIED),
        (INSTANCES, 403, EC2, "UnauthorizedOperation", "You are not authorized", Trouble.ACCESS_DENIED),
        (PROFILE, 400, QUERY, "Throttling", "Rate exceeded", Trouble.THROTTLED),
        (INSTANCES, 503, EC2, "RequestLimitExceeded", "Request limit exceeded.", Trouble.THROTTLED),
        (INSTANCES, 401, EC2, "OptInRequired", "You are not subscribed", Trouble.REGION_NOT_ENABLED),
        (CALLER, 403, QUERY, "RegionDisabledException", "STS is not activated", Trouble.REGION_NOT_ENABLED),
        (INSTANCES, 401, EC2, "AuthFailure", "AWS was not able to validate", Trouble.REJECTED),
        (CALLER, 403, QUERY, "InvalidClientTokenId", "The security token included", Trouble.REJECTED),
        (CALLER, 403, QUERY, "ExpiredToken", "The security token included is expired", Trouble.REJECTED),
        (CALLER, 403, QUERY, "SignatureDoesNotMatch", "The request signature", Trouble.REJECTED),
        (CALLER, 403, QUERY, "SignatureDoesNotMatch", "Signature expired: 2026 is now earlier", Trouble.CLOCK),
        (INSTANCES, 400, EC2, "RequestExpired", "Request has expired.", Trouble.CLOCK),
        (PROFILE, 500, QUERY, "ServiceFailure", "x", Trouble.ERROR),
        (PROFILE, 502, "<html>{code}{message}</html>", "", "Bad gateway", Trouble.ERROR),
    ],
)
def test_an_error_is_a_value(  # noqa: PLR0913, PLR0917 - a row of the table
    call: Call,
    status: int,
    form: str,
    code: str,
    message: str,
    trouble: Trouble,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each of AWS's refusals has its word and one sentence that names the action, and nothing of the message."""
    with serving(status, form.format(code=code, message=message + " canary-token")) as (url, _):
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        answer = api().ask(call, **_parameters(call))

    assert isinstance(answer, Refused)
    assert answer.trouble is trouble
    assert answer.action == call.action
    assert call.action in answer.sentence
    assert answer.sentence.endswith(".")
    assert "canary" not in repr(answer)


def _parameters(call: Call) -> dict[str, object]:
    parameters: dict[Call, dict[str, object]] = {
        PROFILE: {"InstanceProfileName": "web"},
        INSTANCES: {"InstanceIds": ["i-0123456789abcdef0"]},
    }
    return parameters.get(call, {})


@pytest.mark.parametrize(
    ("call", "form", "code"),
    [(PROFILE, QUERY, "NoSuchEntity"), (INSTANCES, EC2, "InvalidInstanceID.NotFound")],
)
def test_there_is_none_is_an_answer(call: Call, form: str, code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not found is not a refusal."""
    with serving(404, form.format(code=code, message="x")) as (url, _):
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)

        assert api().ask(call, **_parameters(call)) == Missing(call.action, code)


def test_the_reason_of_a_denial_is_in_our_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """A policy of the role cannot fix an explicit deny by the organization."""
    message = "User: arn is not authorized to perform: x with an explicit deny in a service control policy"
    with serving(403, QUERY.format(code="AccessDenied", message=message)) as (url, _):
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        answer = api().ask(PROFILE, InstanceProfileName="web")

    assert isinstance(answer, Refused)
    assert "service control policy" in answer.sentence


def test_throttling_is_retried_and_then_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """Botocore's adaptive retries make as many attempts as we allow."""
    with serving(400, QUERY.format(code="Throttling", message="Rate exceeded")) as (url, asked):
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        answer = api(Timeouts(1.0, 1.0, 2)).ask(PROFILE, InstanceProfileName="web")

    assert isinstance(answer, Refused)
    assert answer.trouble is Trouble.THROTTLED
    assert len(asked) == 2


def test_a_silent_endpoint_is_given_up_and_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Within the time given; a second question to that service does not wait again."""
    with serving(200, "", silent=True) as (url, asked):
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        made = api(QUICK)
        begun = time.monotonic()
        first = made.ask(PROFILE, InstanceProfileName="web")
        second = made.ask(ROLE, RoleName="web")
        took = time.monotonic() - begun

    assert isinstance(first, Refused)
    assert isinstance(second, Refused)
    assert first.trouble is second.trouble is Trouble.UNREACHABLE
    assert second.action == "iam:GetRole"
    assert len(asked) == 1
    assert took < 10


def test_the_calls_together_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call gets half of what is left, whatever botocore waits for; the next service is still called."""
    with serving(200, "", silent=True) as (url, asked):
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        made = api(budget=Budget(2.0, time.monotonic))
        begun = time.monotonic()
        answers = [made.ask(call, **_parameters(call)) for call in (CALLER, INSTANCES, PROFILE, ROLE)]
        took = time.monotonic() - begun

    assert took < 2.0
    assert [answer.trouble for answer in answers if isinstance(answer, Refused)] == [Trouble.UNREACHABLE] * 4
    shown = [answer.sentence for answer in answers if isinstance(answer, Refused)]
    assert "sts:GetCallerIdentity cannot be reached (no answer within 1 s; perhaps the name servers" in shown[0]
    assert "ec2:DescribeInstances" in shown[1]
    assert "iam:GetInstanceProfile" in shown[2]
    assert len(asked) <= 3


MANAGED = """<DescribeInstancesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><reservationSet><item><instancesSet>
<item><instanceId>i-0123456789abcdef0</instanceId><instanceState><name>running</name></instanceState>
<iamInstanceProfile><arn>arn:aws:iam::111122223333:instance-profile/node</arn><id>AIPAEXAMPLE000000001</id>
</iamInstanceProfile><operator><managed>true</managed><principal>eks.amazonaws.com</principal></operator></item>
</instancesSet></item></reservationSet></DescribeInstancesResponse>"""


def test_an_instance_that_a_service_manages_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """EC2 hides it from those who do not ask."""
    with serving(200, MANAGED) as (url, asked):
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        found = queries.instance(api(), "i-0123456789abcdef0")

    assert isinstance(found, Instance)
    assert found.manager == "eks.amazonaws.com"
    assert "IncludeManagedResources=true" in asked[0]


OLD_MODEL = {
    "version": "2.0",
    "metadata": {
        "apiVersion": "2016-11-15",
        "endpointPrefix": "ec2",
        "protocol": "ec2",
        "serviceId": "EC2",
        "signatureVersion": "v4",
    },
    "operations": {
        "DescribeInstances": {
            "name": "DescribeInstances",
            "http": {"method": "POST", "requestUri": "/"},
            "input": {"shape": "Request"},
            "output": {"shape": "Result"},
        }
    },
    "shapes": {
        "Request": {"type": "structure", "members": {"InstanceIds": {"shape": "Ids", "locationName": "InstanceId"}}},
        "Ids": {"type": "list", "member": {"shape": "Id", "locationName": "InstanceId"}},
        "Id": {"type": "string"},
        "Result": {"type": "structure", "members": {}},
    },
}
"""What matters here of a model of EC2 from before 2026-04."""


def test_an_association_that_ec2_hides_with_its_instance_is_not_taken_for_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """DescribeInstances names the profile, and the other call, which cannot ask for hidden ones, returns nothing."""
    with serving(200, MANAGED) as (url, _):
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        found = collect(api(), Subject(instance_id="i-0123456789abcdef0"), pause=lambda _: None)

    assert found.attached is not None
    assert found.attached.profile_id == "AIPAEXAMPLE000000001"
    assert found.profile_name == "node"


def test_an_older_botocore_gets_no_parameter_that_it_does_not_know(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It would refuse the whole call."""
    (tmp_path / "ec2" / "2016-11-15").mkdir(parents=True)
    (tmp_path / "ec2" / "2016-11-15" / "service-2.json").write_text(json.dumps(OLD_MODEL))
    monkeypatch.setenv("AWS_DATA_PATH", str(tmp_path))
    with serving(200, "<DescribeInstancesResponse/>") as (url, asked):
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        found = queries.instance(api(), "i-0123456789abcdef0")

    assert found == Missing("ec2:DescribeInstances")
    assert "InstanceId.1=i-0123456789abcdef0" in asked[0]
    assert "IncludeManagedResources" not in asked[0]


def test_a_role_that_may_not_be_assumed_gives_no_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A profile with role_arn is resolved at once, with AWS's code for the reason: nothing is called without it."""
    config = tmp_path / "config"
    keys = "aws_access_key_id = AKIATESTTESTTESTTEST\naws_secret_access_key = s\n"
    config.write_text(
        f"[profile a]\nrole_arn = arn:aws:iam::111122223333:role/x\nsource_profile = b\n[profile b]\n{keys}"
    )
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    with serving(403, QUERY.format(code="AccessDenied", message="x")) as (url, asked):
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        made = connect(profile="a", endpoint="http://127.0.0.1:9", fetch=lambda: None)

    assert isinstance(made.session, Refused)
    assert made.session.sentence == "No AWS credentials were found (AccessDenied)."
    assert "Action=AssumeRole" in asked[0]


def test_a_closed_endpoint_is_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused connections are no answer of AWS's."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    answer = queries.caller(api())

    assert isinstance(answer, Refused)
    assert answer.trouble is Trouble.UNREACHABLE


def test_an_assumed_role_is_taken_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer has the role, its id and the instance."""
    arn = "arn:aws:sts::111122223333:assumed-role/web/i-0123456789abcdef0"
    with serving(200, IDENTITY.format(arn=arn, user="AROAEXAMPLE000000001:i-0123456789abcdef0")) as (url, _):
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        answer = queries.caller(api())

    assert answer == Caller(arn, "111122223333", "web", "AROAEXAMPLE000000001", "i-0123456789abcdef0")


def test_an_answer_out_of_shape_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not shaped like an ARN is not shown."""
    with serving(200, IDENTITY.format(arn="canary-token", user="x")) as (url, _):
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        answer = queries.caller(api())

    assert isinstance(answer, Refused)
    assert "canary" not in repr(answer)


@pytest.mark.parametrize(
    ("region", "service", "host"),
    [
        ("eu-west-1", "sts", "sts.eu-west-1.amazonaws.com"),
        ("us-east-1", "sts", "sts.us-east-1.amazonaws.com"),
        ("cn-north-1", "sts", "sts.cn-north-1.amazonaws.com.cn"),
        ("us-gov-west-1", "sts", "sts.us-gov-west-1.amazonaws.com"),
        ("eu-west-1", "iam", "iam.amazonaws.com"),
        ("cn-northwest-1", "iam", "iam.cn-north-1.amazonaws.com.cn"),
        ("us-gov-east-1", "iam", "iam.us-gov.amazonaws.com"),
        ("cn-north-1", "ec2", "ec2.cn-north-1.amazonaws.com.cn"),
    ],
)
def test_each_partition_has_its_endpoints(region: str, service: str, host: str) -> None:
    """STS is asked in the Region, IAM where the partition has it. Nothing is sent."""
    made = api(region=region)
    client = made._client(without_credentials(), service)  # type: ignore[arg-type]  # noqa: SLF001 - where it would ask is not visible otherwise

    assert client.meta.endpoint_url == f"https://{host}"


def test_a_missing_region_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """EC2 and STS cannot be asked without one."""
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    answer = Api(without_credentials(), region=None, timeouts=QUICK).ask(INSTANCES, InstanceIds=["i-0123456789abcdef0"])

    assert isinstance(answer, Refused)
    assert answer.trouble is Trouble.NO_REGION
    assert "--region" in answer.sentence


def test_nothing_is_logged_while_aws_is_asked(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Botocore's debug log contains the session token; it is off while boto3 works, and restored afterwards."""
    with serving(403, QUERY.format(code="AccessDenied", message="x")) as (url, _):
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        with caplog.at_level(logging.DEBUG):
            api().ask(PROFILE, InstanceProfileName="web")
            assert logging.getLogger("botocore").isEnabledFor(logging.DEBUG)

    assert "canary" not in caplog.text
    assert caplog.records == []


def test_a_call_that_was_given_up_stays_silent_and_then_all_is_restored(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its thread goes on: nothing is logged until the last one ends, whichever that is."""
    with serving(200, "", silent=True) as (url, _):
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        made = api(QUICK, budget=Budget(1.0, time.monotonic))
        before, others = logging.root.manager.disable, threading.enumerate()
        for call in (CALLER, PROFILE):
            made.ask(call, **_parameters(call))
        during, given_up = logging.root.manager.disable, [each for each in threading.enumerate() if each not in others]
    for thread in given_up:
        thread.join(10)

    assert during == logging.CRITICAL
    assert logging.root.manager.disable == before


def test_an_api_shows_no_key() -> None:
    """Neither its representation nor, once it has forgotten, its attributes contain one."""
    made = api()
    assert "canary" not in repr(made)
    made.close()

    assert "canary" not in repr(vars(made))
