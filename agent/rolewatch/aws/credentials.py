"""Credentials for calls to AWS: the SDK's chain, those that IMDS serves, and a check whether STS accepts them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Callable, Optional

from rolewatch.aws import queries
from rolewatch.aws.client import PROOF, Api, Session, refusal, silence
from rolewatch.aws.model import Caller, Refused, Trouble
from rolewatch.errors import ImdsError
from rolewatch.imds import ROLES_PATH, documents
from rolewatch.imds.client import Client
from rolewatch.text import is_printable


class Keys:
    """One set of credentials. Not a dataclass: it shows nothing, cannot be compared, copied or written as JSON."""

    __slots__ = ("role", "secret", "token", "user")

    def __init__(self, *, role: str, user: str, secret: str, token: str) -> None:
        """Hold the three secret fields of the credentials of *role*; *user* is the access key id."""
        self.role = role
        self.user = user
        self.secret = secret
        self.token = token

    def __repr__(self) -> str:
        """Show whose they are."""
        return f"Keys({self.role!r})"

    def __reduce__(self) -> str:
        """Refuse to be pickled or copied."""
        message = "credentials are not to be copied"
        raise TypeError(message)

    def for_boto3(self) -> dict[str, str]:
        """Return them as boto3's `client` takes them."""
        return {
            "aws_access_key_id": self.user,
            "aws_secret_access_key": self.secret,
            "aws_session_token": self.token,
        }


def fetch(client: Client) -> Keys | None:
    """Ask IMDS for the credentials that it serves now; None where there are none that could be used."""
    try:
        session = client.session()
        listing = session.get(ROLES_PATH)
        if listing is None:
            return None
        role = documents.role_listing(listing.body).role
        document = session.get(ROLES_PATH, role=role)
    except ImdsError:
        return None
    return None if document is None else _keys(role, document.body)


def _keys(role: str, body: bytearray) -> Keys | None:
    try:
        loaded = json.loads(body.decode("utf-8"), parse_int=str)
    except (ValueError, RecursionError):  # it holds the whole document, and ends here
        return None
    if not isinstance(loaded, dict):
        return None
    fields = {str(key).lower(): value for key, value in loaded.items() if isinstance(value, str)}
    user, secret, token = (fields.get(name, "") for name in ("accesskeyid", "secretaccesskey", "token"))
    if fields.get("code", "Success").lower() != "success" or not (user and secret and token):
        return None
    # They go into headers: what has a line end in it, or is no ASCII, must not.
    if not all(each.isascii() and is_printable(each) for each in (user, secret, token)):
        return None
    return Keys(role=role, user=user, secret=secret, token=token)


IAM_ROLE = "iam-role"
"""botocore's name for credentials from IMDS."""

Fetch = Callable[[], Optional[Keys]]


@dataclass(frozen=True)
class Connection:
    """A session of boto3's, or why there is none."""

    session: Session | Refused
    method: str = ""
    """Where its credentials come from, in botocore's words: ``env``, ``shared-credentials-file``, ``iam-role``."""
    region: str | None = None
    """The Region of its configuration."""


def connect(*, profile: str | None, endpoint: str, fetch: Fetch) -> Connection:
    """Return a session with the credentials of *profile*, or else of the chain, whose last link is *fetch*.

    *endpoint* is the IMDS in force: a configuration that names it as a credential source finds that one.
    """
    with silence():
        try:
            session = _session(profile, endpoint)
            _serve(session, fetch)
            credentials = session.get_credentials()
        except ImportError:
            return Connection(Refused(Trouble.NO_SDK, ""))
        # The chain runs what the user has configured: processes, SSO, files. Whatever it raises is no credentials.
        except Exception as error:  # noqa: BLE001 - see above
            answer = refusal(error, "")
            why = answer if isinstance(answer, Refused) else Refused(Trouble.NO_CREDENTIALS, "")
            detail = why.detail or type(error).__name__
            return Connection(Refused(Trouble.NO_CREDENTIALS, "", detail=detail))
        if credentials is None:
            return Connection(Refused(Trouble.NO_CREDENTIALS, ""), region=session.region_name)
        return Connection(session, str(credentials.method or ""), session.region_name)


def bare() -> Session | Refused:
    """Return a session without credentials, for keys that are handed to its client.

    It has no profile, whatever AWS_PROFILE says: one that does not exist must not end the proof of the served keys.
    """
    with silence():
        try:
            session: Session = _session(None, "", no_profile=True)
            return session  # noqa: TRY300 - the name is for its type
        except ImportError:
            return Refused(Trouble.NO_SDK, "")
        except Exception as error:  # noqa: BLE001 - a configuration that cannot be read must not end the diagnosis
            return Refused(Trouble.ERROR, "", detail=type(error).__name__)


def _session(profile: str | None, endpoint: str, *, no_profile: bool = False) -> Any:  # noqa: ANN401 - boto3 has no types
    import boto3.session  # noqa: PLC0415 - 25 MiB that only these commands pay
    import botocore.session  # noqa: PLC0415 - likewise

    # A session variable is its name in the configuration, in the environment, its default and its type.
    inner = botocore.session.Session(
        profile=profile, session_vars={"profile": (None, None, None, None)} if no_profile else None
    )
    inner.set_config_variable("sts_regional_endpoints", "regional")
    inner.set_config_variable("ec2_metadata_v1_disabled", "true")
    if endpoint:
        inner.set_config_variable("ec2_metadata_service_endpoint", endpoint)
    return boto3.session.Session(botocore_session=inner)


def _serve(session: Any, fetch: Fetch) -> None:  # noqa: ANN401 - boto3 has no types
    """Put *fetch* in the place of botocore's own client of IMDS."""
    from botocore.credentials import CredentialProvider, Credentials  # noqa: PLC0415 - see `_session`

    class Served(CredentialProvider):  # type: ignore[misc]  # botocore has no types
        METHOD = IAM_ROLE
        CANONICAL_NAME = "Ec2InstanceMetadata"

        def load(self) -> Any | None:  # noqa: ANN401 - likewise
            keys = fetch()
            return None if keys is None else Credentials(keys.user, keys.secret, keys.token, method=IAM_ROLE)

    resolver = session._session.get_component("credential_provider")  # noqa: SLF001 - boto3 has no other way
    resolver.remove(IAM_ROLE)
    resolver.providers.append(Served())


def prove(fetch: Fetch, region: str | None) -> Caller | Refused | None:
    """Return whose the served credentials are, as AWS sees it, or how AWS refuses them. None where none are served."""
    keys = fetch()
    if keys is None:
        return None
    door = Api(bare(), region=region, patience=PROOF, **keys.for_boto3())
    try:
        return queries.caller(door)
    finally:
        del keys
        door.forget()
