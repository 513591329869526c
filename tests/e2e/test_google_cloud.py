"""`up production` on a stand-in for Google Cloud: from an empty project to nothing left, through the tunnel.

The machine has Airflow alone, to be quick; tests/matrix/test_google_cloud.py has everything.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from bench.cloud import TO_SSH
from tests.e2e.conftest import Checkout
from tests.e2e.on_google import (
    NAME,
    environment,
    finished,
    require_another_type,
    require_nothing_left,
    require_nothing_to_do,
    require_proven,
    up,
)
from tests.google.client import Google
from tests.google.fixture import google_machines
from tests.pace import allowed

__all__ = ["google_machines"]

SMALL = {"airbyte": {"enabled": False}, "warehouse": {"enabled": False}}
ROOM = 3
"""How many times as slow as a quiet machine this one may be."""


@pytest.fixture(scope="module")
def production(google_machines: Google, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    with environment(google_machines, tmp_path_factory.mktemp("clone") / "hangar", **SMALL) as place:
        yield place


def test_a_whole_life_on_google_cloud(production: Checkout, google_machines: Google) -> None:
    # Created, configured and proven by one command, through the tunnel alone.
    done, ended = up(production)
    assert len(require_proven(production, done)) > 60
    assert ended["Connection"] - finished(production) < allowed(ROOM * TO_SSH)
    (link,) = google_machines.resources("instances")[NAME]["networkInterfaces"]
    assert "accessConfigs" not in link
    require_nothing_to_do(production)

    require_another_type(production, google_machines)

    production.hangar("snapshot", "create")
    assert len(json.loads(production.hangar("snapshot", "list", "--json").stdout)) == 2

    # The data goes only where the environment's name is typed.
    assert production.hangar("destroy", "--yes", "--with-data", check=False).returncode == 1
    assert NAME in google_machines.resources("instances")
    production.hangar("destroy", "--yes", "--with-data", "--confirm", "production")
    require_nothing_left(production, google_machines)
    assert google_machines.violations() == []
