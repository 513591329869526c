"""What a role's contract may know: the options in force, found the way Ansible finds them."""

import json
import os
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from hangar.controls import LEFT_OPEN, controls, switchable
from hangar.paths import REPO


class Options(Mapping[str, Any]):
    """The variables of a machine, each worked out when it is asked for; `variables` holds them unresolved."""

    def __init__(self, variables: Mapping[str, Any], templar: Any) -> None:
        self.variables = variables
        self._templar = templar

    def __getitem__(self, name: str) -> Any:
        return self._templar.template(self.variables[name])

    def says(self, condition: str) -> bool:
        """Whether a `when` of Ansible's holds."""
        from ansible.template import trust_as_template

        return bool(self._templar.evaluate_conditional(trust_as_template(condition)))

    def __iter__(self) -> Iterator[str]:
        return iter(self.variables)

    def __len__(self) -> int:
        return len(self.variables)


def of_role(options: Options, role: str, name: str) -> Any:
    """What a variable of the role's own (vars/main.yml) comes to on this machine, as JSON has it."""
    from ansible.parsing.dataloader import DataLoader
    from ansible.template import Templar, trust_as_template

    loader = DataLoader()
    own = loader.load_from_file(str(REPO / "roles" / role / "vars/main.yml"), trusted_as_template=True)
    templar = Templar(loader, variables={**options.variables, **own})
    return json.loads(templar.template(trust_as_template(f"{{{{ {name} | to_json }}}}")))


def absent_roles(options: Options) -> set[str]:
    """The roles that the site leaves out on this machine: what they promise is not promised here."""
    (play,) = yaml.safe_load((REPO / "playbooks/site.yml").read_text(encoding="utf-8"))
    conditions = {entry["role"]: entry["when"] for entry in play["roles"] if "when" in entry}
    return {role for role, condition in conditions.items() if not options.says(condition)}


def switched_off(options: Options) -> dict[str, str]:
    """The absent roles that have controls, and what is said of their tests: evidence does not pass over them."""
    with_controls = {control.role for control in controls()}
    return {
        role: f"{LEFT_OPEN}switched off ({role}_enabled)" for role in absent_roles(options) & with_controls
    }


def left_open(options: Options) -> dict[tuple[str, str, str], str]:
    """What proves nothing but controls that are left open, each with the reason: tests by role and name, with "" or
    with the control that one case of theirs is about.

    An exception for a control that has no switch leaves nothing open: the role has applied it all the same.
    """
    reasons = {
        entry["control"]: entry["reason"]
        for entry in options["hardening_system_own_exceptions"]
        if entry["control"] in switchable()
    }
    reasons |= {entry["control"]: entry["reason"] for entry in options["hardening_system_exceptions"]}
    found: dict[tuple[str, str, str], list[str]] = {}
    for control in controls():
        reason = reasons.get(control.name) or reasons.get(control.needs, "")
        for test in control.proved_by:
            found.setdefault((control.role, test, ""), []).append(reason)
            found.setdefault((control.role, test, control.name), []).append(reason)
    return {test: LEFT_OPEN + " ".join(dict.fromkeys(sorted(why))) for test, why in found.items() if all(why)}


@cache
def effective_options(inventory: Path) -> Options:
    """The options of an inventory's first host: the roles' defaults, the groups' and the host's variables.

    Ansible's own machinery resolves them, so what a contract expects is what the roles were given.
    """
    os.environ["ANSIBLE_CONFIG"] = str(REPO / "ansible.cfg")
    # Ansible reads its configuration while it is imported, and takes most of a second to do so.
    from ansible.inventory.manager import InventoryManager
    from ansible.parsing.dataloader import DataLoader
    from ansible.template import Templar
    from ansible.vars.manager import VariableManager

    _load_plugins()
    loader = DataLoader()
    loader.set_basedir(str(REPO / "playbooks"))
    hosts = InventoryManager(loader, sources=[str(inventory)])
    machine = hosts.get_hosts()[0]
    variables = _defaults(loader, REPO / "roles")
    variables |= VariableManager(loader, hosts).get_vars(host=machine, include_hostvars=False)
    return Options(variables, Templar(loader, variables=variables))


@cache
def _load_plugins() -> None:
    """Ansible allows it once a process."""
    from ansible.plugins.loader import init_plugin_loader

    init_plugin_loader([])


def _defaults(loader: Any, roles: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for path in sorted(roles.glob("*/defaults/main.yml")):
        found |= loader.load_from_file(str(path), trusted_as_template=True) or {}
    return found
