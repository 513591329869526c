"""The machine's identity: from whom it is learned, and what is said when it cannot be."""

from __future__ import annotations

import time

import pytest

from hangar.cloud.gcp import host_keys
from hangar.errors import CloudError
from tests.gcp.conftest import ZONE, Environment

NAME = "hangar-production"


def metadata(environment: Environment) -> dict[str, str]:
    return {one["key"]: one["value"] for one in environment.instance["metadata"]["items"]}


def edit(environment: Environment, **values: str) -> None:
    path = f"projects/{environment.google.project}/zones/{ZONE}/instances/{NAME}"
    items = [{"key": key, "value": value} for key, value in {**metadata(environment), **values}.items()]
    environment.google.edit(path, metadata={**environment.instance["metadata"], "items": items})


def test_a_machine_made_anew_has_new_keys_and_the_old_ones_do_not_count(environment: Environment) -> None:
    environment.up()
    before = environment.cloud().server()
    environment.up("gcp.boot_disk_type=pd-ssd")
    after = environment.cloud("gcp.boot_disk_type=pd-ssd").server()
    assert before is not None
    assert after is not None
    assert before.id != after.id
    assert set(before.host_keys).isdisjoint(after.host_keys)


def test_keys_that_were_lost_are_not_learned_from_a_door_that_is_closed(environment: Environment) -> None:
    environment.up()
    edit(environment, **{"hangar-host-keys": "{}"})
    assert environment.cloud().server() is None
    with pytest.raises(CloudError) as silent:
        environment.up()
    assert silent.value.brief == "The host keys of hangar-production are not known, and it may not tell them."
    # Google's agent writes them when a machine has another id than before: at its first start.
    assert "then restart" not in silent.value.resolution
    assert (
        "--metadata enable-guest-attributes=TRUE, then ./provision.py up production\n"
        in silent.value.resolution
    )
    assert silent.value.resolution.endswith(
        "./provision.py destroy production, then ./provision.py up production"
    )
    edit(environment, **{"enable-guest-attributes": "TRUE"})
    environment.up()
    assert environment.cloud().server() is not None
    assert metadata(environment)["enable-guest-attributes"] == "FALSE"


@pytest.mark.parametrize("value", ["TRUE", "1", "y"])
def test_a_door_that_somebody_opened_again_is_closed(environment: Environment, value: str) -> None:
    environment.up()
    edit(environment, **{"enable-guest-attributes": value})
    plan = environment.plan()
    assert plan.drift == ("machine hangar-production: guest attributes: closed → open",)
    environment.up()
    assert metadata(environment)["enable-guest-attributes"] == "FALSE"
    assert not environment.plan().has_changes


def test_a_look_that_is_too_often_is_no_refusal(
    environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Google's client would ask again for a minute and a half; the next look comes anyway"""
    paused: list[float] = []
    monkeypatch.setattr(host_keys, "LATER", 0.2)
    fault = environment.google.fault("compute.instances.getGuestAttributes", "429")
    cloud = environment.cloud()
    cloud.api.sleep = lambda seconds: (paused.append(seconds), time.sleep(seconds))[0]
    cloud.ensure(cloud.plan(environment.spec()), environment.spec(), lambda _: None)
    assert environment.google.fired(fault) == 1
    assert 0.2 in paused
    assert cloud.server() is not None


def test_an_organisation_that_forbids_guest_attributes_is_named(environment: Environment) -> None:
    environment.google.violate(
        "constraints/compute.disableGuestAttributesAccess", "compute.instances.getGuestAttributes",
        "Guest attributes endpoint access is disabled.",
    )  # fmt: skip
    with pytest.raises(CloudError) as forbidden:
        environment.up()
    assert forbidden.value.brief == "hangar-production may not tell its SSH host keys."
    assert "compute.disableGuestAttributesAccess" in forbidden.value.resolution
    assert "  machine hangar-production" in forbidden.value.details
    assert forbidden.value.resolution.endswith("or remove it: ./provision.py destroy production --with-data")


def test_a_machine_that_tells_no_keys_shows_its_console(
    environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host_keys, "LIMIT", 0.0)
    monkeypatch.setattr(host_keys, "_read", lambda api, wanted: ())
    with pytest.raises(CloudError) as silent:
        environment.up()
    assert silent.value.brief.startswith(
        "hangar-production told no SSH host key of the kind ssh-ed25519 within"
    )
    assert "hangar-production login:" in silent.value.details
