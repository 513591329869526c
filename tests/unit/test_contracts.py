import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from hangar.audit import assess
from hangar.contracts import Options, absent_roles, effective_options, left_open
from hangar.controls import controls
from hangar.paths import REPO
from hangar.verification import Promise

KEY = "ssh-ed25519 AAAA"


@pytest.fixture(scope="module")
def options(tmp_path_factory: pytest.TempPathFactory) -> Options:
    variables = {
        "base_timezone": "Europe/Zurich",
        "base_locale": "{{ base_timezone | lower }}",
        "password": "x",
    }
    path = tmp_path_factory.mktemp("inventory") / "hosts.yml"
    path.write_text(yaml.safe_dump({"all": {"hosts": {"machine": variables}}}))
    return effective_options(path)


def test_a_default_is_in_force_unless_it_is_overridden(options: Options) -> None:
    assert options["base_journal_size"] == "1G"
    assert options["base_timezone"] == "Europe/Zurich"


def test_the_groups_variables_are_in_force(options: Options) -> None:
    assert [account["name"] for account in options["service_users_accounts"]] == ["airflow", "airbyte"]
    assert options["docker_host_users"] == options["service_users_accounts"]


def test_a_template_is_worked_out(options: Options) -> None:
    assert options["base_locale"] == "europe/zurich"


def test_an_option_that_nobody_sets_is_an_error(options: Options) -> None:
    with pytest.raises(KeyError, match="base_nothing"):
        options["base_nothing"]


@pytest.mark.parametrize(
    ("variables", "absent"),
    [
        ({}, {"airbyte_abctl", "ops_agent", "secret_manager"}),
        ({"secret_manager_reachable": True, "ops_agent_reachable": True}, {"airbyte_abctl"}),
        ({"airbyte_engine": "abctl"}, {"airbyte", "ops_agent", "secret_manager"}),
        (
            {"airbyte_enabled": False, "warehouse_enabled": False},
            {"airbyte", "airbyte_abctl", "warehouse", "ops_agent", "secret_manager"},
        ),
    ],
)
def test_what_is_not_on_the_machine_promises_nothing(
    tmp_path: Path, variables: dict[str, object], absent: set[str]
) -> None:
    path = tmp_path / "hosts.yml"
    path.write_text(yaml.safe_dump({"all": {"hosts": {"machine": variables}}}))
    assert absent_roles(effective_options(path)) == absent


def inventory(folder: Path, *excepted: str, until: str = "2999-12-31", **variables: object) -> Path:
    """An inventory whose platform.yml has these exceptions."""
    entries = [
        {"control": name, "reason": "We have our own", "instead": "", "owner": "Ada", "until": until}
        for name in excepted
    ]
    path = folder / "hosts.yml"
    hosts = {"machine": {"hardening_system_own_exceptions": entries, **variables}}
    path.write_text(yaml.safe_dump({"all": {"hosts": hosts}}))
    return path


HOUSE = {"test_a_copy_of_the_journal_is_sent_where_it_is_wanted"}


@pytest.mark.parametrize(
    ("control", "tests"),
    [
        ("accounts.umask", {"test_files_that_people_make_are_not_for_everybody"}),
        (
            "accounts.pam",
            {
                "test_a_weak_password_is_refused_even_for_root",
                "test_an_empty_password_opens_nothing",
                "test_a_password_cannot_be_guessed_by_trying",
                "test_a_key_opens_an_account_whose_password_is_barred",
            },
        ),
        (
            "system.setuid",
            {
                "test_few_programs_become_root",
                "test_su_opens_no_account_to_people",
                "test_an_upgrade_does_not_bring_the_rights_back",
            },
        ),
        (
            "audit.trail",
            {
                "test_the_audit_trail_is_written",
                "test_every_rule_of_the_audit_trail_is_in_force",
                "test_a_change_of_an_account_stands_in_the_audit_trail",
                "test_the_rules_of_the_audit_trail_are_set_at_boot",
                "test_the_audit_trail_does_not_fill_the_disk",  # without a trail there is nothing to bound
            },
        ),
        (
            "kernel.links",
            {"test_the_parameters_of_the_kernel_are_in_force[kernel.links]"},
        ),  # of each, its case
        (
            "network.routing",
            {
                "test_the_network_parameters_are_in_force[network.routing]",
                "test_no_interface_has_looser_parameters_of_its_own[network.routing]",
            },
        ),
        (
            "kernel.usb",
            {
                "test_modules_that_the_machine_does_not_need_cannot_be_loaded[kernel.usb]",
                "test_a_closed_module_stays_out_even_for_root[kernel.usb]",
            },
        ),
        ("ssh.keys_only", set()),  # no role leaves it out, so nothing is left open
    ],
)
def test_an_exception_takes_its_own_proofs_along_and_no_others(
    tmp_path: Path, control: str, tests: set[str]
) -> None:
    found = left_open(effective_options(inventory(tmp_path, control)))
    whole = {test for _, test, case in found if not case}
    cases = {f"{test}[{case}]" for _, test, case in found if case and test not in whole}
    assert (whole - HOUSE) | cases == tests
    assert {why for (_, test, _), why in found.items() if test not in HOUSE} <= {"left open: We have our own"}


