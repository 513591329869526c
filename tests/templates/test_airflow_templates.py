from typing import Any

import yaml

from hangar.paths import REPO
from tests.templates.render import render, value

DOCKERFILE = "/srv/airflow/stack/image/Dockerfile"
BAKE = "/srv/airflow/stack/image/bake.json"


def image(path: str = DOCKERFILE, **overrides: Any) -> str:
    return render("airflow", path, role_path=str(REPO / "roles/airflow"), **overrides)


def test_each_tool_gets_an_environment_from_its_own_lock() -> None:
    text = image()
    for environment, lock in (("airflow/venv", "requirements"), ("dbt", "dbt"), ("dlt", "dlt")):
        assert f"/opt/{environment}/bin/python \\\n        --requirement /locks/{lock}.lock \\" in text
        assert f"uv pip check --quiet --python /opt/{environment}/bin/python" in text
    assert text.count("--require-hashes --no-deps --only-binary :all: --compile-bytecode") == 3


def test_a_platform_without_tools_has_none_in_its_image() -> None:
    text = image(airflow_tools=[])
    assert "/opt/dbt" not in text
    assert "dlt.lock" not in text
    assert text.count("uv venv") == 1


def test_packages_of_ones_own_join_airflows_and_not_the_tools() -> None:
    text = image(airflow_python_lock=str(REPO / "tests/data/own_platform/extra.lock"))
    assert "--requirement /locks/requirements.lock --requirement /locks/extra.lock \\" in text
    assert text.count("extra.lock") == 1


def test_a_tool_of_ones_own_gets_an_environment_and_changes_the_images_name() -> None:
    lock = str(REPO / "tests/data/own_platform/extra.lock")
    text = image(airflow_own_tools={"soda": lock})
    assert "/opt/soda/bin/python \\\n        --requirement /locks/own-soda.lock \\" in text
    assert "uv pip check --quiet --python /opt/soda/bin/python" in text
    assert image(BAKE, airflow_own_tools={"soda": lock}) != image(BAKE)


def test_the_image_has_another_name_when_a_tool_comes_or_goes() -> None:
    names = {image(BAKE, airflow_tools=tools) for tools in ([], ["dbt"], ["dlt"], ["dbt", "dlt"])}
    assert len(names) == 4
    assert image(BAKE, airflow_tools=["dlt", "dbt"]) == image(BAKE)


def compose(**overrides: Any) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(image("/srv/airflow/stack/compose.yaml", **overrides))
    return found


def test_containers_get_secrets_from_memory_and_none_from_the_disk() -> None:
    found = compose()
    names = set(found["secrets"])
    assert names == {
        "postgres_password", "sql_alchemy_conn", "fernet_key", "jwt_secret", "api_secret_key", "admin_password",
    }  # fmt: skip
    assert found["secrets"] == {name: {"file": f"/run/user/2001/hangar/secrets/{name}"} for name in names}
    for name, one in found["services"].items():
        sources = {volume.split(":")[0] for volume in one["volumes"]}
        assert sources.isdisjoint({"/srv/airflow", "/srv/airflow/secrets", "/srv/airflow/connections"}), name
        assert ("/run/user/2001/hangar/connections" in sources) == (name != "postgres"), name


def test_only_the_step_that_lets_the_administrator_in_knows_the_password() -> None:
    services = compose()["services"]
    assert {name for name, one in services.items() if "admin_password" in one["secrets"]} == {"prepare"}
    assert {name for name, one in services.items() if "postgres_password" in one["secrets"]} == {"postgres"}


def test_the_copies_are_in_the_runtime_folder_of_the_account_whatever_its_number() -> None:
    accounts = [
        {"name": "airbyte", "uid": 2002, "subids": 300000},
        {"name": "airflow", "uid": 2005, "subids": 200000},
    ]
    found = compose(service_users_accounts=accounts)
    assert found["secrets"]["fernet_key"] == {"file": "/run/user/2005/hangar/secrets/fernet_key"}
    before = compose()["services"]["postgres"]["labels"]
    assert found["services"]["postgres"]["labels"] != before, (
        "the database would keep the files that it mounted"
    )


def test_the_copies_are_there_before_anything_starts() -> None:
    lines = image("/srv/airflow/stack/start").splitlines()
    steps = [line for line in lines if line.startswith(("./", "compose up", "compose run"))]
    assert steps[:2] == ["./hand-over", "compose up --detach --wait postgres"]


def test_what_comes_from_secret_manager_is_handed_over_by_the_service_itself() -> None:
    """The unit's own sandbox hides the folder in memory, and has no right to become somebody."""
    text = render("secret_manager", "/etc/systemd/system/hangar-secrets.service")
    steps = [line.partition("=")[2] for line in text.splitlines() if line.startswith("ExecStopPost=")]
    assert steps == [
        "-/usr/local/sbin/airflow-secrets ensure",
        "-+/usr/local/sbin/as-service airflow /srv/airflow/stack/hand-over",
    ]
    assert "ProtectHome=yes" in text


def test_logs_of_tasks_are_tidied_as_the_account_that_writes_them() -> None:
    """50000 in the containers, of the sub-ids that begin with what is 1 there."""
    text = image("/etc/systemd/system/airflow-logs.service", airflow_log_budget="500MB")
    assert (
        "ExecStart=/usr/bin/setpriv --reuid=249999 --regid=2001 --clear-groups"
        " /usr/local/sbin/airflow-logs 524288000\n"
    ) in text


def test_a_budget_that_is_no_size_is_none() -> None:
    given = ("5GB", "500MB", "5", "GB", "0GB", "-5GB", "5GB; rm")
    found = [str(value("airflow", "__airflow_log_bytes", airflow_log_budget=one)) for one in given]
    assert found == ["5368709120", "524288000", "", "", "", "", ""]
