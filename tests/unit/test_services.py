import json
import shlex
import subprocess
from collections.abc import Callable

import pytest

from hangar.config import Config
from hangar.paths import REPO
from hangar.services import SERVICES, SHOWN, Part, log_command, reading

Make = Callable[..., Config]


def command(config: Config, service: str, since: int | None = None, *, follow: bool = False) -> str:
    return log_command(SERVICES[service], config, Part(100, since, follow))


def test_a_units_log_comes_from_the_journal(make_config: Make) -> None:
    assert command(make_config(), "ssh") == (
        "sudo journalctl --no-pager --output=short-iso --lines=100 _SYSTEMD_UNIT=ssh.service"
        " + UNIT=ssh.service _PID=1"
    )


def test_time_and_following(make_config: Make) -> None:
    assert command(make_config(), "warehouse", 600, follow=True) == (
        "sudo journalctl --no-pager --output=short-iso --since=-600s --follow "
        "_SYSTEMD_UNIT=warehouse.service + UNIT=warehouse.service _PID=1"
    )


def test_a_user_unit_is_found_whichever_service_user_runs_it_and_nobody_elses(make_config: Make) -> None:
    """A person may have a unit `docker.service` too, and say in it what they like."""
    config = make_config("users.airflow.uid=2005")
    assert (
        "_SYSTEMD_USER_UNIT=docker.service _UID=2005 _UID=2002 + USER_UNIT=docker.service _UID=2005 _UID=2002"
    ) in command(config, "docker")
    words = shlex.split(asked(config, ["docker", "ssh"]))
    docker, ssh = json.loads(words[words.index("logs") + 1].removesuffix(";"))["sources"]
    assert docker["accounts"] == [2005, 2002]
    assert "accounts" not in ssh


def test_containers_are_asked_as_their_service_user(make_config: Make) -> None:
    assert command(make_config("users.airflow.uid=2005"), "airflow", 60, follow=True) == (
        "cd / && sudo -u airflow env DOCKER_HOST=unix:///run/user/2005/docker.sock "
        f"docker compose -p airflow logs --no-color --since=60s --follow {SHOWN}"
    )


@pytest.mark.parametrize("letters", ["C", "C.UTF-8"])
def test_what_containers_say_acts_on_no_terminal(letters: str) -> None:
    said = b"a\x1b[2K\x1b]52;c;ZXZp\x07\tb\rc \xc3\xbc\nnext\n"
    shown = subprocess.run(
        ["sh", "-c", f"cat {SHOWN}"], input=said, capture_output=True, check=True, env={"LC_ALL": letters}
    )
    complained = subprocess.run(
        ["sh", "-c", f"sh -c 'cat >&2' {SHOWN}"], input=said, capture_output=True, check=True, env={"LC_ALL": letters},
    )  # fmt: skip
    assert (complained.stdout, complained.stderr) == (shown.stdout, b"")
    assert shown.stdout == b"a?]52;c;ZXZp?    b?c \xc3\xbc\nnext\n"


def test_an_undo_is_in_the_interlocks_log_whatever_its_unit_is_called(make_config: Make) -> None:
    journal = (REPO / "playbooks/plugins/module_utils/hangar_journal.py").read_text()
    assert 'LOGGED_AS = "hangar-interlock"' in journal
    assert "--property=SyslogIdentifier={LOGGED_AS}" in journal
    assert command(make_config(), "interlock").endswith(
        " _SYSTEMD_UNIT=hangar-interlock.service + UNIT=hangar-interlock.service _PID=1"
        " + SYSLOG_IDENTIFIER=hangar-interlock"
    )


def test_airbytes_platform_logs_in_its_cluster(make_config: Make) -> None:
    platform = make_config("airbyte.engine=abctl", f"airbyte.abctl.sha256={'a' * 64}")
    assert command(platform, "airbyte", 60, follow=True) == (
        "cd / && sudo -u airbyte env DOCKER_HOST=unix:///run/user/2002/docker.sock"
        " docker exec airbyte-abctl-control-plane kubectl --kubeconfig /etc/kubernetes/admin.conf"
        " --namespace airbyte-abctl logs deployment/airbyte-abctl-server"
        f" --since=60s --follow {SHOWN}"
    )
    assert "docker compose -p airbyte" in command(make_config(), "airbyte")


@pytest.mark.parametrize("service", SERVICES)
def test_every_service_has_a_log(make_config: Make, service: str) -> None:
    asked_for = command(make_config(), service)
    assert any(word in asked_for for word in ("logs", "_UNIT=", "SYSLOG_IDENTIFIER=", "_TRANSPORT="))


def test_the_kernels_log_is_its_own(make_config: Make) -> None:
    """Whoever writes "kernel" into the journal by name is somebody else."""
    assert command(make_config(), "kernel") == (
        "sudo journalctl --no-pager --output=short-iso --lines=100 _TRANSPORT=kernel"
    )
    words = shlex.split(asked(make_config(), ["kernel"]))
    said = json.loads(words[words.index("logs") + 1].removesuffix(";"))
    assert said["sources"] == [{"name": "kernel", "kernel": True}]


def asked(config: Config, names: list[str], grep: str = "") -> str:
    return reading(names, config, Part(100), grep=grep, as_json=False)


def test_logs_are_read_in_one_place_and_as_they_are_where_that_is_missing(make_config: Make) -> None:
    command = asked(make_config(), ["ssh"], grep="it's")
    subprocess.run(["sh", "-n"], input=command, text=True, check=True)
    words = shlex.split(command)
    said = json.loads(words[words.index("logs") + 1].removesuffix(";"))
    assert said["sources"] == [{"name": "ssh", "units": ["ssh.service"]}]
    assert (said["grep"], said["lines"], said["follow"]) == ("it's", 100, False)
    assert command.endswith(f"else {log_command(SERVICES['ssh'], make_config(), Part(100))}; fi")


def test_a_service_that_is_switched_off_has_no_log(make_config: Make) -> None:
    off = make_config("airbyte.enabled=false")
    assert '"airbyte"' in asked(make_config(), list(SERVICES))
    assert '"project": "airbyte"' not in asked(off, list(SERVICES))
