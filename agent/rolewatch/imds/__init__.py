"""Poll IMDS once and return one observation. Asks, never judges; errors become values here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Callable, TypeVar

from rolewatch.errors import ImdsError
from rolewatch.imds import documents
from rolewatch.imds.client import Client, DatedImdsError, Session
from rolewatch.observation import Absent, Answered, Credentials, Failure, Observation, RoleListing, Tags, Unanswered
from rolewatch.settings import ExpectSettings
from rolewatch.vocabulary import Document

if TYPE_CHECKING:
    from rolewatch.settings import ExpectSettings

INFO_PATH = Document.INFO.value
ROLES_PATH = Document.LISTING.value
IDENTITY_PATH = "dynamic/instance-identity/document"
TAGS_PATH = "meta-data/tags/instance/"

T = TypeVar("T")


@dataclass(frozen=True)
class Questions:
    """What to ask besides the role: things that seldom change and are not worth a request each poll."""

    identity: bool = False
    tags: bool = False


def observe(client: Client, expect: ExpectSettings, questions: Questions) -> Observation:
    """Say what IMDS says about the role, in one poll of four requests, and of *questions*.

    Total: an `ImdsError` becomes a `Failure` inside the value. Both documents are always read: they are two independent
    verdicts.
    """
    try:
        session = client.session()
    except DatedImdsError as error:
        return Unanswered(error.failure, error.date)
    except ImdsError as error:
        return Unanswered(error.failure)
    info = _ask(session, INFO_PATH, documents.profile_info)
    listing = _ask(session, ROLES_PATH, documents.role_listing)
    credentials = _credentials(session, listing)
    identity = _ask(session, IDENTITY_PATH, documents.identity) if questions.identity else None
    return Answered(
        info=info,
        listing=listing,
        credentials=credentials,
        identity=None if isinstance(identity, (Absent, Failure)) else identity,
        tags=_tags(session, expect) if questions.tags else None,
        date=session.date,
    )


def _credentials(session: Session, listing: RoleListing | Absent | Failure) -> Credentials | Absent | Failure | None:
    """Ask for the credentials of the role that the listing names now: a role's name is never remembered."""
    if not isinstance(listing, RoleListing):
        return None
    role = listing.role
    return _ask(session, ROLES_PATH, lambda body: documents.credentials(role, body), role=role)


def _ask(session: Session, path: str, parse: Callable[[bytearray], T], *, role: str = "") -> T | Absent | Failure:
    try:
        document = session.get(path, role=role)
        if document is None:
            return Absent()
        try:
            return parse(document.body)
        finally:
            document.wipe()
    except ImdsError as error:
        return error.failure


def _tags(session: Session, expect: ExpectSettings) -> Tags | None:
    """Return what the instance's tags expect; None where IMDS did not tell, so that the last answer stays in force."""
    answers = [_tag(session, expect.role_tag), _tag(session, expect.instance_profile_tag)]
    if any(isinstance(answer, Failure) for answer in answers):
        return None
    role, profile = (answer if isinstance(answer, str) else None for answer in answers)
    return Tags(role=role, instance_profile=profile)


def _tag(session: Session, key: str) -> str | Absent | Failure | None:
    return _ask(session, TAGS_PATH, documents.name_pattern, role=key) if key else None
