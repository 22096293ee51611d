"""Credentials for calls to AWS: the SDK's chain, those that IMDS serves, and whether STS accepts the served ones."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from typing import Any, Callable, Optional

from rolewatch.aws import queries
from rolewatch.aws.client import VERIFY_TIMEOUTS, Api, Budget, Refused, Session, Trouble, no_output, refusal
from rolewatch.aws.queries import Caller
from rolewatch.errors import ImdsError
from rolewatch.imds import ROLES_PATH, documents
from rolewatch.imds.client import Client
from rolewatch.observation import Absent
from rolewatch.text import is_printable

IAM_ROLE = "iam-role"
"""botocore's name for credentials from IMDS."""


class Keys:
    """The secret fields of one credentials document. Not a dataclass: cannot be printed, copied or pickled."""

    __slots__ = ("role", "secret", "token", "user")

    def __init__(self, *, role: str, user: str, secret: str, token: str) -> None:
        """Store the fields of the credentials of *role*; *user* is the access key id."""
        self.role = role
        self.user = user
        self.secret = secret
        self.token = token

    def __repr__(self) -> str:
        """Return the role's name and nothing secret."""
        return f"Keys({self.role!r})"

    def __reduce__(self) -> str:
        """Refuse to be pickled or copied. Raise `TypeError`."""
        message = "credentials are not to be copied"
        raise TypeError(message)

    def for_boto3(self) -> dict[str, str]:
        """Return the fields as keyword arguments of boto3's `client`."""
        return {
            "aws_access_key_id": self.user,
            "aws_secret_access_key": self.secret,
            "aws_session_token": self.token,
        }


Fetch = Callable[[], Optional[Keys]]
"""Returns the credentials that IMDS serves, or None."""


def fetch(client: Client) -> Keys | None:
    """Return the credentials that IMDS serves now, or None where there are no usable ones. Total."""
    try:
        session = client.session()
        listing = session.get(ROLES_PATH)
        if isinstance(listing, Absent):
            return None
        role = documents.role_listing(listing.body).role
        document = session.get(ROLES_PATH, role=role)
    except ImdsError:
        return None
    return None if isinstance(document, Absent) else _keys(role, document.body)


def _keys(role: str, body: bytearray) -> Keys | None:
    try:
        loaded = json.loads(body.decode("utf-8"), parse_int=str)
    except (ValueError, RecursionError):  # the error quotes the document, and is dropped here
        return None
    if not isinstance(loaded, dict):
        return None
    fields = {str(key).lower(): value for key, value in loaded.items() if isinstance(value, str)}
    user, secret, token = (fields.get(name, "") for name in ("accesskeyid", "secretaccesskey", "token"))
    if fields.get("code", "Success").lower() != "success" or not (user and secret and token):
        return None
    # boto3 puts these into HTTP headers: no line ends, no characters outside ASCII.
    if not all(each.isascii() and is_printable(each) for each in (user, secret, token)):
        return None
    return Keys(role=role, user=user, secret=secret, token=token)


def verify(fetch: Fetch, region: str | None, budget: Budget | None = None) -> Caller | Refused | None:
    """Return the caller that STS sees for the served credentials, or its refusal. None where IMDS serves none.

    The call is bounded by *budget*.
    """
    keys = fetch()
    if keys is None:
        return None
    api = Api(without_credentials(), region=region, timeouts=VERIFY_TIMEOUTS, budget=budget, **keys.for_boto3())
    try:
        return queries.caller(api)
    finally:
        del keys
        api.close()


@dataclass(frozen=True)
class Connection:
    """A session of boto3's, or why there is none."""

    session: Session | Refused
    method: str = ""
    """Where its credentials come from, in botocore's words: ``env``, ``shared-credentials-file``, ``iam-role``."""
    region: str | None = None
    """The Region of its configuration."""


def connect(*, profile: str | None, endpoint: str, fetch: Fetch, budget: Budget | None = None) -> Connection:
    """Return a session with the credentials of *profile*, or else of the SDK's chain, which *fetch* ends. Total.

    *endpoint* is the URL of IMDS: a profile with ``credential_source = Ec2InstanceMetadata`` uses the same one.
    *budget* bounds the chain, except where it asks a person for an MFA code.
    """
    with no_output():
        try:
            session = _session(profile=profile, endpoint=endpoint)
            _replace_imds_provider(session, fetch)
            bound = None if _asks_for_code(session) else budget
        except Exception as error:  # noqa: BLE001 - see `_no_credentials`
            return Connection(_no_credentials(error))
    if bound is None:
        return _with_credentials(session)
    try:
        perhaps = "a credential_process does not end, or the name servers are silent"
        return bound.run(lambda: _with_credentials(session), perhaps=perhaps)
    except TimeoutError as error:
        return Connection(Refused(Trouble.NO_CREDENTIALS, "", detail=str(error)), region=session.region_name)


