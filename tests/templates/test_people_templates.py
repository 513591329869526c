"""What the role people takes where its options are given by hand, without platform.yml, and what it writes of them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.templates.render import render, value

ANA = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINdWUdEcqxzbB1S6s/aEw7p+mJOV0jNf3psGIn12u6RE ana@laptop"
RSA = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAB{}"
BAD_KEY = "ana has a key that the server does not accept, or none"


def person(**more: Any) -> dict[str, Any]:
    return {"name": "ana", "role": "developer", "keys": [ANA], **more}


def refused(*people: dict[str, Any]) -> list[str]:
    return list(value("people", "__people_refused", people_accounts=list(people)))


@pytest.mark.parametrize(
    "right",
    [
        person(),
        person(expires="2027-03-31"),
        person(keys=[RSA.format("g" * 512), "sk-ssh-ed25519@openssh.com AAAAGnNrLXNzaC1l ana's key"]),
    ],
)
def test_who_is_described_rightly_is_taken(right: dict[str, Any]) -> None:
    assert refused(right) == []


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (person(name="Ana"), "Ana is no account name"),
        (person(name="ana;id"), "ana;id is no account name"),
        (person(keys=[]), BAD_KEY),
        (person(keys=[RSA.format("g" * 344)]), BAD_KEY),
        (person(keys=["ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTY"]), BAD_KEY),
        (person(keys=[f'command="id" {ANA}']), BAD_KEY),
        (person(keys=[f"{ANA}\n{ANA}"]), BAD_KEY),
        (person(keys=["-----BEGIN OPENSSH PRIVATE " + "KEY-----\nb3BlbnNzaC1rZXktdjEAAAAA"]), BAD_KEY),
        (person(expires="tomorrow"), "ana has a day that is no date"),
    ],
)
def test_what_cannot_be_is_refused_and_no_key_repeated(wrong: dict[str, Any], said: str) -> None:
    assert refused(wrong) == [said]


def test_one_name_is_one_person() -> None:
    assert refused(person(), person(role="viewer")) == ["ana is there twice"]


def test_the_description_has_all_of_them_and_nothing_but_them() -> None:
    text = render(
        "people", "/etc/hangar/people.json",
        people_accounts=[person(keys=[f" {ANA} "], expires="2027-03-31", airflow="Op")],
        people_other_accounts=["hangar"],
    )  # fmt: skip
    assert json.loads(text) == {
        "others": ["hangar"],
        "people": [
            {
                "name": "ana",
                "role": "developer",
                "keys": [ANA],
                "expires": "2027-03-31",
                "email": "",
                "airflow": "Op",
            }
        ],
    }
