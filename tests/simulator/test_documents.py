"""The documents, letter by letter: only the secrets are left out."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

from rolewatch.simulator import Simulator
from rolewatch.simulator.conditions import HEALTHY, Association, Listing
from simulator.client import Client, Clock

ROLES = "meta-data/iam/security-credentials/"
PAGE = (
    "https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_iam-ec2.html#troubleshoot_iam-ec2_errors-info-doc."
)

INFO = """\
{
  "Code" : "Success",
  "LastUpdated" : "2026-03-01T11:39:28Z",
  "InstanceProfileArn" : "arn:aws:iam::111122223333:instance-profile/web-server",
  "InstanceProfileId" : "AIPA…"
}"""
NOT_FOUND = f"""\
{{
  "Code" : "InstanceProfileNotFound",
  "Message" : "Instance Profile with Id AIPA… cannot be found.  Please see documentation at {PAGE}",
  "LastUpdated" : "2026-03-01T11:39:28Z"
}}"""
WITHOUT_ROLE = f"""\
{{
  "Code" : "Success",
  "Message" : "Instance Profile does not contain a role.  Please see documentation at {PAGE}",
  "LastUpdated" : "2026-03-01T11:39:28Z",
  "InstanceProfileArn" : "arn:aws:iam::111122223333:instance-profile/web-server",
  "InstanceProfileId" : "AIPA…"
}}"""
CREDENTIALS = """\
{
  "Code" : "Success",
  "LastUpdated" : "2026-03-01T11:40:00Z",
  "Type" : "AWS-HMAC",
  "AccessKeyId" : "ASIA…",
  "SecretAccessKey" : "…",
  "Token" : "…",
  "Expiration" : "2026-03-01T17:42:00Z"
}"""
CANNOT_ASSUME = f"""\
{{
  "Code" : "AssumeRoleUnauthorizedAccess",
  "Message" : "EC2 cannot assume the role web-server.  Please see documentation at {PAGE}",
  "LastUpdated" : "2026-03-01T11:40:00Z"
}}"""
IDENTITY = """\
{
  "accountId" : "111122223333",
  "architecture" : "x86_64",
  "availabilityZone" : "eu-west-1a",
  "billingProducts" : null,
  "devpayProductCodes" : null,
  "marketplaceProductCodes" : null,
  "imageId" : "ami-0123456789abcdef0",
  "instanceId" : "i-0123456789abcdef0",
  "instanceType" : "t3.micro",
  "kernelId" : null,
  "pendingTime" : "2026-02-26T12:00:00Z",
  "privateIp" : "10.0.1.17",
  "ramdiskId" : null,
  "region" : "eu-west-1",
  "version" : "2017-09-30"
}"""


def text(client: Client, path: str) -> str:
    """Return a document, its made-up ids and secrets left out."""
    answer = client.get(path)
    assert answer.status == 200
    hidden = re.sub(r"\b(AIPA|ASIA)[A-Z0-9]{16,17}\b", r"\1…", answer.body.decode())
    return re.sub(r'("(?:SecretAccessKey|Token)" : )"[^"]+"', r'\1"…"', hidden)


def loaded(client: Client, path: str) -> dict[str, str]:
    """Return a document as a dictionary."""
    document: dict[str, str] = json.loads(client.get(path).body)
    return document


@pytest.mark.parametrize(
    ("scenario", "path", "expected"),
    [
        ("healthy", "meta-data/iam/info", INFO),
        ("healthy", ROLES + "web-server", CREDENTIALS.replace("17:42:00", "17:53:00")),
        ("healthy", "dynamic/instance-identity/document", IDENTITY),
        ("instance_profile_not_found", "meta-data/iam/info", NOT_FOUND),
        ("instance_profile_without_role", "meta-data/iam/info", WITHOUT_ROLE),
        ("assume_role_unauthorized", "meta-data/iam/info", INFO),
        ("assume_role_unauthorized", ROLES + "web-server", CANNOT_ASSUME),
        (
            "rotation_overdue",
            ROLES + "web-server",
            CREDENTIALS.replace("11:40:00", "08:00:00").replace("17:42:00", "14:02:00"),
        ),
        (
            "credentials_expired",
            ROLES + "web-server",
            CREDENTIALS.replace("11:40:00", "04:58:00").replace("17:42:00", "11:00:00"),
        ),
    ],
)
def test_a_document_is_as_recorded(
    client: Client, simulator: Simulator, scenario: str, path: str, expected: str
) -> None:
    """Two blanks of indent, a blank before the colon, no newline at the end, AWS's own words."""
    simulator.switch(scenario)

    assert text(client, path) == expected


