"""How the machine's end is started, and what is said when it cannot be."""

from pathlib import Path

import pytest

from hangar import agents, cli
from hangar.airbyte import session
from hangar.commands import pipelines
from hangar.errors import MachineUnreachable


def test_the_agent_is_started_as_root_over_the_environments_own_ssh() -> None:
    argv = agents.ssh_command(Path("/state/ssh_config"), "hangar-local")
    assert argv[:3] == ["ssh", "-F", "/state/ssh_config"]
    assert "BatchMode=yes" in argv
    assert argv[-2] == "hangar-local"
    assert argv[-1].startswith("sudo -n python3 -I -u -c ")
    assert "ssh_config" not in argv[-1]


def test_the_program_travels_as_input_and_not_as_an_argument() -> None:
    argv = agents.ssh_command(Path("/state/ssh_config"), "hangar-local")
    assert len(argv[-1]) < 200


def test_a_machine_that_lets_nobody_in(tmp_path: Path) -> None:
    argv = ["sh", "-c", "echo 'Permission denied (publickey).' >&2; exit 255"]
    with pytest.raises(MachineUnreachable) as refused:  # noqa: SIM117 - the refusal comes while the block is entered
        with session.opened(argv, "local", "hangar-local", tmp_path / "log"):
            pass
    assert refused.value.brief == "hangar-local cannot be spoken to."
    assert refused.value.details.endswith("    Permission denied (publickey).")
    assert refused.value.resolution == "See whether it can be reached: ./provision.py ssh local"


@pytest.mark.parametrize(("words", "action", "environment"), [
    (["plan"], "plan", "local"),
    (["apply", "sandbox", "--yes"], "apply", "sandbox"),
    (["secret", "sandbox", "--name", "erp"], "secret", "sandbox"),
])  # fmt: skip
def test_the_verb_reads_as_it_is_documented(words: list[str], action: str, environment: str) -> None:
    args = cli.parse("pipelines", pipelines, words)
    assert (args.action, args.environment) == (action, environment)
