"""Renders a role's template the way Ansible does, without a machine: defaults, the role's variables, overrides."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from hangar.contracts import effective_options
from hangar.paths import REPO

INVENTORY = REPO / "tests/templates/inventory.yml"


def render(role: str, path: str, **overrides: Any) -> str:
    """The text that `path` on the machine gets from the role's template for it."""
    text = (REPO / "roles" / role / "templates" / f"{path.lstrip('/')}.j2").read_text()
    shape = {"trim_blocks": True, "lstrip_blocks": True}
    return str(_templated(role, text, overrides, shape))


def everything(role: str, **overrides: Any) -> str:
    """All variables of the role's own and all its files, in one text: what the role comes to."""
    names = _own(role)
    tree = sorted(path for path in (REPO / "roles" / role / "templates").rglob("*.j2"))
    texts = [path.read_text() for path in tree] + [f"{{{{ {name} }}}}\n" for name in names]
    return str(_templated(role, "\n".join(texts), overrides, {"trim_blocks": True, "lstrip_blocks": True}))


def value(role: str, name: str, **overrides: Any) -> Any:
    """What a variable of the role comes to."""
    return _templated(role, f"{{{{ {name} }}}}", overrides, {})


def _templated(role: str, text: str, overrides: Mapping[str, Any], shape: Mapping[str, bool]) -> Any:
    options = effective_options(INVENTORY)
    from ansible.parsing.dataloader import DataLoader
    from ansible.template import Templar, trust_as_template

    loader = DataLoader()
    variables = {**options.variables, **_own(role), "role_name": role, **overrides}
    parts = [str(REPO / "roles" / role / "templates")]
    templar = Templar(loader, variables=variables).copy_with_new_env(searchpath=parts)
    return templar.template(trust_as_template(text), overrides=shape)


@cache
def _own(role: str) -> Mapping[str, Any]:
    """The variables that are the role's alone (vars/main.yml), not worked out."""
    from ansible.parsing.dataloader import DataLoader

    path = REPO / "roles" / role / "vars/main.yml"
    return dict(DataLoader().load_from_file(str(path), trusted_as_template=True)) if path.exists() else {}


def settings(text: str, separator: str = "=") -> Mapping[str, str]:
    """The `key = value` lines of a rendered file; of a key given twice the last counts."""
    lines = [line for line in text.splitlines() if line and line[0] not in "#[" and separator in line]
    return {key.strip(): value.strip() for key, value in (line.split(separator, 1) for line in lines)}