def test_a_credentials_document_has_the_recorded_size(client: Client) -> None:
    """1322 to 1610 bytes were seen."""
    assert 1322 <= len(client.get(ROLES + "web-server").body) <= 1610


def test_secrets_have_the_shape_of_secrets(client: Client) -> None:
    """`ASIA` and 16 characters, 40 characters, and many."""
    document = loaded(client, ROLES + "web-server")

    assert re.fullmatch(r"ASIAFAKE[A-Z2-7]{12}", document["AccessKeyId"])
    assert re.fullmatch(r"fake/[A-Za-z0-9+/]{35}", document["SecretAccessKey"])
    assert re.fullmatch(r"IQoJb3JpZ2luX2VjFAKE[A-Za-z0-9+/=]{800,}", document["Token"])


def test_a_rotation_changes_every_secret(client: Client, simulator: Simulator) -> None:
    """Two requests for one set get the same document."""
    first, again = loaded(client, ROLES + "web-server"), loaded(client, ROLES + "web-server")
    simulator.rotate()
    second = loaded(client, ROLES + "web-server")

    assert first == again
    assert all(first[field] != second[field] for field in ("AccessKeyId", "SecretAccessKey", "Token", "LastUpdated"))


def test_the_same_seed_makes_the_same_secrets(client: Client, clock: Clock) -> None:
    """A failing test can be run again; another seed makes others."""
    documents = [loaded(client, ROLES + "web-server")]
    for seed in ("rolewatch", "another"):
        with Simulator(now=clock, seed=seed) as simulator:
            other = Client(simulator.endpoint)
            other.renew()
            documents.append(loaded(other, ROLES + "web-server"))

    assert documents[0] == documents[1]
    assert documents[0]["AccessKeyId"] != documents[2]["AccessKeyId"]


def test_credentials_expire_after_they_were_issued(client: Client, simulator: Simulator) -> None:
    """By default and after a year: not so with a mock whose defaults expired in 2020, before they were issued."""
    document = loaded(client, ROLES + "web-server")

    assert document["LastUpdated"] < "2026-03-01T12:00:00Z" < document["Expiration"]
    assert simulator.scenario == "healthy"


def test_every_secret_served_is_known_to_the_tests(client: Client, simulator: Simulator) -> None:
    """The canaries: the three of each set, of the instance's own identity and of the containers, and session tokens."""
    simulator.switch("container_roles")
    namespace = next(name for name in client.get("meta-data/").body.decode().split("\n") if name.startswith("iam-ecs-"))
    paths = (
        ROLES + "web-server",
        "meta-data/identity-credentials/ec2/security-credentials/ec2-instance",
        f"meta-data/{namespace}security-credentials/shop-task-role",
    )
    documents = [loaded(client, path) for path in paths]
    served = {document[key] for document in documents for key in ("AccessKeyId", "SecretAccessKey", "Token")}

    assert served | {client.token} <= simulator.secrets
    assert len(served) == 9


def test_no_profile_leaves_no_iam_subtree(client: Client, simulator: Simulator) -> None:
    """Not in the listing either; the instance's own identity stays."""
    simulator.switch("instance_profile_detached")
    listing = client.get("meta-data/").body.decode().split("\n")
    paths = ("meta-data/iam/", "meta-data/iam/info", ROLES, ROLES + "web-server")

    assert ("iam/" in listing, "identity-credentials/" in listing) == (False, True)
    assert [client.get(path).status for path in paths] == [404] * 4


def test_the_account_is_served_even_without_a_role(client: Client, simulator: Simulator) -> None:
    """`identity-credentials/ec2/info` is there on every instance."""
    simulator.switch("instance_profile_detached")

    assert loaded(client, "meta-data/identity-credentials/ec2/info")["AccountId"] == "111122223333"


