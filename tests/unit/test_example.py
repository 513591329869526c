import re
from pathlib import Path

import yaml
from pydantic import BaseModel

from hangar import config, example, paths
from hangar.config.models import Settings


def uncommented(text: str) -> str:
    """The example with every setting in force: a setting is commented out by a # without a blank."""
    return re.sub(r"^(\s*)#(?=[A-Za-z_])", r"\1", text, flags=re.MULTILINE)


def leaves(model: type[BaseModel], prefix: str = "") -> set[str]:
    found: set[str] = set()
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            found |= leaves(kind, f"{prefix}{name}.")
        else:
            found.add(f"{prefix}{name}")
    return found


def keys(data: object, prefix: str = "") -> set[str]:
    if not isinstance(data, dict) or not data:
        return {prefix.removesuffix(".")}
    return {key for name, value in data.items() for key in keys(value, f"{prefix}{name}.")}


def test_the_example_as_it_is_means_the_defaults(repo: Path) -> None:
    paths.platform_file("local").write_text(example.render("local"))
    written = config.load("local")
    paths.platform_file("local").write_text("")
    assert written == config.load("local")


def test_the_example_in_force_is_valid_and_shows_the_defaults(repo: Path) -> None:
    (paths.env_dir("local") / "soda.lock").write_text("soda-core==3.5.5 --hash=sha256:0\n")
    paths.platform_file("local").write_text(uncommented(example.render("local")))
    written = config.load("local")
    paths.platform_file("local").write_text("")
    defaults = config.load("local")
    shown = written.airflow.model_copy(
        update={"environment": {}, "connections": {}, "variables": {}, "tools": {}}
    )
    gcp = written.gcp.model_copy(update={"labels": {}, "prices": defaults.gcp.prices})
    monitoring = written.monitoring.model_copy(update={"alerts": {}})
    secrets = written.secrets.model_copy(update={"named": {}})
    update = {"airflow": shown, "gcp": gcp, "monitoring": monitoring, "secrets": secrets}
    assert written.model_copy(update=update) == defaults
    assert written.gcp.labels
    assert written.gcp.prices.machine_hour
    assert written.airflow.environment
    assert written.airflow.tools
    assert written.airflow.connections
    assert written.airflow.variables
    assert written.secrets.named


def test_the_example_shows_every_setting() -> None:
    shown = keys(yaml.safe_load(uncommented(example.render("local"))))
    missing = {
        leaf
        for leaf in leaves(Settings)
        if not any(key == leaf or key.startswith(f"{leaf}.") for key in shown)
    }
    assert missing == set()


def test_the_committed_local_environment_is_the_example() -> None:
    assert (paths.REPO / "inventory/local/platform.yml").read_text() == example.render("local")


def test_the_example_names_its_schema_and_its_environment() -> None:
    lines = example.render("sandbox").splitlines()
    assert lines[0] == "# yaml-language-server: $schema=../platform.schema.json"
    assert any("./provision.py up sandbox" in line for line in lines)
