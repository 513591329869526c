"""What an upgrade would change, and what speaks against it, from what a machine said and what a checkout brings."""

from dataclasses import replace

import pytest

from hangar.upgrade import planning
from hangar.upgrade.records import Cut, Item, Lock, Plan, Service
from tests.unit.upgrade.facts import (
    AIRFLOW,
    FACTS,
    INSTALLED,
    SERVICE,
    WANTED,
    groups,
    with_airflow,
    with_lock,
)


def test_a_machine_that_is_as_this_checkout_has_it_needs_nothing() -> None:
    found = planning.plan(FACTS, WANTED)
    assert found == Plan(made_from="aaaaaaaaaaaa")
    assert not found.has_changes
    assert not found.needs_drain


def test_a_newer_airflow_is_told_with_its_migration() -> None:
    wanted = with_lock(AIRFLOW.replace("3.3.2", "3.4.0").replace("6.2.0", "6.3.0"))
    found = planning.plan(FACTS, wanted)
    group = groups(found)["airflow"]
    assert group.items == (
        Item("apache-airflow", "3.3.2", "3.4.0"), Item("apache-airflow-providers-airbyte", "6.2.0", "6.3.0"),
    )  # fmt: skip
    assert (group.title, group.effect) == (
        "Airflow's image, /opt/airflow/venv",
        "containers stop and are made anew",
    )
    assert group.chief == ("apache-airflow", "apache-airflow-providers-airbyte")
    assert found.warnings == (
        "Airflow's database is migrated for 3.4.0 (read its release notes first: more than a patch lies between them)",
    )
    assert found.refusals == ()


def test_a_patch_asks_nobody_to_read_release_notes() -> None:
    found = planning.plan(FACTS, with_lock(AIRFLOW.replace("3.3.2", "3.3.3")))
    assert found.warnings == ("Airflow's database is migrated for 3.3.3",)


def test_another_major_version_says_what_it_means_for_dags() -> None:
    found = planning.plan(FACTS, with_lock(AIRFLOW.replace("3.3.2", "4.0.0")))
    assert found.warnings[-1] == "4.0.0 is another major version than 3.3.2: DAGs may have to be written anew"


def test_airflow_does_not_go_back() -> None:
    found = planning.plan(FACTS, with_lock(AIRFLOW.replace("3.3.2", "3.3.1")))
    assert [one.text for one in found.refusals] == [
        "Airflow would go back from 3.3.2 to 3.3.1, and its database knows no way back"
    ]


def test_what_is_new_or_gone_in_an_image() -> None:
    found = planning.plan(FACTS, with_lock(AIRFLOW.replace("httpx==0.28.1", "httpy==1.0")))
    assert groups(found)["airflow"].items == (Item("httpx", "0.28.1", ""), Item("httpy", "", "1.0"))


def test_an_image_without_debians_fixes_and_containers_that_wait() -> None:
    found = planning.plan(with_airflow(outdated=True), WANTED)
    assert groups(found)["images"].title == "Airflow's image: Debian's security updates"
    assert found.needs_drain
    found = planning.plan(with_airflow(waiting=True), WANTED)
    assert groups(found)["images"].title == "Airflow's image: containers that wait"


def test_another_debian_brings_another_python() -> None:
    found = planning.plan(with_airflow(suite="bookworm", python="3.11.2"), WANTED)
    assert groups(found)["airflow"].items == (Item("Debian release", "bookworm", "trixie"),)
    assert found.warnings == ("the Python of Airflow's image changes with Debian's release (now 3.11.2)",)


def test_containers_that_do_not_answer_are_no_upgrade() -> None:
    found = planning.plan(replace(FACTS, services={"airflow": Service()}), WANTED)
    assert not found.has_changes
    assert found.notes == ("what airflow runs cannot be told: its containers do not answer",)


@pytest.mark.parametrize(("relation", "changes", "refused"), [
    ("newer", True, ""),
    ("apart", True, ""),
    ("older", True, "this checkout (bbbbbbbbbbbb) is older than what the machine was made from (aaaaaaaaaaaa)"),
    ("same", False, ""),
])  # fmt: skip
def test_our_own_roles(relation: str, changes: bool, refused: str) -> None:
    found = planning.plan(FACTS, replace(WANTED, revision="bbbbbbbbbbbb", relation=relation))
    assert found.changes("roles") is changes
    assert [one.text for one in found.refusals] == ([refused] if refused else [])
    taken_back = (
        "this checkout lacks something that the machine was made from (aaaaaaaaaaaa): it may be taken back"
    )
    assert found.warnings == ((taken_back,) if relation == "apart" else ())