@pytest.mark.parametrize(
    ("scenario", "status", "body"),
    [
        ("instance_profile_without_role", 404, None),
        ("instance_profile_without_role_empty_listing", 200, b""),
        ("instance_profile_without_role_early", 200, b"web-server"),
        ("instance_profile_not_found", 404, None),
        ("instance_profile_not_found_early", 200, b"web-server"),
        ("credentials_missing", 200, b"web-server"),
        ("credentials_missing_no_listing", 404, None),
        ("assume_role_unauthorized", 200, b"web-server"),
        ("two_roles", 200, b"web-server\nweb-server-2"),
        ("trailing_newline", 200, b"web-server\n"),
        ("role_swapped", 200, b"web-server-v2"),
    ],
)
def test_the_listing_is_what_the_scenario_says(
    client: Client, simulator: Simulator, scenario: str, status: int, body: bytes | None
) -> None:
    """404, empty, or names."""
    simulator.switch(scenario)
    answer = client.get(ROLES)

    assert answer.status == status
    assert body is None or answer.body == body


def test_a_swapped_roles_old_path_is_gone(client: Client, simulator: Simulator) -> None:
    """Who remembers the role's name sees 404; its new path is served."""
    simulator.switch("role_swapped")

    assert [client.get(ROLES + role).status for role in ("web-server", "web-server-v2")] == [404, 200]


def test_lower_case_keys_are_all_in_lower_case(client: Client, simulator: Simulator) -> None:
    """The values stay."""
    simulator.switch("lower_case_keys")
    document = loaded(client, ROLES + "web-server")

    assert all(key == key.lower() for key in document)
    assert document["code"] == "Success"


def test_compact_json_is_on_one_line(client: Client, simulator: Simulator) -> None:
    """And its keys are in another order."""
    simulator.switch("compact_json")

    assert client.get("meta-data/iam/info").body.startswith(b'{"Code":"Success","InstanceProfileArn":"arn:')


def test_fields_can_be_lacking_or_blank(client: Client, simulator: Simulator) -> None:
    """A document that says Success and is none."""
    simulator.switch("credentials_incomplete")
    lacking = loaded(client, ROLES + "web-server")
    simulator.switch("credentials_blank")
    blank = loaded(client, ROLES + "web-server")
    simulator.switch("without_code")

    assert "SecretAccessKey" not in lacking
    assert blank["Token"] == ""
    assert "Code" not in loaded(client, ROLES + "web-server")


def test_the_names_can_be_chosen(clock: Clock) -> None:
    """Role and profile of the healthy instance are renamed in every scenario that does not speak of them."""
    with Simulator(now=clock, role="db", instance_profile="db-profile") as simulator:
        client = Client(simulator.endpoint)
        client.renew()
        healthy = loaded(client, "meta-data/iam/info")["InstanceProfileArn"], client.get(ROLES).body
        simulator.switch("role_swapped")

        assert healthy == ("arn:aws:iam::111122223333:instance-profile/db-profile", b"db")
        assert client.get(ROLES).body == b"web-server-v2"


def test_the_instance_is_not_started_anew_by_a_switch(client: Client, simulator: Simulator, clock: Clock) -> None:
    """`pendingTime` changes only where a scenario is about it."""
    clock.move(minutes=7)
    seen = []
    for name in ("credentials_expired", "starting", "healthy"):
        simulator.switch(name)
        client.renew()
        seen.append(loaded(client, "dynamic/instance-identity/document")["pendingTime"])

    assert seen == ["2026-02-26T12:00:00Z", "2026-03-01T12:06:30Z", "2026-02-26T12:00:00Z"]


def test_two_clocks_can_differ(client: Client, simulator: Simulator) -> None:
    """`Date`, tokens and documents are of IMDS's clock, which is a day ahead here."""
    simulator.switch("clock_a_day_behind")
    answer = client.get(ROLES + "web-server")

    assert answer.headers["Date"] == "Mon, 02 Mar 2026 12:00:00 GMT"
    assert json.loads(answer.body)["Expiration"] == "2026-03-02T11:00:00Z"


def test_conditions_of_ones_own_can_be_entered(client: Client, simulator: Simulator) -> None:
    """What no scenario has."""
    simulator.enter(replace(HEALTHY, association=Association.WITHOUT_ROLE, listing=Listing.EMPTY, role="other"))

    assert (simulator.scenario, client.get(ROLES).body) == ("custom", b"")
