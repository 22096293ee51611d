"""The journal's sentences: one line, bounded, stable, and with what matters at three in the morning."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rolewatch.faults import FAULTS, Fault
from rolewatch.publish import messages
from rolewatch.vocabulary import EVIDENCE_KEYS, Evidence, Scalar, State

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=timezone.utc)
UNTIL = {"expiration": "2026-11-23T17:31:25Z"}
LONGEST = 300


def test_a_deleted_profile_is_reported_with_its_id_and_until_when_the_credentials_work() -> None:
    """The sentence of a raised fault: what, which, what to do, how long there is, where there is more."""
    message = messages.raised(
        Fault.INSTANCE_PROFILE_NOT_FOUND,
        {"code": "InstanceProfileNotFound", "instance_profile_id": "AIPAEXAMPLE0000000000"},
        UNTIL,
    )

    assert message == (
        "instance_profile_not_found: the instance profile was deleted (Code InstanceProfileNotFound, "
        "AIPAEXAMPLE0000000000). Attach a valid instance profile. The credentials served last work until 17:31 UTC. "
        "See: rolewatch explain instance_profile_not_found"
    )


def test_an_unreachable_imds_is_reported_with_its_errno() -> None:
    """The reason and the errno's name are in the sentence, and the hint is that of the reason."""
    message = messages.raised(Fault.IMDS_UNREACHABLE, {"phase": "connect", "reason": "prohibited", "errno": 13}, {})

    assert message == (
        "imds_unreachable: IMDS cannot be reached (connect, prohibited, EACCES). Lift the prohibit route for the user "
        "that runs rolewatch, or systemd-imdsd's lock. See: rolewatch explain imds_unreachable"
    )


def test_a_lasting_fault_is_reported_with_its_duration() -> None:
    """The reminder says the same as the first sentence, and since how long."""
    message = messages.persists(Fault.IMDS_DISABLED, {}, {}, 7500.0)

    assert message.startswith("imds_disabled: IMDS is disabled for this instance, for 2 h 5 min now. Enable ")


def test_an_overdue_rotation_is_reported_with_its_figures() -> None:
    """Age, allowance and cadence are durations that a person reads."""
    evidence: Evidence = {
        "role": "app",
        "age_seconds": 7860,
        "allowed_age_seconds": 7200,
        "rotation_interval_seconds": 3600,
    }

    message = messages.raised(Fault.ROTATION_OVERDUE, evidence, UNTIL)

    assert "(role app, 2 h 11 min old, allowed 2 h, usually every 1 h)" in message
    assert "work until 17:31 UTC" in message


@pytest.mark.parametrize(("offset", "words"), [(400, "6 min 40 s ahead"), (-86400, "1 d behind")])
def test_a_wrong_clock_is_reported_with_its_direction(offset: int, words: str) -> None:
    """Ahead is a local clock that shows a later time than IMDS."""
    assert f"({words})" in messages.raised(Fault.CLOCK_SKEW, {"clock_offset_seconds": offset}, {})


def test_expired_credentials_are_reported_with_since_when() -> None:
    """The one fault whose moment is the expiration itself."""
    message = messages.raised(Fault.CREDENTIALS_EXPIRED, {"role": "app", **UNTIL}, {})

    assert "have expired (role app, since 2026-11-23 17:31 UTC)." in message


def test_a_mismatch_names_both_sides() -> None:
    """The served and the expected role are side by side."""
    message = messages.raised(Fault.ROLE_MISMATCH, {"role": "app", "expected_role": "web-*"}, {})

    assert "(role app, expected web-*)" in message


@pytest.mark.parametrize("fault", [Fault.CREDENTIALS_EXPIRED, Fault.CREDENTIALS_REJECTED, Fault.CREDENTIALS_ERROR])
def test_no_message_says_that_useless_credentials_work(fault: Fault) -> None:
    """Where the credentials themselves are the trouble, no time is named until which they work."""
    assert "work until" not in messages.raised(fault, {}, UNTIL)


