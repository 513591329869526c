from pathlib import Path

import pytest
import yaml

from hangar.contracts import Options, absent_roles, effective_options

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
