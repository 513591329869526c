from typing import Any

from hangar.paths import REPO
from tests.templates.render import render

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
