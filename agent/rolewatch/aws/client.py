"""Calls AWS: every call goes through `Api.ask`, and every answer is a value, errors too."""

from __future__ import annotations

import logging
import re
import threading
import warnings
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, Callable, Protocol, TypeVar


class Trouble(str, Enum):
    """Why AWS gave no answer. The contract of the JSON form."""

    ACCESS_DENIED = "access_denied"
    THROTTLED = "throttled"
    """AWS throttles; botocore has retried and given up. Not a fault of the instance."""
    UNREACHABLE = "unreachable"
    """No connection: no route, no name, no endpoint in this network."""
    REGION_NOT_ENABLED = "region_not_enabled"
    """The account has not opted in to the Region."""
    NO_CREDENTIALS = "no_credentials"
    """No credentials were found to call AWS with."""
    REJECTED = "rejected"
    """AWS rejects the credentials: not valid, expired, or of another partition."""
    CLOCK = "clock"
    """AWS rejects the signature because of its time."""
    NO_REGION = "no_region"
    NO_SDK = "no_sdk"
    """boto3 is not installed."""
    OTHER_ACCOUNT = "other_account"
    """The credentials belong to another account than the instance."""
    ERROR = "error"
    """Anything else."""


_SENTENCES = {
    Trouble.ACCESS_DENIED: "{action} is not allowed{detail}: that permission is missing.",
    Trouble.THROTTLED: "AWS throttles {action} in this account{code}. Try again later.",
    Trouble.UNREACHABLE: "The endpoint of {action} cannot be reached{detail}.",
    Trouble.REGION_NOT_ENABLED: "The account has not enabled this Region{code}, so {action} is refused.",
    Trouble.NO_CREDENTIALS: "No AWS credentials were found{detail}.",
    Trouble.REJECTED: (
        "AWS rejects the credentials of {action}{code}: they are not valid, expired, of another partition, or their "
        "account has not enabled the Region."
    ),
    Trouble.CLOCK: "AWS rejects the time of the request {action}{code}: the local clock is wrong.",
    Trouble.NO_REGION: "The Region for {action} is not known: set it with --region.",
    Trouble.NO_SDK: "boto3 is not installed, so AWS was not called.",
    Trouble.OTHER_ACCOUNT: "The credentials belong to another account{detail}: {action} would describe the wrong one.",
    Trouble.ERROR: "{action} failed{code}{detail}.",
}


@dataclass(frozen=True)
class Refused:
    """A call that AWS did not answer. AWS's message is not kept: it may quote the request's headers."""

    trouble: Trouble
    action: str
    """The IAM action, ``iam:GetInstanceProfile``."""
    code: str = ""
    """AWS's error code; empty where its shape is not that of a code."""
    detail: str = ""
    """More about the cause, in our own words."""

    @property
    def sentence(self) -> str:
        """The refusal as one sentence for people."""
        code = f" ({self.code})" if self.code else ""
        detail = f" ({self.detail})" if self.detail else ""
        return _SENTENCES[self.trouble].format(action=self.action, code=code, detail=detail)


@dataclass(frozen=True)
class Missing:
    """AWS answered that the thing does not exist."""

    action: str
    code: str = ""


_CODE = re.compile(r"[A-Za-z][A-Za-z0-9.]{2,63}")
"""The shape of an error code. Other text is not shown."""

MISSING = frozenset({"NoSuchEntity", "InvalidInstanceID.NotFound", "InvalidInstanceID.Malformed"})
"""Codes that mean: it does not exist."""

_TROUBLES: Mapping[str, Trouble] = {
    # IAM and STS say AccessDenied, EC2 says UnauthorizedOperation (EC2 API reference, error codes, 2026).
    "AccessDenied": Trouble.ACCESS_DENIED,
    "AccessDeniedException": Trouble.ACCESS_DENIED,
    "UnauthorizedOperation": Trouble.ACCESS_DENIED,
    "Throttling": Trouble.THROTTLED,
    "ThrottlingException": Trouble.THROTTLED,
    "RequestLimitExceeded": Trouble.THROTTLED,
    "TooManyRequestsException": Trouble.THROTTLED,
    "RequestThrottled": Trouble.THROTTLED,
    "OptInRequired": Trouble.REGION_NOT_ENABLED,
    "RegionDisabledException": Trouble.REGION_NOT_ENABLED,
    # An account that has not opted in to a Region gets these two there as well (aws-sdk-ruby#2850, steampipe#75).
    "InvalidClientTokenId": Trouble.REJECTED,
    "AuthFailure": Trouble.REJECTED,
    "UnrecognizedClientException": Trouble.REJECTED,
    "ExpiredToken": Trouble.REJECTED,
    "ExpiredTokenException": Trouble.REJECTED,
    "InvalidAccessKeyId": Trouble.REJECTED,
    "InvalidToken": Trouble.REJECTED,
    "SignatureDoesNotMatch": Trouble.REJECTED,
    "RequestExpired": Trouble.CLOCK,
    "RequestTimeTooSkewed": Trouble.CLOCK,
}

