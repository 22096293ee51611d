"""The one way to call AWS: every call goes through `Api.ask`; every answer, errors too, is a value."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Protocol

from rolewatch.aws.model import Missing, Refused, Trouble

_CODE = re.compile(r"[A-Za-z][A-Za-z0-9.]{2,63}")
"""The shape of an error code. What is not shaped so is not shown."""

MISSING = frozenset({"NoSuchEntity", "InvalidInstanceID.NotFound", "InvalidInstanceID.Malformed"})
"""Codes that are an answer: there is none."""

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

_SKEWED = ("signature expired", "signature not yet current")
"""What STS says in the Message of a SignatureDoesNotMatch that is about the time (AWS General Reference, SigV4)."""

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
"""botocore's own errors, by the name of their class (botocore/exceptions.py, 1.26 to 1.44): it need not be imported."""

_DETAILS: Mapping[str, str] = {
    "ProfileNotFound": "the configuration has no profile of that name",
    "UnauthorizedSSOTokenError": "the SSO session has expired: log in again",
    "SSOTokenLoadError": "there is no SSO session: log in first",
    "ConfigParseError": "the AWS configuration file cannot be read",
    "ConnectTimeoutError": "no answer to the connection; a private network without a VPC endpoint looks like this",
    "ReadTimeoutError": "connected, and no answer in time",
    "ProxyConnectionError": "the proxy of the environment does not answer",
    "SSLError": "TLS failed; an intercepting proxy looks like this",
    "EndpointConnectionError": "no route, no name, or refused",
}


def refusal(error: BaseException, action: str) -> Missing | Refused:
    """Return what *error*, raised by botocore while it asked for *action*, means. Total."""
    response = getattr(error, "response", None)
    if isinstance(response, dict):
        return _answered(response, action)
    for kind in type(error).__mro__:
        if kind.__name__ in _ERRORS:
            detail = _DETAILS.get(type(error).__name__, "")
            return Refused(_ERRORS[kind.__name__], action, detail=detail)
    return Refused(Trouble.ERROR, action, detail=type(error).__name__)


def _answered(response: Mapping[str, Any], action: str) -> Missing | Refused:
    """Judge an error that AWS itself answered."""
    error = response.get("Error")
    told = error if isinstance(error, dict) else {}
    code = str(told.get("Code", ""))
    shown = code if _CODE.fullmatch(code) else ""
    if code in MISSING:
        return Missing(action, code)
    message = str(told.get("Message", "")).lower()
    trouble = _TROUBLES.get(code, Trouble.ERROR)
    if code == "SignatureDoesNotMatch" and any(phrase in message for phrase in _SKEWED):
        trouble = Trouble.CLOCK
    detail = ""
    if trouble is Trouble.ACCESS_DENIED:
        detail = next((words for phrase, words in _DENIALS if phrase in message), "")
    return Refused(trouble, action, shown, detail)


@dataclass(frozen=True)
class Call:
    """One operation of AWS, and the permission that it needs."""

    service: str
    operation: str
    """The name of boto3's method."""
    action: str
    """The IAM action."""
    free: bool = False
    """Whether it needs no permission, and works even where it is denied."""


CALLER = Call("sts", "get_caller_identity", "sts:GetCallerIdentity", free=True)
"""Needs no permission, even under an explicit deny (STS API reference, GetCallerIdentity, 2026)."""
INSTANCES = Call("ec2", "describe_instances", "ec2:DescribeInstances")
ASSOCIATIONS = Call("ec2", "describe_iam_instance_profile_associations", "ec2:DescribeIamInstanceProfileAssociations")
PROFILE = Call("iam", "get_instance_profile", "iam:GetInstanceProfile")
ROLE = Call("iam", "get_role", "iam:GetRole")

CALLS = (CALLER, INSTANCES, ASSOCIATIONS, PROFILE, ROLE)
"""Every call that `rolewatch diagnose` makes. A test compares their actions with packaging/iam/*.json."""


@dataclass(frozen=True)
class Patience:
    """How long AWS is waited for."""

    connect: float = 3.0
    """Seconds, for each attempt."""
    read: float = 10.0
    attempts: int = 3
    """With botocore's adaptive retries, which slow down by themselves where AWS throttles."""


PROOF = Patience(connect=2.0, read=2.0, attempts=1)
"""For the call with the served credentials: it may hang on no network, and is repeated by the next confirmation."""


@contextmanager
def silence() -> Iterator[None]:
    """Let nothing be logged and no warning be shown: boto3 announces the end of Python versions on stderr."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


class Session(Protocol):
    """A session of boto3's, as far as it is used here: boto3 ships no types."""

    def client(self, service_name: str, **options: object) -> Any:  # noqa: ANN401 - see above
        """Make a client."""


class Api:
    """AWS, as asked with one set of credentials in one Region."""

    def __init__(
        self, session: Session | Refused, *, region: str | None, patience: Patience = Patience(), **keys: str
    ) -> None:
        """Prepare to ask through *session*, or to answer everything with the refusal that it is.

        *keys* are handed to boto3's clients as they are, and kept nowhere else: the caller lets go of the object.
        """
        self._session = session
        self._region = region
        self._patience = patience
        self._keys: dict[str, str] | None = keys
        self._clients: dict[str, Any] = {}
        self._closed: dict[str, Refused] = {}

    def __repr__(self) -> str:
        """Never show the keys."""
        return f"Api({self._region!r})"

    @property
    def region(self) -> str | None:
        """The Region that is asked."""
        return self._region

    def ask(self, call: Call, **parameters: object) -> Mapping[str, Any] | Missing | Refused:
        """Make *call* and return its answer. Total: whatever goes wrong is a value.

        A service that could not be reached once is not tried again: each attempt may cost seconds of name resolution.
        """
        session = self._session
        if isinstance(session, Refused):
            return replace(session, action=call.action)
        if call.service in self._closed:
            return replace(self._closed[call.service], action=call.action)
        answer = self._attempt(session, call, parameters)
        if isinstance(answer, Refused) and answer.trouble is Trouble.UNREACHABLE:
            self._closed[call.service] = answer
        return answer

    def forget(self) -> None:
        """Drop the clients, and the keys with them."""
        self._keys = None
        self._clients.clear()

    def _attempt(
        self, session: Session, call: Call, parameters: Mapping[str, object]
    ) -> Mapping[str, Any] | Missing | Refused:
        with silence():
            try:
                answer: Mapping[str, Any] = getattr(self._client(session, call.service), call.operation)(**parameters)
            # botocore raises classes that it makes while it runs, and what lies below it raises its own.
            except Exception as error:  # noqa: BLE001 - see above; every one becomes a value
                return refusal(error, call.action)
        return answer

    def _client(self, session: Session, service: str) -> Any:  # noqa: ANN401 - boto3 has no types
        if service not in self._clients:
            from botocore.config import Config  # noqa: PLC0415 - see the module's docstring

            patience = self._patience
            config = Config(
                connect_timeout=patience.connect,
                read_timeout=patience.read,
                retries={
                    "mode": "adaptive" if patience.attempts > 1 else "standard",
                    "total_max_attempts": patience.attempts,
                },
                user_agent_extra="rolewatch",
            )
            self._clients[service] = session.client(
                service, region_name=self._region, config=config, **(self._keys or {})
            )
        return self._clients[service]
