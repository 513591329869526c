"""What an upgrade makes of Airbyte's platform, whose database knows no way back."""

from dataclasses import replace

from hangar.upgrade import planning
from hangar.upgrade.records import Item, Platform, Refusal, Wanted
from tests.unit.upgrade.facts import FACTS, WANTED


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