_CLOCK_PHRASES = ("signature expired", "signature not yet current")
"""Phrases of STS in a SignatureDoesNotMatch that is about the time (AWS General Reference, SigV4)."""

_DENIALS = (
    ("explicit deny in a service control policy", "an explicit deny in a service control policy"),
    ("explicit deny in a resource control policy", "an explicit deny in a resource control policy"),
    ("explicit deny in a permissions boundary", "an explicit deny in a permissions boundary"),
    ("explicit deny in a session policy", "an explicit deny in a session policy"),
    ("explicit deny in a vpc endpoint policy", "an explicit deny in a VPC endpoint policy"),
    ("explicit deny in an identity-based policy", "an explicit deny in an identity-based policy"),
    ("no service control policy allows", "no service control policy allows it"),
    ("no permissions boundary allows", "no permissions boundary allows it"),
    ("no vpc endpoint policy allows", "no VPC endpoint policy allows it"),
    ("no session policy allows", "no session policy allows it"),
    ("no identity-based policy allows", "no identity-based policy allows it"),
)
"""AWS's phrases for why access is denied (IAM user guide, troubleshoot_access-denied, 2026)."""

_ERRORS: Mapping[str, Trouble] = {
    "NoCredentialsError": Trouble.NO_CREDENTIALS,
    "PartialCredentialsError": Trouble.NO_CREDENTIALS,
    "CredentialRetrievalError": Trouble.NO_CREDENTIALS,
    "ProfileNotFound": Trouble.NO_CREDENTIALS,
    "ConfigNotFound": Trouble.NO_CREDENTIALS,
    "ConfigParseError": Trouble.NO_CREDENTIALS,
    "TokenRetrievalError": Trouble.NO_CREDENTIALS,
    "UnauthorizedSSOTokenError": Trouble.NO_CREDENTIALS,
    "SSOTokenLoadError": Trouble.NO_CREDENTIALS,
    "InvalidConfigError": Trouble.NO_CREDENTIALS,
    "InfiniteLoopConfigError": Trouble.NO_CREDENTIALS,
    "NoRegionError": Trouble.NO_REGION,
    "EndpointConnectionError": Trouble.UNREACHABLE,
    "ConnectTimeoutError": Trouble.UNREACHABLE,
    "ReadTimeoutError": Trouble.UNREACHABLE,
    "ConnectionClosedError": Trouble.UNREACHABLE,
    "ProxyConnectionError": Trouble.UNREACHABLE,
    "SSLError": Trouble.UNREACHABLE,
    "HTTPClientError": Trouble.UNREACHABLE,
}
"""botocore's own errors by class name (botocore/exceptions.py, 1.26 to 1.44), so that this needs no import."""

_DETAILS: Mapping[str, str] = {
    "ProfileNotFound": "the configuration has no profile of that name",
    "UnauthorizedSSOTokenError": "the SSO session has expired: log in again",
    "SSOTokenLoadError": "there is no SSO session: log in first",
    "ConfigParseError": "the AWS configuration file cannot be read",
    "ConnectTimeoutError": "no connection in time, as in a private network without a VPC endpoint",
    "ReadTimeoutError": "connected, but no answer in time",
    "ProxyConnectionError": "the proxy in the environment does not answer",
    "SSLError": "TLS failed, as behind an intercepting proxy",
    "EndpointConnectionError": "no route, no name, or connection refused",
}


def refusal(error: BaseException, action: str) -> Missing | Refused:
    """Return what *error*, raised by botocore during *action*, means. Total."""
    response = getattr(error, "response", None)
    if isinstance(response, dict):
        return _error_response(response, action)
    for kind in type(error).__mro__:
        if kind.__name__ in _ERRORS:
            detail = _DETAILS.get(type(error).__name__, "")
            return Refused(_ERRORS[kind.__name__], action, detail=detail)
    return Refused(Trouble.ERROR, action, detail=type(error).__name__)