def _with_credentials(session: Any) -> Connection:  # noqa: ANN401 - boto3 has no types
    """Return the connection of *session* after its chain has found credentials, or has found none. Total."""
    with no_output():
        try:
            credentials = session.get_credentials()
            if credentials is not None and credentials.method == "assume-role":
                credentials.get_frozen_credentials()  # else the first call would ask a person for an MFA code
        except Exception as error:  # noqa: BLE001 - see `_no_credentials`
            return Connection(_no_credentials(error))
        if credentials is None:
            return Connection(Refused(Trouble.NO_CREDENTIALS, ""), region=session.region_name)
        return Connection(session, str(credentials.method or ""), session.region_name)


def _no_credentials(error: Exception) -> Refused:
    """Return what *error* of the chain means.

    The chain runs what the user has configured: processes, SSO, files. Any error of it means: no credentials.
    """
    if isinstance(error, ImportError):
        return Refused(Trouble.NO_SDK, "")
    answer = refusal(error, "")
    detail = (answer.detail or answer.code) if isinstance(answer, Refused) else ""
    return Refused(Trouble.NO_CREDENTIALS, "", detail=detail or type(error).__name__)


def _asks_for_code(session: Any) -> bool:  # noqa: ANN401 - boto3 has no types
    """Return whether a role is assumed with an MFA code, by the profile of *session* or by one of its sources."""
    profiles = session._session.full_config["profiles"]  # noqa: SLF001 - boto3 has no other way
    name = session.profile_name
    for _ in profiles:  # a longer chain of sources is a loop
        profile = profiles.get(name, {})
        if "role_arn" in profile and "mfa_serial" in profile:
            return True
        name = profile.get("source_profile")
    return False


def without_credentials() -> Session | Refused:
    """Return a session without credentials, for clients that get explicit keys. Total.

    It ignores AWS_PROFILE: a profile that does not exist must not fail the verification of the served credentials.
    """
    with no_output():
        try:
            session: Session = _session(ignore_profile=True)
            return session  # noqa: TRY300 - the name is for its type
        except ImportError:
            return Refused(Trouble.NO_SDK, "")
        except Exception as error:  # noqa: BLE001 - an unreadable configuration must not end the diagnosis
            return Refused(Trouble.ERROR, "", detail=type(error).__name__)


def _session(*, profile: str | None = None, endpoint: str = "", ignore_profile: bool = False) -> Any:  # noqa: ANN401 - boto3 has no types
    import boto3.session  # noqa: PLC0415 - 25 MiB that only these commands pay
    import botocore.session  # noqa: PLC0415 - likewise

    # A session variable is its name in the configuration, in the environment, its default and its type.
    inner = botocore.session.Session(
        profile=profile, session_vars={"profile": (None, None, None, None)} if ignore_profile else None
    )
    inner.set_config_variable("sts_regional_endpoints", "regional")
    inner.set_config_variable("ec2_metadata_v1_disabled", "true")
    if endpoint:
        inner.set_config_variable("ec2_metadata_service_endpoint", endpoint)
    session = boto3.session.Session(botocore_session=inner)
    inner.register_component("data_loader", _service_models(inner.get_config_variable("data_path")))
    return session


@cache
def _service_models(data_path: str | None) -> Any:  # noqa: ANN401 - boto3 has no types
    """Return botocore's loader, which caches what it loads: the models of three services cost 0.15 s of CPU."""
    from botocore.loaders import create_loader  # noqa: PLC0415 - see `_session`

    return create_loader(data_path)


def _replace_imds_provider(session: Any, fetch: Fetch) -> None:  # noqa: ANN401 - boto3 has no types
    """Put *fetch* at the end of the chain in place of botocore's IMDS client, which uses proxies and IMDSv1."""
    from botocore.credentials import CredentialProvider, Credentials  # noqa: PLC0415 - see `_session`

    class ImdsProvider(CredentialProvider):  # type: ignore[misc]  # botocore has no types
        METHOD = IAM_ROLE
        CANONICAL_NAME = "Ec2InstanceMetadata"

        def load(self) -> Any | None:  # noqa: ANN401 - likewise
            keys = fetch()
            return None if keys is None else Credentials(keys.user, keys.secret, keys.token, method=IAM_ROLE)

    resolver = session._session.get_component("credential_provider")  # noqa: SLF001 - boto3 has no other way
    resolver.remove(IAM_ROLE)
    resolver.providers.append(ImdsProvider())
