from dataclasses import replace

import pytest

from hangar.cloud.base import MachineSpec
from hangar.cloud.local.comparison import Observed, make_plan
from hangar.plan import Change

SPEC = MachineSpec(
    environment="local", name="hangar-local", cpus=2.0, memory_bytes=6 * 2**30, ssh_port=None, admin="hangar",
    public_key="ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIdefault hangar-local",
)  # fmt: skip
STANDS = Observed(
    exists=True, running=True, spec=replace(SPEC, ssh_port=32768), recipe="a" * 64, recipe_now="a" * 64
)


def only_change(spec: MachineSpec, observed: Observed) -> Change:
    (change,) = make_plan(spec, observed).changes
    return change


def test_nothing_there_is_created() -> None:
    change = only_change(SPEC, Observed(exists=False, running=False))
    assert change == Change("machine hangar-local", "create", "2 CPUs, 6 GiB memory")


def test_all_the_computer_has_is_called_all() -> None:
    spec = replace(SPEC, cpus=None, memory_bytes=None)
    assert only_change(spec, Observed(exists=False, running=False)).detail == "all CPUs, all memory"


def test_a_machine_that_fits_stays() -> None:
    plan = make_plan(SPEC, STANDS)
    assert plan.changes == (Change("machine hangar-local", "nothing", "2 CPUs, 6 GiB memory"),)
    assert not plan.has_changes
    assert plan.count == 0


def test_a_stopped_machine_is_started() -> None:
    change = only_change(SPEC, replace(STANDS, running=False))
    assert change == Change("machine hangar-local", "update", "start it")


def test_a_new_size_is_given_to_the_machine_that_runs() -> None:
    change = only_change(replace(SPEC, memory_bytes=8 * 2**30, cpus=1.5), STANDS)
    assert change.action == "update"
    assert change.fields == (("cpus", "2", "1.5"), ("memory", "6 GiB", "8 GiB"))


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        ({"ssh_port": 2222}, ("SSH port", "32768", "2222")),
        ({"admin": "boss"}, ("administrator", "hangar", "boss")),
        (
            {"public_key": "ssh-ed25519 AAAAother x"},
            ("administrator's key", "…NTE5AAAAIdefault", "…AAAAother"),
        ),
    ],
)
def test_what_a_machine_is_made_with_needs_a_new_one(
    wanted: dict[str, object], field: tuple[str, str, str]
) -> None:
    plan = make_plan(replace(SPEC, **wanted), STANDS)  # type: ignore[arg-type]
    assert plan.replaces
    assert plan.changes[0].fields == (field,)


def test_any_free_port_is_content_with_the_one_it_got() -> None:
    assert not make_plan(SPEC, STANDS).has_changes


def test_a_changed_recipe_needs_a_new_machine() -> None:
    change = only_change(SPEC, replace(STANDS, recipe_now="b" * 64))
    assert change.action == "replace"
    assert change.fields == (("base image", "a" * 12, "b" * 12),)


def test_a_cloud_without_recipes_never_replaces_for_one() -> None:
    assert not make_plan(SPEC, replace(STANDS, recipe=None)).has_changes