def _error_response(response: Mapping[str, Any], action: str) -> Missing | Refused:
    """Return what an error response of AWS means."""
    error = response.get("Error")
    fields = error if isinstance(error, dict) else {}
    code = str(fields.get("Code", ""))
    shown = code if _CODE.fullmatch(code) else ""
    if code in MISSING:
        return Missing(action, code)
    message = str(fields.get("Message", "")).lower()
    trouble = _TROUBLES.get(code, Trouble.ERROR)
    if code == "SignatureDoesNotMatch" and any(phrase in message for phrase in _CLOCK_PHRASES):
        trouble = Trouble.CLOCK
    detail = ""
    if trouble is Trouble.ACCESS_DENIED:
        detail = next((words for phrase, words in _DENIALS if phrase in message), "")
    return Refused(trouble, action, shown, detail)


@dataclass(frozen=True)
class Call:
    """One operation of AWS and the permission that it needs."""

    service: str
    operation: str
    """The name of boto3's method."""
    action: str
    """The IAM action."""
    needs_permission: bool = True
    """False where it works without the permission, and even under an explicit deny."""
    newer: tuple[tuple[str, object], ...] = ()
    """Parameters, with their values, that are sent if the installed botocore knows them."""


CALLER = Call("sts", "get_caller_identity", "sts:GetCallerIdentity", needs_permission=False)
"""Works even under an explicit deny (STS API reference, GetCallerIdentity, 2026)."""
INSTANCES = Call("ec2", "describe_instances", "ec2:DescribeInstances", newer=(("IncludeManagedResources", True),))
"""EC2 may hide instances that a service manages (EKS Auto Mode, ECS Managed Instances): botocore 1.42.94, 2026-04."""
ASSOCIATIONS = Call("ec2", "describe_iam_instance_profile_associations", "ec2:DescribeIamInstanceProfileAssociations")
PROFILE = Call("iam", "get_instance_profile", "iam:GetInstanceProfile")
ROLE = Call("iam", "get_role", "iam:GetRole")
ROLE_POLICIES = Call("iam", "list_role_policies", "iam:ListRolePolicies")
ROLE_POLICY = Call("iam", "get_role_policy", "iam:GetRolePolicy")

CALLS = (CALLER, INSTANCES, ASSOCIATIONS, PROFILE, ROLE, ROLE_POLICIES, ROLE_POLICY)
"""Every call that `rolewatch diagnose` makes. A test compares their actions with packaging/iam/*.json."""


@dataclass(frozen=True)
class Timeouts:
    """How long a call may take."""

    connect: float = 3.0
    """Seconds for each attempt to connect."""
    read: float = 10.0
    """Seconds without a byte of the answer, for each attempt."""
    attempts: int = 3
    """More than one uses botocore's adaptive retries, which slow down where AWS throttles."""


VERIFY_TIMEOUTS = Timeouts(connect=2.0, read=2.0, attempts=1)
"""For the call with the served credentials: short, because the next diagnosis repeats it."""


class _NoOutput:
    """Suppresses logging and warnings while any thread is in it. Both are settings of the whole process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._opened = ExitStack()

    def __enter__(self) -> None:
        with self._lock:
            self._users += 1
            if self._users == 1:
                self._opened.callback(logging.disable, logging.root.manager.disable)
                logging.disable(logging.CRITICAL)
                self._opened.enter_context(warnings.catch_warnings())
                warnings.simplefilter("ignore")

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._users -= 1
            if not self._users:
                self._opened.close()


_NO_OUTPUT = _NoOutput()


def no_output() -> _NoOutput:
    """Suppress logging, which would show the session token, and boto3's warnings about old Python versions."""
    return _NO_OUTPUT


T = TypeVar("T")


