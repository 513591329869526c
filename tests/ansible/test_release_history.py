"""Releases one after another: which are kept, the way back, what `up` brings, and what a killed one leaves."""

from __future__ import annotations

import json
from typing import Any

from tests.ansible.releases import Machine
from tests.ansible.releases import machine as machine


def test_the_last_releases_are_kept_and_the_current_one_whatever_its_age(machine: Machine) -> None:
    ids = [machine.deploy(one=f"dag one\n# {number}\n")[1]["id"] for number in range(3)]
    assert machine.run("rollback", "--to", ids[0])[0] == 0
    ids += [machine.deploy(one=f"dag one\n# {number}\n")[1]["id"] for number in range(3, 5)]
    assert len(machine.kept) == 3
    assert machine.current == {"one.py": "dag one\n# 4\n"}
    assert set(machine.kept) <= set(ids)


def test_the_release_to_go_back_to_is_never_removed(machine: Machine) -> None:
    """An afternoon of attempts, each of which is gone back from: the one that runs every night is the oldest."""
    good = machine.deploy(one="dag one\n")[1]["id"]
    for number in range(4):
        attempt = machine.deploy(one=f"dag one\n# attempt {number}\n")[1]["id"]
        assert machine.run("rollback")[1] == {"from": attempt, "to": good, "dags": {"one": "one.py"}}
        assert machine.current == {"one.py": "dag one\n"}
    # What was left makes room all the same: three, and the good one.
    assert len(machine.kept) == 4
    last = machine.deploy(one="dag one\n# at last\n")[1]["id"]
    newest = machine.deploy(one="dag one\n# and one more\n")[1]["id"]
    assert machine.run("rollback")[1]["to"] == last
    assert newest in machine.kept


def test_one_goes_back_to_what_was_read_before_and_not_to_what_was_passed_over(machine: Machine) -> None:
    ids = [machine.deploy(one=f"dag one\n# {number}\n")[1]["id"] for number in range(3)]
    machine.run("rollback", "--to", ids[0])
    machine.deploy(one="dag one\n# 3\n")
    assert machine.run("rollback")[1]["to"] == ids[0]


def test_releases_of_an_earlier_version_can_be_gone_back_to(machine: Machine) -> None:
    ids = [machine.deploy(one=f"dag one\n# {number}\n")[1]["id"] for number in range(3)]
    for id in ids:  # which did not say what was read before
        place = machine.released / id / "release.json"
        about = json.loads(place.read_text())
        del about["before"]
        place.write_text(json.dumps(about))
    assert [machine.run("rollback")[1]["to"] for _ in range(2)] == [ids[1], ids[0]]


def test_a_rollback_goes_back_one_release_at_a_time_and_can_be_undone(machine: Machine) -> None:
    first, second, third = (machine.deploy(one=f"dag one\n# {number}\n")[1]["id"] for number in range(3))
    assert machine.run("rollback")[1] == {"from": third, "to": second, "dags": {"one": "one.py"}}
    assert machine.run("rollback")[1]["to"] == first
    assert machine.current == {"one.py": "dag one\n# 0\n"}
    assert [one["left"] for one in machine.run("list")[1]["releases"]] == [True, True, False]
    assert machine.run("rollback", "--to", third)[0] == 0
    assert machine.current == {"one.py": "dag one\n# 2\n"}
    # The second was left for a reason.
    assert machine.run("rollback")[1]["to"] == first


def test_there_may_be_nothing_to_go_back_to(machine: Machine) -> None:
    machine.deploy(one="dag one\n")
    code, answer, _ = machine.run("rollback")
    assert (code, answer["error"]) == (1, "there is no release before the current one")
    code, answer, _ = machine.run("rollback", "--to", "00009-00000000")
    assert (code, answer["error"]) == (1, "there is no release 00009-00000000")


def offer(machine: Machine) -> Any:
    code, answer, said = machine.run("offer")
    assert code == 0, said
    return answer["released"]


def test_up_releases_what_is_new_and_once(machine: Machine) -> None:
    machine.bring(one="dag one\n")
    assert machine.run("offer", "look")[1] == {"news": True}
    assert offer(machine)["by"] == "up"
    assert machine.run("offer", "look")[1] == {"news": False}
    assert offer(machine) is None
    machine.bring(one="dag one\n# changed\n")
    assert machine.run("offer", "look")[1] == {"news": True}
    assert offer(machine)["dags"] == {"one": "one.py"}


def test_up_leaves_a_deployment_and_a_rollback_as_they_are(machine: Machine) -> None:
    machine.bring(one="dag one\n")
    offer(machine)
    machine.deploy(one="dag one\n# deployed\n")
    assert offer(machine) is None
    assert machine.current == {"one.py": "dag one\n# deployed\n"}
    machine.bring(one="dag one\n# broken at night\n")
    newest = offer(machine)["id"]
    assert machine.run("rollback")[1]["from"] == newest
    (machine.released / ".offered").unlink()  # another controller, or a killed `up`
    assert offer(machine) is None
    assert machine.current != {"one.py": "dag one\n# broken at night\n"}


def test_up_may_bring_no_dag_at_all(machine: Machine) -> None:
    assert offer(machine)["dags"] == {}
    assert machine.current == {}
    assert (machine.released / "current").is_dir()


def test_what_stood_there_before_releases_were_made_is_removed(machine: Machine) -> None:
    (machine.released / "city_temperatures").mkdir()
    (machine.released / "city_temperatures/dag.py").write_text("dag old\n")
    machine.bring(one="dag one\n")
    offer(machine)
    assert sorted(path.name for path in machine.released.iterdir() if path.name[0] not in ".0") == ["current"]


def test_what_a_killed_release_left_is_removed_and_never_counts(machine: Machine) -> None:
    (machine.released / "00000-00000000/dags").mkdir(parents=True)
    (machine.released / ".staged-1/dags").mkdir(parents=True)
    machine.deploy(one="broken\n")
    assert list(machine.released.glob(".staged-*")) == []
    machine.deploy(one="dag one\n")
    assert machine.current == {"one.py": "dag one\n"}
    assert len(machine.kept) == 1


def test_one_release_at_a_time(machine: Machine) -> None:
    import fcntl

    with (machine.released / ".lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        code, answer, _ = machine.deploy(one="dag one\n")
    assert (code, answer["error"]) == (1, "another release is at work; wait for it")
