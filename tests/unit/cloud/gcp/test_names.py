from __future__ import annotations

import re

import pytest

from hangar.cloud.gcp.names import Names


@pytest.mark.parametrize("environment", ["a", "production", "a" * 30, "with-many-parts-in-its-name-ab"])
def test_every_name_is_one_that_google_takes(environment: str) -> None:
    names = Names(environment, "p" * 30, "europe-west6-a")
    resource = r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?"
    for name in (
        names.machine,
        names.data_disk,
        names.boot_disk,
        names.policy,
        *names.firewalls,
        names.bucket,
    ):
        assert re.fullmatch(resource, name), name
    assert re.fullmatch(r"[a-z]([-a-z0-9]{4,28}[a-z0-9])", names.account), names.account


def test_long_names_of_accounts_stay_apart() -> None:
    long = [Names(f"{'a' * 28}-{end}", "p", "europe-west6-a").account for end in "xy"]
    assert long[0] != long[1]
    assert Names("production", "p", "europe-west6-a").account == "hangar-production"
