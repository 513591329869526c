"""What an upgrade would change, and what speaks against it, from what a machine said and what a checkout brings."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from hangar.upgrade import apt, pins, planning
from hangar.upgrade.records import Cut, Facts, Group, Item, Lock, Plan, Platform, Refusal, Service, Wanted

SIMULATED = """\
Reading package lists...
Building dependency tree...
The following packages have been kept back:
  linux-image-amd64 nginx
The following packages will be upgraded:
  docker.io libssl3t64 tzdata
Inst libssl3t64 [3.5.1-1] (3.5.1-1+deb13u1 Debian-Security:13/stable-security [amd64])
Inst tzdata [2026a-1] (2026b-0+deb13u1 Debian:13.3/stable-updates, Debian-Security:13/stable-security [all])
Inst docker.io [26.1.5+dfsg1-8] (26.1.5+dfsg1-9+deb13u1 Debian:13.3/stable [amd64]) []
Inst libnew1 (1.0-1 Debian:13.3/stable [amd64])
Conf libssl3t64 (3.5.1-1+deb13u1 Debian-Security:13/stable-security [amd64])
"""
"""As Debian 13's apt-get prints it."""

AIRFLOW = """\
apache-airflow==3.3.2 \\
    --hash=sha256:00
    # via -r requirements.in
apache-airflow-providers-airbyte==6.2.0 \\
    --hash=sha256:00
tomli==2.0 ; python_full_version < '3.11' \\
    --hash=sha256:00
httpx==0.28.1 \\
    --hash=sha256:00
"""
DBT = "dbt-core==1.11.2 \\\n    --hash=sha256:00\n"
INSTALLED = {"apache-airflow": "3.3.2", "apache-airflow-providers-airbyte": "6.2.0", "httpx": "0.28.1"}
SERVICE = Service(
    running=True, environments={"/opt/airflow/venv": INSTALLED, "/opt/dbt": {"dbt-core": "1.11.2"}},
    python="3.13.5", machine="x86_64", suite="trixie",
)  # fmt: skip
FACTS = Facts(
    revision="aaaaaaaaaaaa", services={"airflow": SERVICE}, postgres={"airflow": "17", "warehouse": "17"}
)
LOCK = Lock("roles/airflow/files/requirements.lock", AIRFLOW)
WANTED = Wanted(
    environment="local", revision="aaaaaaaaaaaa", relation="same",
    locks={"airflow": {"/opt/airflow/venv": (LOCK,), "/opt/dbt": (Lock("roles/airflow/files/dbt.lock", DBT),)}},
    suites={"airflow": "trixie", "airbyte": "bookworm"}, postgres={"airflow": "17", "warehouse": "17"},
    docker=("docker.io", "containerd"),
)  # fmt: skip


def with_airflow(**changed: object) -> Facts:
    return replace(FACTS, services={"airflow": replace(SERVICE, **changed)})


def with_lock(text: str, *more: Lock) -> Wanted:
    environments: Mapping[str, tuple[Lock, ...]] = {
        **WANTED.locks["airflow"], "/opt/airflow/venv": (Lock(LOCK.name, text), *more),
    }  # fmt: skip
    return replace(WANTED, locks={"airflow": environments})


def groups(plan: Plan) -> dict[str, Group]:
    return {group.name: group for group in plan.groups}


def test_a_machine_that_is_as_this_checkout_has_it_needs_nothing() -> None:
    found = planning.plan(FACTS, WANTED)
    assert found == Plan(made_from="aaaaaaaaaaaa")
    assert not found.has_changes
    assert not found.needs_drain


def test_debians_packages_security_and_docker_apart() -> None:
    found = planning.plan(replace(FACTS, simulated=SIMULATED), WANTED)
    kinds = groups(found)
    assert list(kinds) == ["security", "debian", "docker"]
    assert kinds["security"].items == (
        Item("libssl3t64", "3.5.1-1", "3.5.1-1+deb13u1"), Item("tzdata", "2026a-1", "2026b-0+deb13u1"),
    )  # fmt: skip
    assert kinds["debian"].items == (Item("libnew1", "", "1.0-1"),)
    assert kinds["docker"].items == (Item("docker.io", "26.1.5+dfsg1-8", "26.1.5+dfsg1-9+deb13u1"),)
    assert kinds["docker"].effect == "all containers stop with their daemon and come back"
    assert found.notes == (
        "Debian packages that stay: linux-image-amd64, nginx (held, or others would have to go)",
    )
    assert found.needs_drain