class Budget:
    """The time that all calls to AWS of one command share. Each call may use half of what is left of it.

    So a service that does not answer leaves time for the others. The time-outs of botocore do not bound a name server
    that is silent: getaddrinfo waits for 10 s and more, and cannot be interrupted.
    """

    def __init__(self, seconds: float, monotonic: Callable[[], float]) -> None:
        """Start a budget of *seconds*, by the clock *monotonic*."""
        self._monotonic = monotonic
        self._end = monotonic() + seconds

    def run(self, work: Callable[[], T], perhaps: str = "the name servers are silent") -> T:
        """Return what *work*, which must not raise, returns. Raise `TimeoutError`, with the reason, if it is too slow.

        Then its thread goes on, and ends with the process. *perhaps* is a probable cause.
        """
        allowed = (self._end - self._monotonic()) / 2
        if allowed < _LEAST:
            message = "not called: the calls before it took all the time"
            raise TimeoutError(message)
        results: list[T] = []
        thread = threading.Thread(target=lambda: results.append(work()), daemon=True)
        thread.start()
        thread.join(allowed)
        if not results:
            message = f"no answer within {allowed:.0f} s; perhaps {perhaps}"
            raise TimeoutError(message)
        return results[0]


_LEAST = 0.25
"""Seconds below which no call is begun."""


class Session(Protocol):
    """The part of boto3's session that is used here: boto3 ships no types."""

    def client(self, service_name: str, **options: object) -> Any:  # noqa: ANN401 - see above
        """Return a new client."""


class Api:
    """AWS as one set of credentials sees it in one Region. It makes one client a service, and reuses it."""

    def __init__(
        self,
        session: Session | Refused,
        *,
        region: str | None,
        timeouts: Timeouts = Timeouts(),
        budget: Budget | None = None,
        **keys: str,
    ) -> None:
        """Prepare to call AWS through *session* within *budget*; where *session* is a refusal, every call returns it.

        *keys* are keyword arguments of boto3's `client`. `close` drops them.
        """
        self._session = session
        self._region = region
        self._timeouts = timeouts
        self._budget = budget
        self._keys = keys
        self._clients: dict[str, Any] = {}
        self._unreachable: dict[str, Refused] = {}

    def __repr__(self) -> str:
        """Return the Region, and no key."""
        return f"Api({self._region!r})"

    @property
    def region(self) -> str | None:
        """The Region that is called."""
        return self._region

    def ask(self, call: Call, **parameters: object) -> Mapping[str, Any] | Missing | Refused:
        """Make *call* and return its answer. Total: every error is a value.

        A service that was unreachable is not called again: each attempt may cost seconds of name resolution.
        """
        session = self._session
        if isinstance(session, Refused):
            return replace(session, action=call.action)
        if call.service in self._unreachable:
            return replace(self._unreachable[call.service], action=call.action)

        def work() -> Mapping[str, Any] | Missing | Refused:
            return self._answer(session, call, parameters)

        try:
            answer = self._budget.run(work) if self._budget else work()
        except TimeoutError as error:
            answer = Refused(Trouble.UNREACHABLE, call.action, detail=str(error))
        if isinstance(answer, Refused) and answer.trouble is Trouble.UNREACHABLE:
            self._unreachable[call.service] = answer
        return answer

    def _answer(
        self, session: Session, call: Call, parameters: Mapping[str, object]
    ) -> Mapping[str, Any] | Missing | Refused:
        with no_output():
            try:
                client = self._client(session, call.service)
                if call.newer:
                    model = client.meta.service_model.operation_model(client.meta.method_to_api_mapping[call.operation])
                    known = {name: value for name, value in call.newer if name in model.input_shape.members}
                    parameters = {**parameters, **known}
                answer: Mapping[str, Any] = getattr(client, call.operation)(**parameters)
            # botocore raises classes that it creates at run time, and the libraries below it raise their own.
            except Exception as error:  # noqa: BLE001 - see above; every one becomes a value
                return refusal(error, call.action)
        return answer

    def close(self) -> None:
        """Drop the clients, and the keys with them."""
        self._keys = {}
        self._clients.clear()

    def _client(self, session: Session, service: str) -> Any:  # noqa: ANN401 - boto3 has no types
        if service not in self._clients:
            from botocore.config import Config  # noqa: PLC0415 - see the docstring of `rolewatch.aws`

            config = Config(
                connect_timeout=self._timeouts.connect,
                read_timeout=self._timeouts.read,
                retries={
                    "mode": "adaptive" if self._timeouts.attempts > 1 else "standard",
                    "total_max_attempts": self._timeouts.attempts,
                },
                user_agent_extra="rolewatch",
            )
            self._clients[service] = session.client(service, region_name=self._region, config=config, **self._keys)
        return self._clients[service]
