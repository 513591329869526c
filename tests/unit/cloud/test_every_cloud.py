"""What every place that a machine can come from has: whoever adds one is told here what it lacks."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest

from hangar.cloud import cloud_for
from hangar.cloud.base import Cloud
from hangar.commands import init
from hangar.config import Config
from hangar.config.models import Settings
from hangar.report import words

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINdWUdEcqxzbB1S6s/aEw7p+mJOV0jNf3psGIn12u6RE"
CLOUDS = get_args(Settings.model_fields["cloud"].annotation)
NEEDS = {
    "gcp": ("gcp.project=acme-data-1", "gcp.zone=europe-west6-a"),
    "existing": (
        "existing.address=203.0.113.7", "existing.user=debian", f"existing.host_key={KEY}", "access.private_key=id",
    ),
}  # fmt: skip
"""What platform.yml has to say beside the cloud's name."""
PROTOCOL = [name for name, value in vars(Cloud).items() if callable(value) and not name.startswith("_")]


@pytest.mark.parametrize("name", CLOUDS)
def test_its_driver_speaks_the_whole_protocol(
    name: str, repo: Path, make_config: Callable[..., Config]
) -> None:
    assert len(PROTOCOL) == 8
    (repo / "inventory/local/id").touch()
    driver = cloud_for(make_config(f"cloud={name}", *NEEDS.get(name, ())))
    assert [method for method in PROTOCOL if not callable(getattr(driver, method, None))] == []


def test_each_has_a_driver_of_its_own(repo: Path, make_config: Callable[..., Config]) -> None:
    (repo / "inventory/local/id").touch()
    drivers = {type(cloud_for(make_config(f"cloud={name}", *NEEDS.get(name, ())))) for name in CLOUDS}
    assert len(drivers) == len(CLOUDS)


def test_init_offers_it() -> None:
    parser = argparse.ArgumentParser()
    init.add_arguments(parser)
    offered = {tuple(action.choices) for action in parser._actions if action.choices}
    assert offered == {CLOUDS}


def test_the_report_has_words_for_it() -> None:
    assert set(words.KINDS) == set(CLOUDS)