def test_packages_of_debian_alone_stop_no_task() -> None:
    line = "Inst less [668-1] (668-2 Debian:13.3/stable [amd64])\n"
    assert not planning.plan(replace(FACTS, simulated=line), WANTED).needs_drain


def test_a_database_that_dags_use_is_restarted_when_nothing_runs() -> None:
    line = "Inst postgresql-17 [17.6-1] (17.7-0+deb13u1 Debian-Security:13/stable-security [amd64])\n"
    found = planning.plan(replace(FACTS, simulated=line), WANTED)
    assert list(groups(found)) == ["security"]
    assert found.needs_drain


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


def test_lists_that_could_not_be_fetched() -> None:
    found = planning.plan(replace(FACTS, apt_problem="E: no such mirror"), WANTED)
    assert found.warnings == (
        "Debian's lists could not be fetched, so that they may be old: E: no such mirror",
    )


BROKEN = """\
Reading package lists...
You might want to run 'apt --fix-broken install' to correct these.
The following packages have unmet dependencies:
 systemd : Breaks: less (< 563) but 1-1 is installed
 vim-tiny : Depends: vim-common (= 2:9.1.1230-2) but it is not installed
            Depends: libacl1 (>= 2.2.23) but it is not installed
"""
"""As Debian 13's apt-get prints it beside its refusal."""

REFUSED = "E: Unmet dependencies. Try 'apt --fix-broken install' with no packages (or specify a solution)."


def test_packages_that_do_not_fit_together_are_named_with_what_mends_them() -> None:
    found = planning.plan(replace(FACTS, simulated=BROKEN, apt_refusal=REFUSED), WANTED)
    (refusal,) = found.refusals
    assert refusal.text == (
        "apt-get upgrades nothing on the machine: systemd : Breaks: less (< 563) but 1-1 is installed; "
        "vim-tiny : Depends: vim-common (= 2:9.1.1230-2) but it is not installed; "
        "Depends: libacl1 (>= 2.2.23) but it is not installed"
    )
    assert refusal.cure == "./provision.py ssh local -- sudo apt-get --fix-broken install"
    assert found.warnings == ()


def test_another_reason_of_apts_is_told_in_its_words() -> None:
    (refusal,) = planning.plan(replace(FACTS, apt_refusal="E: Malformed entry 1"), WANTED).refusals
    assert refusal.text == "apt-get upgrades nothing on the machine: E: Malformed entry 1"


def test_an_upgrade_that_was_cut_short_ends_or_goes_back_whatever_apt_says() -> None:
    cut = Cut("2026-11-28T22:00:00Z", "aaaaaaaaaaaa", held=True)
    found = planning.plan(replace(FACTS, apt_refusal=REFUSED, cut=cut), WANTED)
    assert found.refusals == ()
    assert found.warnings == (f"apt-get upgrades nothing on the machine: {REFUSED}",)


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


def test_another_release_of_airbytes_platform_is_part_of_it() -> None:
    found = planning.plan(replace(FACTS, chart="2.4.0"), replace(WANTED, chart="2.10.0"))
    (group,) = found.groups
    assert (group.title, group.items) == ("Airbyte's platform", (Item("release", "2.4.0", "2.10.0"),))
    assert group.effect == "its database is copied first, on the machine; it does not go back by itself"
    assert found.way_back == (
        "Airbyte 2.10.0 migrates its database, which 2.4.0 does not read afterwards: whatever fails, this does "
        "not go back by itself. What brings it back, with all data as the backup has them:",
        "./provision.py ssh local -- sudo airbyte-abctl uninstall --data",
        "./provision.py up local      # with airbyte.abctl.chart: 2.4.0 in platform.yml",
        "./provision.py backup restore local --from ID",
    )
    assert found.needs_drain
    assert found.refusals == ()
    assert planning.plan(replace(FACTS, chart="2.4.0"), replace(WANTED, chart="2.4.0")).groups == ()