def told(inventory: Path, *roles: str) -> list[Promise]:
    """What contracts say of a machine that there is not: nothing may ask it."""
    ours, theirs = os.pipe()
    contracts = [str(REPO / "roles" / role / "tests") for role in roles]
    argv = [
        sys.executable, "-m", "pytest", *contracts, "-p", "hangar.promises", "-p", "no:cacheprovider", "-q",
        f"--promises={theirs}", f"--ansible-inventory={inventory}",
        "--hosts=root-shell://nobody", "--ssh-config=/dev/null",
    ]  # fmt: skip
    subprocess.run(argv, cwd=REPO, pass_fds=(theirs,), capture_output=True, timeout=120)
    os.close(theirs)
    with os.fdopen(ours) as lines:
        said: list[dict[str, Any]] = [json.loads(line) for line in lines]
    return [Promise(**one) for one in said if "count" not in one]


def test_a_part_of_the_hardening_that_is_switched_off_is_told_of_and_not_failed(tmp_path: Path) -> None:
    """Exceptions run out there all the same."""
    off = {"hardening_kernel_enabled": False, "hardening_system_enabled": False}
    hosts = inventory(tmp_path, "system.banners", until="2026-01-31", **off)
    promises = told(hosts, "hardening_kernel", "hardening_system")
    assert {one.reason for one in promises if one.outcome == "excepted"} == {
        "left open: switched off (hardening_kernel_enabled)",
        "left open: switched off (hardening_system_enabled)",
    }
    (over,) = (one for one in promises if one.outcome != "excepted")
    assert (over.outcome, over.sentence) == ("broken", "No exception of platform.yml has run out")
    assert "system.banners: Ada answered for it until 2026-01-31" in over.reason
    proved = [
        one for one in controls() if one.role in ("hardening_kernel", "hardening_system") and one.proved_by
    ]
    found = {one.control: (one.verdict, one.reason) for one in assess.assess(proved, promises, {})}
    assert found.pop("system.exceptions")[0] == "failed"
    assert {verdict for verdict, _ in found.values()} == {"excepted"}
    assert found["kernel.links"] == ("excepted", "switched off (hardening_kernel_enabled)")
    # A case is told of where it belongs: each that names a control is one of its proofs, and each proof has one.
    cases = {(one.control, one.test) for one in promises if one.control}
    divided = {test for _, test in cases}
    assert cases == {(one.name, test) for one in proved for test in one.proved_by if test in divided}
    assert len(cases) > len(divided)


def test_a_parameter_that_is_wrong_fails_its_own_control_alone(tmp_path: Path) -> None:
    kernel = told(inventory(tmp_path, hardening_kernel_enabled=False), "hardening_kernel")
    named = "test_the_parameters_of_the_kernel_are_in_force"
    said = [
        replace(one, outcome="broken", reason="{'kernel.sysrq': '1'} == {}")
        if (one.test, one.control) == (named, "kernel.entries")
        else replace(one, outcome="held", reason="")
        for one in kernel
    ]
    proved = [one for one in controls() if one.role == "hardening_kernel" and one.proved_by]
    found = {one.control: (one.verdict, one.reason) for one in assess.assess(proved, said, {})}
    assert found.pop("kernel.entries") == (
        "failed", "The kernel's parameters are in force (kernel.entries): {'kernel.sysrq': '1'} == {}",
    )  # fmt: skip
    assert set(found.values()) == {("held", "")}
