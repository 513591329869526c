"""Every method of Google's APIs that Hangar calls has a scene in which it goes wrong; a sample of these."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from hangar import paths
from tests.gcp import methods
from tests.gcp.conftest import Environment
from tests.gcp.killing import PATIENCE, kill, start
from tests.gcp.scenes import SCENES, withstand
from tests.gcp.test_faults import settle
from tests.google.discovery import catalog

BEGIN = ("begin", "do")
"""The methods of Compute that take a method's name first; `call` of work.py takes it third."""

SAMPLE = (
    ("replace", "compute.instances.delete", "503-after"), ("replace", "compute.instances.insert", "reset-after"),
    ("restore", "compute.disks.insert", "503-after"), ("leave", "cloudresourcemanager.projects.setIamPolicy", "429"),
    ("secrets", "secretmanager.projects.secrets.setIamPolicy", "503-after"),
    ("watch no more", "monitoring.projects.alertPolicies.delete", "503-after"),
    ("break lock", "storage.objects.insert", "503-after"), ("exhausted", "compute.zones.list", "403"),
)  # fmt: skip


def begun_in_source() -> Iterator[tuple[str, str]]:
    """(place, method): every method of Compute that begins work and stands in the source by its name."""
    for path in sorted((paths.REPO / "hangar").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and (name := _begun(node)):
                first, *others = name.split("_")
                yield f"{path.name}:{node.lineno}", first + "".join(word.capitalize() for word in others)


def _begun(node: ast.Call) -> str | None:
    """Of begin("stop", …), partial(….begin, "stop", …) and call(api, "stop the machine", "stop", …)."""
    given, function = list(node.args), node.func
    if isinstance(function, ast.Attribute) and function.attr in BEGIN:
        place = 0
    elif isinstance(function, ast.Name) and function.id == "call":
        place = 2
    else:
        handed = (at for at, one in enumerate(given) if isinstance(one, ast.Attribute) and one.attr in BEGIN)
        place = next(handed, len(given)) + 1
    if len(given) <= place:
        return None
    found = given[place]
    return found.value if isinstance(found, ast.Constant) and isinstance(found.value, str) else None


def test_each_scene_disturbs_methods_that_google_has() -> None:
    assert set(catalog().by_id) >= methods.ALL
    assert {one for scene in SCENES.values() for one in scene.calls} | set(methods.UP) == methods.ALL
    assert methods.ALL.isdisjoint(methods.OF_THE_TESTS)


def test_whatever_the_source_begins_has_a_scene() -> None:
    begun = list(begun_in_source())
    assert {"insert", "setMachineType", "stop", "createSnapshot", "delete"} <= {name for _, name in begun}
    tried = {one.rpartition(".")[2] for one in methods.ALL}
    assert [(place, name) for place, name in begun if name not in tried] == []


@pytest.mark.parametrize(
    ("method", "kind"),
    [("compute.disks.insert", "delay-before"), ("compute.instances.insert", "delay-after")],
)
def test_a_sample_of_kills_is_taken_up_by_the_next_up(
    environment: Environment, method: str, kind: str
) -> None:
    """Whatever was made before the blow is found again, and made once."""
    kill(environment, kind, method=method)
    assert environment.google.table("objects") != {}, "the dead call's lock is there"
    assert start().wait(PATIENCE) == 0
    settle(environment)


@pytest.mark.parametrize(("name", "method", "kind"), SAMPLE)
def test_a_sample_of_what_goes_wrong_in_a_life(
    environment: Environment, name: str, method: str, kind: str
) -> None:
    withstand(environment, name, method, kind)