def test_an_older_release_of_airbytes_platform_is_refused_before_anything_is_touched() -> None:
    """The role would refuse it too: in the playbook, after everything had been drained."""
    found = planning.plan(replace(FACTS, chart="2.10.0"), replace(WANTED, chart="2.4.0"))
    assert found.refusals == (
        Refusal(
            "Airbyte's platform would go back from 2.10.0 to 2.4.0, and its database knows no way back",
            "Describe 2.10.0 or newer (platform.yml: airbyte.abctl.chart)",
        ),
    )


SETTINGS = {
    "global.auth.enabled": "a",
    "global.jobs.resources.limits.memory": "b",
    "worker.replicaCount": "c",
}
INSTALLED_AS = replace(FACTS, chart="2.4.0", platform=Platform(8000, False, "1", SETTINGS))


def described(**changed: object) -> Wanted:
    platform = replace(Platform(8000, False, "1", SETTINGS), **changed)  # type: ignore[arg-type]
    return replace(WANTED, chart="2.4.0", platform=platform)


def test_changed_settings_of_airbytes_platform_are_named_without_what_they_say() -> None:
    changed = {
        "global.auth.enabled": "a",
        "global.jobs.resources.limits.memory": "z",
        "global.storage.key": "d",
    }
    found = planning.plan(INSTALLED_AS, described(values="2", settings=changed, low_resource=True))
    (group,) = found.groups
    assert (group.name, group.items) == (
        "platform",
        (
            Item("low_resource", "false", "true"),
            Item("global.jobs.resources.limits.memory", "as installed", "as described"),
            Item("global.storage.key", "", "as described"),
            Item("worker.replicaCount", "as installed", ""),
        ),
    )
    assert found.needs_drain
    assert (group.effect, found.way_back) == ("its database is copied first, on the machine", ()), (
        "they go back"
    )
    assert planning.plan(INSTALLED_AS, described()).groups == ()


def test_a_database_of_ones_own_is_copied_by_oneself() -> None:
    found = planning.plan(INSTALLED_AS, replace(described(external=True), chart="2.5.0"))
    assert found.way_back[-1] == (
        "its database is in a Postgres of yours, which no backup of Hangar's has: copy it yourself, now"
    )


def test_settings_of_which_the_machine_has_no_record_are_told_all_the_same() -> None:
    earlier = replace(INSTALLED_AS, platform=Platform(8000, False, "0", None))
    (group,) = planning.plan(earlier, described()).groups
    assert group.items == (Item("Helm values", "as installed (no record says which)", "as described"),)
    assert planning.plan(earlier, described(values="0")).groups == ()


def test_another_port_of_airbytes_platform_is_refused_before_anything_is_touched() -> None:
    (refusal,) = planning.plan(INSTALLED_AS, described(port=8010, values="2")).refusals
    assert refusal.text == (
        "Airbyte's platform would move from port 8000 to 8010, and abctl keeps a cluster at the port "
        "that it was made with"
    )
    assert refusal.cure == (
        "Keep it (platform.yml: airbyte.port: 8000), or install it anew over its data: "
        "docs/updates.md#another-port-for-airbytes-platform"
    )
    assert planning.plan(FACTS, described(port=8010)).refusals == (), "nothing of it is there yet"


def test_nothing_simulated_is_nothing_to_do() -> None:
    assert apt.packages("") == ()
    assert apt.kept_back("Reading package lists...\n") == ()


@pytest.mark.parametrize(("python", "there"), [("3.10.1", True), ("3.13.5", False)])
def test_a_lock_is_read_for_the_python_that_installs_it(python: str, there: bool) -> None:
    found = pins.read(AIRFLOW, pins.markers(replace(SERVICE, python=python)))
    assert ("tomli" in found) is there
    assert found["httpx"] == "0.28.1"


def test_the_locks_of_this_repository_are_read_whole() -> None:
    from hangar.paths import REPO

    text = (REPO / "roles/airflow/files/requirements.lock").read_text()
    found = pins.read(text)
    assert len(found) == sum(line[:1].isalnum() for line in text.splitlines())
    assert {"apache-airflow", "apache-airflow-providers-airbyte", "statsd"} <= set(found)


def test_a_version_that_is_written_in_another_way_is_the_same() -> None:
    assert pins.differences({"a": "1.2", "b": "1.0"}, {"a": "1.2.0", "b": "1.0.1"}) == (
        Item("b", "1.0", "1.0.1"),
    )
