"""The credentials to ask AWS with: the chain that every SDK has, with our own client where it would ask IMDS.

botocore asks IMDS through the proxies of the environment and falls back to IMDSv1; ours does neither, and asks the
endpoint in force and no other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, Optional, Union

from rolewatch.aws.answers import Refused, Trouble
from rolewatch.aws.api import Session, silence
from rolewatch.aws.refusals import refusal
from rolewatch.aws.served import Keys

IAM_ROLE = "iam-role"
"""botocore's name for credentials from IMDS."""

Fetch = Callable[[], Optional[Keys]]


@dataclass(frozen=True)
class Connection:
    """A session of boto3's, or why there is none."""

    session: Union[Session, Refused]
    method: str = ""
    """Where its credentials come from, in botocore's words: ``env``, ``shared-credentials-file``, ``iam-role``."""
    region: Optional[str] = None
    """The Region of its configuration."""


def connect(*, profile: Optional[str], endpoint: str, fetch: Fetch) -> Connection:
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


def bare() -> Union[Session, Refused]:
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


def _session(profile: Optional[str], endpoint: str, *, no_profile: bool = False) -> Any:  # noqa: ANN401 - boto3 has no types
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

        def load(self) -> Optional[Any]:  # noqa: ANN401 - likewise
            keys = fetch()
            return None if keys is None else Credentials(keys.user, keys.secret, keys.token, method=IAM_ROLE)

    resolver = session._session.get_component("credential_provider")  # noqa: SLF001 - boto3 has no other way
    resolver.remove(IAM_ROLE)
    resolver.providers.append(Served())
