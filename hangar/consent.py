"""What a person agrees to before a machine or its data are thrown away, or a guarded machine is changed."""

from hangar.cloud.base import Cloud
from hangar.config import Config
from hangar.console import confirm
from hangar.errors import HangarError
from hangar.plan import Plan
from hangar.report import show_plan


def agree(wanted: Plan, config: Config, *, allow_replace: bool) -> None:
    """Returns when a person has agreed to the plan, or nobody needs to.

    Raises:
        HangarError: they did not, or the plan replaces a guarded machine and that was not allowed by name.
    """
    env, name = config.environment, config.server_name
    if wanted.guarded and wanted.has_changes:
        show_plan(wanted)
    if wanted.guarded and wanted.replaces and not allow_replace:
        raise HangarError(
            f"The plan throws {name} away and makes it anew; that was not allowed.",
            _differences(wanted),
            f"Take the change back, or allow it: ./provision.py up {env} --allow-replace",
        )
    if wanted.replaces:
        question = _anew(wanted, name)
    elif wanted.guarded and wanted.has_changes:
        question = f"Make these changes to {name}?"
    else:
        return
    if not confirm(question):
        raise HangarError(
            "The machine was left as it is.", _differences(wanted), f"See: ./provision.py plan {env}"
        )


def agree_to_lose(config: Config, cloud: Cloud, backup: str) -> None:
    """Returns when there is no machine whose data a backup would replace, or a person has agreed.

    Raises:
        HangarError: they did not.
    """
    there = cloud.server()
    question = f"Replace the data of {config.server_name} with those of the backup {backup}?"
    if there is not None and not confirm(question):
        raise HangarError(f"{config.server_name} was left as it is.")


def _anew(wanted: Plan, name: str) -> str:
    return f"Make {name} anew ({_differences(wanted)})? What is under /srv stays, the rest goes."


def _differences(wanted: Plan) -> str:
    return ", ".join(
        f"{name}: {old} → {new}" for change in wanted.changes for name, old, new in change.fields
    )
