"""Trust policies, form by form. The table is that of docs/diagnose.md."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rolewatch.aws.trust_policy import Reading, Trust, judge

ALLOWS, DENIES, UNDECIDED = Trust.ALLOWS, Trust.DENIES, Trust.UNDECIDED
EC2 = {"Service": "ec2.amazonaws.com"}


def statement(
    principal: object = EC2,
    action: object = "sts:AssumeRole",
    effect: str = "Allow",
    condition: object | None = None,
) -> dict[str, Any]:
    """Return a statement."""
    made = {"Effect": effect, "Principal": principal, "Action": action}
    return {**made, "Condition": condition} if condition is not None else made


def policy(*statements: dict[str, Any]) -> dict[str, Any]:
    """Return a policy of *statements*."""
    return {"Version": "2012-10-17", "Statement": list(statements)}


FORMS = {
    "string": (statement(), ALLOWS),
    "list": (statement({"Service": ["ec2.amazonaws.com"]}, ["sts:AssumeRole"]), ALLOWS),
    "among others": (statement({"Service": ["ssm.amazonaws.com", "ec2.amazonaws.com"]}), ALLOWS),
    "service and account": (statement({"AWS": "arn:aws:iam::111122223333:root", **EC2}), ALLOWS),
    "sts:*": (statement(action="sts:*"), ALLOWS),
    "*": (statement(action="*"), ALLOWS),
    "wildcard": (statement(action="sts:Assume*"), ALLOWS),
    "lower case": (statement(action="sts:assumerole"), ALLOWS),
    "empty condition": (statement(condition={}), ALLOWS),
    "tag session only": (statement(action="sts:TagSession"), DENIES),
    "web identity only": (statement(action="sts:AssumeRoleWithWebIdentity"), DENIES),
    "rds": (statement({"Service": "rds.amazonaws.com"}), DENIES),
    "lambda": (statement({"Service": ["lambda.amazonaws.com"]}), DENIES),
    "account": (statement({"AWS": "arn:aws:iam::111122223333:root"}), DENIES),
    "deleted principal": (statement({"AWS": "AROAEXAMPLE000000001"}), DENIES),
    "federated": (statement({"Federated": "cognito-identity.amazonaws.com"}), DENIES),
    "no principal": ({"Effect": "Allow", "Action": "sts:AssumeRole"}, DENIES),
    "china's name elsewhere": (statement({"Service": "ec2.amazonaws.com.cn"}), DENIES),
    "mfa": (statement(condition={"Bool": {"aws:MultiFactorAuthPresent": "true"}}), DENIES),
    "mfa boolean": (statement(condition={"Bool": {"aws:MultiFactorAuthPresent": True}}), DENIES),
    "mfa age": (statement(condition={"NumericLessThan": {"aws:MultiFactorAuthAge": "3600"}}), DENIES),
    "mfa not null": (statement(condition={"Null": {"aws:MultiFactorAuthPresent": "false"}}), DENIES),
    "mfa null": (statement(condition={"Null": {"aws:MultiFactorAuthPresent": "true"}}), ALLOWS),
    "mfa if exists": (statement(condition={"BoolIfExists": {"aws:MultiFactorAuthPresent": "true"}}), UNDECIDED),
    "external id": (statement(condition={"StringEquals": {"sts:ExternalId": "x"}}), DENIES),
    "mfa and another": (
        statement(condition={"Bool": {"aws:MultiFactorAuthPresent": "true"}, "StringLike": {"aws:x": "y"}}),
        DENIES,
    ),
    "source account": (statement(condition={"StringEquals": {"aws:SourceAccount": "111122223333"}}), UNDECIDED),
    "source arn": (statement(condition={"ArnLike": {"aws:SourceArn": "arn:aws:ec2:*"}}), UNDECIDED),
    "date": (statement(condition={"DateLessThan": {"aws:CurrentTime": "2030-01-01T00:00:00Z"}}), UNDECIDED),
    "other key": (statement(condition={"StringEquals": {"aws:RequestedRegion": "eu-west-1"}}), UNDECIDED),
    "odd condition": (statement(condition=["x"]), UNDECIDED),
    "everyone": (statement("*"), UNDECIDED),
    "every account": (statement({"AWS": "*"}), UNDECIDED),
    "every service": (statement({"Service": "*"}), UNDECIDED),
    "regional name": (statement({"Service": "ec2.eu-west-1.amazonaws.com"}), UNDECIDED),
    "not principal": ({"Effect": "Allow", "NotPrincipal": EC2, "Action": "sts:AssumeRole"}, UNDECIDED),
    "not action": ({"Effect": "Allow", "Principal": EC2, "NotAction": "s3:*"}, ALLOWS),
    "not action assume": ({"Effect": "Allow", "Principal": EC2, "NotAction": "sts:*"}, DENIES),
}


@pytest.mark.parametrize(("form", "expected"), FORMS.values(), ids=FORMS)
def test_a_form_is_judged(form: dict[str, Any], expected: Trust) -> None:
    """Each form alone, as one statement and as a list of one."""
    for document in (policy(form), {"Statement": form}):
        reading = judge(document)
        assert reading.trust is expected
        assert reading.why.endswith(".")


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        ("STS:assumerole", ALLOWS),
        ("*:AssumeRole", ALLOWS),
        ("s*:*e*e", ALLOWS),
        ("***", ALLOWS),
        ("sts:Assume????", ALLOWS),
        ("sts:AssumeRole*", ALLOWS),
        ("*:*Role?", DENIES),
        ("sts:Assume???", DENIES),
        ("sts:AssumeRoleX", DENIES),
        ("sts:Assume", DENIES),
        ("*x*", DENIES),
        ("", DENIES),
        ("*" * 24 + "x", DENIES),
        ("*a" * 5000, DENIES),
        ("sts:[Aa]ssumeRole", DENIES),
    ],
    ids=lambda value: str(value)[:30],
)
def test_an_action_has_two_wildcards(action: str, expected: Trust) -> None:
    """``*`` and ``?`` match as in IAM, in any case; and no pattern takes more than its length times the action's."""
    assert judge(policy(statement(action=action))).trust is expected