@pytest.mark.parametrize("fault", list(Fault))
def test_every_sentence_of_a_fault_begins_with_its_name_and_ends_with_where_more_is(fault: Fault) -> None:
    """Stable at both ends, and no longer than a terminal can show."""
    for reason in ("", *FAULTS[fault].variants):
        message = messages.raised(fault, {"reason": reason} if reason else {}, UNTIL)

        assert message.startswith(f"{fault.value}: {FAULTS[fault].title}")
        assert message.endswith(f"See: rolewatch explain {fault.value}")
        assert len(message) <= LONGEST


@given(
    fault=st.sampled_from(list(Fault)),
    evidence=st.dictionaries(st.sampled_from(EVIDENCE_KEYS), st.one_of(st.text(), st.integers(0, 10**9)), max_size=8),
)
def test_a_sentence_stays_on_one_line_whatever_the_evidence(fault: Fault, evidence: dict[str, Scalar]) -> None:
    """Nothing that IMDS says breaks the line, reaches the terminal as an escape, or makes the sentence fail."""
    sane: Evidence = {key: 5 if key.endswith("_seconds") else value for key, value in evidence.items()}

    message = messages.raised(fault, sane, {})

    assert message.isprintable()


def test_the_end_of_a_fault_is_reported_with_its_duration() -> None:
    """The sentence names how long it lasted and when it began, with the date: it may be days ago."""
    message = messages.cleared(Fault.ROLE_MISMATCH, NOON - timedelta(days=1, hours=2), 26 * 3600.0)

    assert message == "role_mismatch is over; it lasted 1 d 2 h, since 2026-11-22 10:00 UTC."


def test_a_change_of_state_names_the_faults_behind_it() -> None:
    """Old state, new state, why, and what the new one means."""
    message = messages.state_changed(State.OK, State.DEGRADED, [Fault.CLOCK_SKEW])

    assert message == (
        "The state changed from ok to degraded (clock_skew): usable credentials, but something is wrong or will break."
    )


@pytest.mark.parametrize("state", list(State))
def test_every_state_has_its_words(state: State) -> None:
    """The message about a state without an explanation would be an exception."""
    assert f"to {state.value}: " in messages.state_changed(State.STARTING, state, [])


def test_a_rotation_is_reported_with_expiry_and_cadence() -> None:
    """The cadence is in the message where it was learned."""
    message = messages.rotated("app", NOON + timedelta(hours=6), 3600.0)

    assert message == (
        "IMDS serves new credentials of role app, good until 18:00 UTC; that happens about every 1 h here."
    )


def test_a_rotation_without_a_cadence_is_reported_too() -> None:
    """Nothing is made up before it is learned."""
    assert messages.rotated("app", None, None) == "IMDS serves new credentials of role app."


def test_a_swap_says_what_running_applications_do() -> None:
    """The hint that saves the search: applications keep the old role's credentials."""
    message = messages.role_changed("app", "web", "app", "web")

    assert message == (
        "The instance changed from role app to web and from instance profile app to web. Running applications keep the "
        "old credentials until they refresh them or are restarted."
    )


def test_a_lost_role_is_none() -> None:
    """A role that is gone is reported as none, and an unchanged profile is left out."""
    assert messages.role_changed("app", None, "p", "p").startswith("The instance changed from role app to none. ")


@pytest.mark.parametrize(
    ("consecutive", "message"),
    [
        (1, "IMDS gave no usable answer (token, no_answer). A fault is raised if it lasts."),
        (10, "IMDS gave no usable answer (token, no_answer), 10 times now. A fault is raised if it lasts."),
    ],
)
def test_a_failed_poll_is_reported_with_its_reason(consecutive: int, message: str) -> None:
    """Phase and reason, and the count where it is not the first."""
    assert messages.poll_failed({"phase": "token", "reason": "no_answer"}, consecutive) == message


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-5, "0 s"),
        (0, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (61, "1 min 1 s"),
        (600, "10 min"),
        (655, "10 min"),
        (3600, "1 h"),
        (7500, "2 h 5 min"),
        (86399, "23 h 59 min"),
        (86400, "1 d"),
        (93600, "1 d 2 h"),
    ],
)
def test_a_duration_has_at_most_two_units(seconds: float, words: str) -> None:
    """As a person says it: no seconds beyond ten minutes, no minutes beyond a day."""
    assert messages.duration(seconds) == words