def test_a_machine_from_before_revisions_were_recorded() -> None:
    found = planning.plan(replace(FACTS, revision=""), replace(WANTED, relation="unknown"))
    assert groups(found)["roles"].items == (Item("revision", "not recorded", "aaaaaaaaaaaa"),)


def test_a_checkout_without_git_tells_nothing_of_roles() -> None:
    assert not planning.plan(FACTS, replace(WANTED, revision="", relation="unknown")).has_changes


@pytest.mark.parametrize("name", ["airflow", "warehouse"])
def test_another_major_version_of_postgres_is_refused_with_the_page_that_says_how(name: str) -> None:
    wanted = replace(WANTED, postgres={**WANTED.postgres, name: "18"})
    (refusal,) = planning.plan(FACTS, wanted).refusals
    assert refusal.text == (
        f"the data of {name} are of Postgres 17, and 18 is asked for: another major version reads them by a dump alone"
    )
    assert refusal.cure.startswith("docs/updates.md#another-major-version-of-postgres says how")


def test_a_warehouse_that_is_switched_off_is_not_asked_about() -> None:
    assert planning.plan(FACTS, replace(WANTED, postgres={"airflow": "17"})).refusals == ()


def test_a_lock_of_ones_own_that_was_made_for_an_earlier_airflow() -> None:
    mine = Lock(
        "/team/my.lock", "httpx==0.27.0 \\\n    --hash=sha256:00\npolars==1.0 \\\n    --hash=sha256:00\n"
    )
    (refusal,) = planning.plan(FACTS, with_lock(AIRFLOW, mine)).refusals
    assert refusal.text == (
        "two locks of /opt/airflow/venv want different versions (httpx: 0.28.1 here, 0.27.0 in /team/my.lock)"
    )
    assert refusal.cure == (
        "uv pip compile --generate-hashes --python-version 3.13 --constraint roles/airflow/files/requirements.lock "
        "requirements.in -o /team/my.lock"
    )


def test_a_provider_of_ones_own_that_knows_no_newer_airflow() -> None:
    name = "apache-airflow-providers-sftp"
    mine = Lock("/team/my.lock", f"{name}==5.0 \\\n    --hash=sha256:00\n")
    there = {**INSTALLED, name: "5.0"}
    facts = with_airflow(
        environments={**SERVICE.environments, "/opt/airflow/venv": there},
        limits={
            name: "apache-airflow<3.4,>=2.11",
            "apache-airflow-providers-airbyte": "apache-airflow>=2.11",
        },
    )
    assert planning.plan(facts, with_lock(AIRFLOW, mine)).refusals == ()
    (refusal,) = planning.plan(facts, with_lock(AIRFLOW.replace("3.3.2", "3.4.0"), mine)).refusals
    assert (
        refusal.text == f"{name} of /team/my.lock wants apache-airflow<3.4,>=2.11, and Airflow would be 3.4.0"
    )


def test_what_airflow_says_of_its_settings_is_passed_on() -> None:
    said = "Removed deprecated `check_slas` configuration parameter from `core` section."
    assert planning.plan(replace(FACTS, lint=(said,)), WANTED).warnings == (f"airflow config lint: {said}",)


def test_a_machine_that_cannot_drain() -> None:
    (refusal,) = planning.plan(replace(FACTS, drains=False), WANTED).refusals
    assert refusal.cure == "./provision.py up local"


@pytest.mark.parametrize("held", [True, False])
def test_an_upgrade_that_was_cut_short_goes_on(held: bool) -> None:
    found = planning.plan(replace(FACTS, cut=Cut("2026-11-28T22:00:00Z", "aaaaaaaaaaaa", held)), WANTED)
    assert found.has_changes
    assert found.needs_drain
    lost = "the upgrade of 2026-11-28T22:00:00Z was cut short, and tasks have begun since: they would not be undone"
    assert found.warnings == (() if held else (lost,))


def test_what_others_do() -> None:
    found = planning.plan(replace(FACTS, reboot=True), WANTED)
    assert not found.has_changes
    assert found.notes == ("an earlier update waits for a reboot: it comes in the window (updates.window)",)