@pytest.mark.parametrize(
    ("denying", "expected"),
    [
        (statement(effect="Deny"), DENIES),
        (statement(effect="Deny", action="*"), DENIES),
        (statement({"Service": "rds.amazonaws.com"}, effect="Deny"), ALLOWS),
        (statement(effect="Deny", action="sts:TagSession"), ALLOWS),
        (statement("*", effect="Deny"), UNDECIDED),
        (statement(effect="Deny", condition={"StringNotEquals": {"aws:SourceAccount": "1"}}), UNDECIDED),
        (statement(effect="Deny", condition={"Bool": {"aws:MultiFactorAuthPresent": "true"}}), ALLOWS),
    ],
)
def test_a_deny_comes_first(denying: dict[str, Any], expected: Trust) -> None:
    """Before or behind the Allow, a Deny that is about EC2 decides; one that is not, does not."""
    assert judge(policy(statement(), denying)).trust is expected
    assert judge(policy(denying, statement())).trust is expected


def test_a_sure_allow_beside_a_doubtful_one_is_sure() -> None:
    """Only one statement has to allow."""
    doubtful = statement(condition={"StringEquals": {"aws:SourceAccount": "1"}})

    assert judge(policy(doubtful, statement())).trust is ALLOWS


@pytest.mark.parametrize(
    ("partition", "service", "expected"),
    [
        ("aws-cn", "ec2.amazonaws.com.cn", ALLOWS),
        ("aws-cn", "ec2.amazonaws.com", ALLOWS),
        ("aws-us-gov", "ec2.amazonaws.com", ALLOWS),
        ("aws-us-gov", "ec2.amazonaws.com.cn", DENIES),
        ("aws", "ec2.amazonaws.com.cn", DENIES),
        ("aws-iso", "ec2.amazonaws.com", ALLOWS),
    ],
)
def test_china_has_two_names_for_ec2(partition: str, service: str, expected: Trust) -> None:
    """Both are accepted there; elsewhere only the plain one is."""
    assert judge(policy(statement({"Service": service})), partition).trust is expected


def test_the_reason_names_whom_it_lets_in() -> None:
    """The service in the place of EC2 is named; so is the condition that EC2 cannot meet."""
    assert "rds.amazonaws.com" in judge(policy(statement({"Service": "rds.amazonaws.com"}))).why
    mfa = judge(policy(statement(condition={"Bool": {"aws:MultiFactorAuthPresent": "true"}}))).why
    assert "aws:MultiFactorAuthPresent" in mfa
    assert "Statement 2 denies" in judge(policy(statement(), statement(effect="Deny"))).why


def test_text_is_read_encoded_or_not() -> None:
    """The API's XML has URL-encoded JSON, files have plain JSON, botocore gives decoded JSON: one verdict."""
    text = json.dumps(policy(statement()))

    assert judge(text).trust is judge(quote(text)).trust is judge(json.loads(text)).trust is ALLOWS


@pytest.mark.parametrize("odd", [None, "", "{", "[]", 7, [], {"Statement": "x"}, {"Statement": [1]}])
def test_what_is_no_policy_is_undecided(odd: object) -> None:
    """A policy that cannot be read is undecided."""
    assert judge(odd).trust is UNDECIDED


def test_no_statement_allows_nobody() -> None:
    """An empty policy allows no one."""
    assert judge({}).trust is DENIES


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=20)
    | st.sampled_from(["*", "sts:AssumeRole", "Allow"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "Statement",
                    "Effect",
                    "Principal",
                    "Action",
                    "NotAction",
                    "Condition",
                    "Service",
                    "AWS",
                    "NotPrincipal",
                ]
            )
            | st.text(max_size=10),
            inner,
            max_size=5,
        )
    ),
    max_leaves=15,
)


@given(JSON)
def test_anything_is_judged(anything: object) -> None:
    """Total over JSON, and over it as a statement: a reading of one printable line comes out."""
    for document in (anything, {"Statement": anything}, {"Statement": [anything]}, json.dumps(anything)):
        reading = judge(document)
        assert isinstance(reading, Reading)
        assert reading.why.isprintable()


@given(st.sampled_from(list(FORMS.values())), st.sampled_from(list(FORMS.values())))
def test_another_allow_never_makes_it_worse(
    one: tuple[dict[str, Any], Trust], other: tuple[dict[str, Any], Trust]
) -> None:
    """Adding an Allow never turns a policy that allows into one that does not."""
    if judge(policy(one[0])).trust is ALLOWS:
        assert judge(policy(one[0], other[0])).trust is ALLOWS
