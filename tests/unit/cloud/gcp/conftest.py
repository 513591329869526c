from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hangar.cloud.base import MachineSpec
from hangar.cloud.gcp.names import Names
from hangar.cloud.gcp.requests import Wanted
from hangar.config.gcp import Gcp

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGdOYXJlIGtleSBvZiB0aGUgb3BlcmF0b3I operator"


@pytest.fixture
def wanted() -> Callable[..., Wanted]:
    """What platform.yml wants of the environment production, with fields of its section `gcp` changed."""

    def make(**fields: Any) -> Wanted:
        gcp = Gcp.model_validate({"project": "acme-data-1", "zone": "europe-west6-a", **fields})
        spec = MachineSpec("production", "hangar-production", None, None, None, "hangar", KEY)
        return Wanted(Names("production", "acme-data-1", "europe-west6-a"), gcp, spec)

    return make
