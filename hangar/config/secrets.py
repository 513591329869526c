"""The section `secrets` of platform.yml: where the values come from that connections, alerts and pipelines name."""

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator

from hangar.config.fields import Section, all_wrong, empty_if_none, setting, wrong
from hangar.config.gcp import PROJECT

NAME = r"^[A-Za-z0-9_]{1,64}$"
"""Of a secret, as platform.yml and pipelines/*.yml name it."""

RESOURCE = re.compile(
    r"projects/(?P<project>[a-z][-a-z0-9]{4,28}[a-z0-9])/secrets/(?P<secret>[A-Za-z0-9_-]{1,255})"
    r"(/versions/(?P<version>[1-9][0-9]*|latest))?"
)
"""A secret of Secret Manager, or one version of it. (Regional secrets have another address and are none of these.)"""

RIGHT = "projects/PROJECT/secrets/SECRET, with /versions/NUMBER where one version is meant"


def _named(value: dict[str, str]) -> dict[str, str]:
    found = [
        ("is not a secret's name", name, "letters, digits and _")
        for name in value
        if not re.fullmatch(NAME, name)
    ]
    found += [
        (f'"{place}" is no secret of Secret Manager', name, RIGHT)
        for name, place in value.items()
        if not RESOURCE.fullmatch(place)
    ]
    if found:
        raise all_wrong(found)
    return value


Named = Annotated[dict[str, str], BeforeValidator(empty_if_none), AfterValidator(_named)]


class Secrets(Section):
    """Where the secrets come from that are named: in connections, variables and alerts, and in pipelines/*.yml."""

    source: Literal["machine", "secret_manager"] = setting(
        "machine",
        "machine = put there by hand and kept there; secret_manager = read from Google Secret Manager by the machine.",
        "machine or secret_manager",
    )
    project: str | None = setting(
        None, "The project whose Secret Manager has them; null means gcp.project.",
        "the id of a Google Cloud project, or null", pattern=PROJECT,
    )  # fmt: skip
    prefix: str | None = setting(
        None, "What stands before a name there; null means hangar-ENVIRONMENT-.",
        "letters, digits, _ and -, or null", pattern=r"^[A-Za-z0-9_-]{0,128}$",
    )  # fmt: skip
    named: Named = setting(
        {}, "Secrets that are called otherwise there, or of which one version is meant: name -> secret.",
        "lines such as erp: projects/acme-data-1/secrets/erp-reader",
    )  # fmt: skip
    minutes: int = setting(
        15, "After how many minutes the machine looks for new versions.", "a number from 5 to 1440",
        ge=5, le=1440,
    )  # fmt: skip


def check(value: Secrets, others: dict[str, Any]) -> Secrets:
    """Only a machine on Google Cloud has an identity that Google knows."""
    if value.source == "secret_manager" and others.get("cloud") not in ("gcp", None):
        raise wrong(
            f"secret_manager means nothing with cloud: {others['cloud']} (the machine has no account at Google, "
            "and a key file there would be one more secret)",
            "source", "machine",
        )  # fmt: skip
    return value
