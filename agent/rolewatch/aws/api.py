"""The one door to AWS: every call goes through `Api.ask`, and every answer, refusals too, is a value.

boto3 is imported when the first session is made, and not before. While it works, nothing is logged: botocore writes
whole requests at debug, session token and all.
"""

from __future__ import annotations

import logging
import warnings
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Dict, Iterator, Mapping, Optional, Protocol, Union

from rolewatch.aws.answers import Missing, Refused, Trouble
from rolewatch.aws.refusals import refusal


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
        self, session: Union[Session, Refused], *, region: Optional[str], patience: Patience = Patience(), **keys: str
    ) -> None:
        """Prepare to ask through *session*, or to answer everything with the refusal that it is.

        *keys* are handed to boto3's clients as they are, and kept nowhere else: the caller lets go of the object.
        """
        self._session = session
        self._region = region
        self._patience = patience
        self._keys: Optional[Dict[str, str]] = keys
        self._clients: Dict[str, Any] = {}
        self._closed: Dict[str, Refused] = {}

    def __repr__(self) -> str:
        """Never show the keys."""
        return f"Api({self._region!r})"

    @property
    def region(self) -> Optional[str]:
        """The Region that is asked."""
        return self._region

    def ask(self, call: Call, **parameters: object) -> Union[Mapping[str, Any], Missing, Refused]:
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
    ) -> Union[Mapping[str, Any], Missing, Refused]:
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
