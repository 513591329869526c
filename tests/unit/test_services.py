from collections.abc import Callable

import pytest

from hangar.config import Config
from hangar.paths import REPO
from hangar.services import SERVICES, log_command

Make = Callable[..., Config]


def command(config: Config, service: str, since: int | None = None, *, follow: bool = False) -> str:
    return log_command(SERVICES[service], config, lines=100, since=since, follow=follow)


def test_a_units_log_comes_from_the_journal(make_config: Make) -> None:
    assert command(make_config(), "ssh") == (
        "sudo journalctl --no-pager --output=short-iso --lines=100 _SYSTEMD_UNIT=ssh.service + UNIT=ssh.service"
    )


def test_time_and_following(make_config: Make) -> None:
    assert command(make_config(), "firewall", 600, follow=True) == (
        "sudo journalctl --no-pager --output=short-iso --since=-600s --follow "
        "_SYSTEMD_UNIT=hangar-firewall.service + UNIT=hangar-firewall.service"
    )


def test_a_user_unit_is_found_whoever_runs_it(make_config: Make) -> None:
    assert "_SYSTEMD_USER_UNIT=docker.service + USER_UNIT=docker.service" in command(make_config(), "docker")


def test_containers_are_asked_as_their_service_user(make_config: Make) -> None:
    assert command(make_config("users.airflow.uid=2005"), "airflow", 60, follow=True) == (
        "cd / && sudo -u airflow env DOCKER_HOST=unix:///run/user/2005/docker.sock "
        "docker compose -p airflow logs --no-color --since=60s --follow | sed --unbuffered 's/\\x1b\\[2K//'"
    )


def test_an_undo_is_in_the_interlocks_log_whatever_its_unit_is_called(make_config: Make) -> None:
    journal = (REPO / "playbooks/plugins/module_utils/hangar_journal.py").read_text()
    assert 'LOGGED_AS = "hangar-interlock"' in journal
    assert "--property=SyslogIdentifier={LOGGED_AS}" in journal
    assert command(make_config(), "interlock").endswith(
        " _SYSTEMD_UNIT=hangar-interlock.service + UNIT=hangar-interlock.service"
        " + SYSLOG_IDENTIFIER=hangar-interlock"
    )


def test_airbytes_platform_logs_in_its_cluster(make_config: Make) -> None:
    platform = make_config("airbyte.engine=abctl", f"airbyte.abctl.sha256={'a' * 64}")
    assert command(platform, "airbyte", 60, follow=True) == (
        "cd / && sudo -u airbyte env DOCKER_HOST=unix:///run/user/2002/docker.sock"
        " docker exec airbyte-abctl-control-plane kubectl --kubeconfig /etc/kubernetes/admin.conf"
        " --namespace airbyte-abctl logs deployment/airbyte-abctl-server"
        " --since=60s --follow"
    )
    assert "docker compose -p airbyte" in command(make_config(), "airbyte")


@pytest.mark.parametrize("service", SERVICES)
def test_every_service_has_a_log(make_config: Make, service: str) -> None:
    asked = command(make_config(), service)
    assert "logs" in asked or "_UNIT=" in asked or "SYSLOG_IDENTIFIER=" in asked
