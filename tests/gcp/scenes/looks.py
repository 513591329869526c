"""What only looks, and hints beside another failure, which stays the one that is told."""

from __future__ import annotations

import pytest

from hangar.backup.bucket import Bucket
from hangar.checks import google as doctor
from hangar.cloud.gcp import host_keys
from hangar.errors import CloudError, HangarError
from tests.gcp import test_doctor
from tests.gcp.conftest import ZONE, Environment
from tests.gcp.test_host_keys import NAME


def find_nothing_left(environment: Environment) -> None:
    environment.google.exhaust(ZONE)
    try:
        with pytest.raises(CloudError) as out:
            environment.up()
    finally:
        environment.google.exhaust()
    assert "ZONE_RESOURCE_POOL_EXHAUSTED" in out.value.details


def hear_nothing(environment: Environment) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(host_keys, "LIMIT", 0.0)
        patch.setattr(host_keys, "_read", lambda api, wanted: ())
        with pytest.raises(CloudError) as silent:
            environment.up()
    assert silent.value.brief.startswith(f"{NAME} told no SSH host key of the kind ssh-ed25519 within")


def pin(environment: Environment) -> None:
    environment.overrides = ("gcp.image=debian-13-trixie-v20261110",)


def examine(environment: Environment) -> None:
    ill = [one for one in doctor.look(environment.settings(*environment.overrides)) if one.state != "ok"]
    if ill:
        raise HangarError(str(ill))


def lock_disks(environment: Environment) -> None:
    environment.overrides = (f"gcp.kms_key={test_doctor.make_key(environment)}",)
    environment.up()


def keep_backups(environment: Environment) -> None:
    environment.up()
    environment.overrides = ("backup.gcs.bucket=acme-backups", "backup.gcs.folder=hangar/production")
    rest = environment.cloud().api.rest
    rest.call("POST", "storage", "b", {"name": "acme-backups"}, {"project": environment.google.project})
    asked = {"uploadType": "media", "name": "hangar/production/20261101T031500Z.json"}
    rest.call("POST", "upload", "b/acme-backups/o", content=b"{}", params=asked)


def read_backups(environment: Environment) -> None:
    there = Bucket(environment.settings(*environment.overrides))
    assert there.sizes() == {"20261101T031500Z.json": 2}
    assert there.indexes(there.sizes()) == []  # such an index is torn
