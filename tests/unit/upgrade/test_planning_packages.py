"""What an upgrade makes of Debian's packages, as apt-get tells of them."""

from dataclasses import replace

from hangar.upgrade import apt, planning
from hangar.upgrade.records import Cut, Item
from tests.unit.upgrade.facts import FACTS, WANTED, groups

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


def test_nothing_simulated_is_nothing_to_do() -> None:
    assert apt.packages("") == ()
    assert apt.kept_back("Reading package lists...\n") == ()
