from __future__ import annotations

import argparse

import pytest

from hangar import console
from hangar.cloud.gcp.snapshots import Snapshot
from hangar.commands import snapshot
from hangar.errors import HangarError

DAILY = Snapshot("hangar-production-1", "2026-11-25T03:00:00.000-08:00", "READY", 100, 3 * 2**29, True)


@pytest.mark.parametrize(
    ("words", "means"),
    [
        ([], ("local", "list", "")),
        (["production"], ("production", "list", "")),
        (["production", "create"], ("production", "create", "")),
        (["create"], ("local", "create", "")),
        (["production", "delete", "x"], ("production", "delete", "x")),
    ],
)
def test_the_words_say_where_and_what(words: list[str], means: tuple[str, str, str]) -> None:
    assert snapshot.split(words, "local") == means


@pytest.mark.parametrize(
    "words", [["production", "delete"], ["production", "list", "x"], ["production", "prune"]]
)
def test_other_words_are_refused_with_the_right_ones(words: list[str]) -> None:
    with pytest.raises(HangarError) as refused:
        snapshot.split(words, "local")
    assert refused.value.resolution == "Say: ./provision.py snapshot production list, create, or delete NAME"


def test_a_local_machine_has_no_snapshots(repo: object) -> None:
    with pytest.raises(HangarError) as local:
        snapshot.run(
            argparse.Namespace(words=[], environment="local", overrides=[], json=False, break_lock=False)
        )
    assert (
        local.value.brief == "This needs a machine in a cloud, and hangar-local is none (cloud: container)."
    )


def test_they_are_shown_as_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    console.configure()
    snapshot.show([DAILY], as_json=False)
    assert capsys.readouterr().out.split("\n")[1].split() == [
        "hangar-production-1", "2026-11-25T03:00:00.000-08:00", "100", "GiB", "1.5", "GiB", "daily", "ready",
    ]  # fmt: skip
    snapshot.show([], as_json=False)
    assert capsys.readouterr().out == "There are no snapshots.\n"
