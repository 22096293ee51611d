"""Poll IMDS once and return one observation. Sends requests, never judges; errors become values here."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import Callable, TypeVar

from rolewatch.errors import ImdsError
from rolewatch.imds import documents
from rolewatch.imds.client import Client, DatedImdsError, Session
from rolewatch.imds.host import signs_of, with_route
from rolewatch.observation import Absent, Answered, Failure, Observation, RoleListing, Tags, Unanswered
from rolewatch.settings import ExpectSettings
from rolewatch.vocabulary import Document, Phase, Reason

INFO_PATH = Document.INFO.value
ROLES_PATH = Document.LISTING.value
TAGS_PATH = "meta-data/tags/instance/"

T = TypeVar("T")


@dataclass(frozen=True)
class Questions:
    """What to request besides the role: it seldom changes, and is not worth a request at each poll."""

    identity: bool = False
    tags: bool = False


def observe(client: Client, expect: ExpectSettings, questions: Questions) -> Observation:
    """Return what IMDS answers about the role, in one poll of four requests, and about *questions*.

    Total: an `ImdsError` becomes a `Failure` inside the value. Both documents are always read, because they are two
    independent verdicts.
    """
    return replace(_request(client, expect, questions), dropped_packets=client.dropped_packets(), host=client.host)


def _request(client: Client, expect: ExpectSettings, questions: Questions) -> Observation:
    try:
        session = client.session()
    except DatedImdsError as error:
        return Unanswered(error.failure, error.date)
    except ImdsError as error:
        failure = error.failure
        if failure.phase is Phase.CONNECT and failure.reason is not Reason.SWITCHED_OFF:
            failure = with_route(failure, client.host, os.getuid())
        return Unanswered(failure)
    info = _read(session, INFO_PATH, documents.profile_info)
    listing = _read(session, ROLES_PATH, documents.role_listing)
    credentials = None
    if isinstance(listing, RoleListing):  # the role that is listed now: a name is never remembered
        role = listing.role
        credentials = _read(session, ROLES_PATH, lambda body: documents.credentials(role, body), role=role)
    identity = _read(session, documents.IDENTITY_PATH, documents.identity) if questions.identity else None
    signs = None
    if questions.identity and not isinstance(identity, Failure):
        signs = signs_of(client.host, has_identity=not isinstance(identity, Absent))
    return Answered(
        info=info,
        listing=listing,
        credentials=credentials,
        identity=None if isinstance(identity, (Absent, Failure)) else identity,
        signs=signs,
        tags=_tags(session, expect) if questions.tags else None,
        date=session.date,
        proxy=session.proxy,
    )


def _read(session: Session, path: str, parse: Callable[[bytearray], T], *, role: str = "") -> T | Absent | Failure:
    try:
        document = session.get(path, role=role)
        if isinstance(document, Absent):
            return document
        try:
            return parse(document.body)
        finally:
            document.wipe()
    except ImdsError as error:
        return error.failure


def _tags(session: Session, expect: ExpectSettings) -> Tags | None:
    """Return what the instance's tags expect; None without a usable answer, so that the last tags stay in force."""
    answers = [
        _read(session, TAGS_PATH, documents.name_pattern, role=key) if key else None
        for key in (expect.role_tag, expect.instance_profile_tag)
    ]
    if any(isinstance(answer, Failure) for answer in answers):
        return None
    role, profile = (answer if isinstance(answer, str) else None for answer in answers)
    return Tags(role=role, instance_profile=profile)
