"""ansible-playbook as `hangar.playbook` runs it: events while it runs, one record or one error at the end."""

from __future__ import annotations

import locale
import os
import stat
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from hangar import playbook
from hangar.errors import HangarError, MachineUnreachable, PlaybookFailed

LOCAL = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
CHANGE = {"name": "Count | One more", "ansible.builtin.command": "true", "changed_when": True}
SAY = {"name": "Say | Hello", "ansible.builtin.debug": {"msg": "hello"}}
SPILL = {"argv": ["sh", "-c", "echo s3cret >&2; exit 1"]}
SECRET = {"name": "Secret | Fail", "ansible.builtin.command": SPILL, "no_log": True}


class Run:
    """Runs tasks as a playbook of its own on this machine."""

    def __init__(self, place: Path) -> None:
        self.place, self.events = place, list[playbook.Event]()

    def __call__(
        self, *tasks: dict[str, Any], hosts: dict[str, Any] = LOCAL, **options: Any
    ) -> playbook.Recap:
        play = {"hosts": "all", "gather_facts": False, "tasks": list(tasks)}
        (self.place / "play.yml").write_text(yaml.safe_dump([play]))
        (self.place / "hosts.yml").write_text(yaml.safe_dump({"all": {"hosts": {"machine": hosts}}}))
        return playbook.run("trial", str(self.place / "play.yml"), on_event=self.events.append, **options)

    def fail(
        self, *tasks: dict[str, Any], kind: type[HangarError] = PlaybookFailed, **options: Any
    ) -> HangarError:
        with pytest.raises(kind) as caught:
            self(*tasks, **options)
        return caught.value

    @property
    def logs(self) -> list[Path]:
        return sorted(self.place.glob("*T*-playbook.log"))


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setattr(playbook, "hosts_file", lambda env: tmp_path / "hosts.yml")
    monkeypatch.setattr(playbook, "log_dir", lambda env: tmp_path)
    return Run(tmp_path)


def test_progress_the_record_and_the_log(run: Run) -> None:
    """Each task is announced and counted; the log keeps everything, without colours, for us alone."""
    ignored = {"name": "Try", "ansible.builtin.fail": {"msg": "x"}, "ignore_errors": True}
    recap = run(SAY, CHANGE, {**SAY, "when": False}, ignored)
    assert [tuple(event) for event in run.events] == [
        ("Say | Hello", 1, 4),
        ("Count | One more", 2, 4),
        ("Say | Hello", 3, 4),
        ("Try", 4, 4),
    ]
    assert (recap.ok, recap.changed, recap.failed, recap.unreachable) == (3, 1, 0, 0)
    assert [task.status for task in recap.tasks] == ["ok", "changed", "skipped", "ignored"]
    assert [task.name for task in recap.changes] == ["Count | One more"]
    assert all(task.seconds < 30 for task in recap.tasks)
    text = recap.log.read_text()
    assert "hello" in text
    assert "play.yml" in text.splitlines()[0]
    assert "\x1b" not in text
    assert stat.S_IMODE(recap.log.stat().st_mode) == 0o600
    assert (run.place / "latest-playbook.log").resolve() == recap.log


def test_old_logs_go(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(playbook, "LOGS_KEPT", 2)
    for day in range(4):
        (run.place / f"2020010{day}T000000-1-playbook.log").touch()
    run(SAY)
    assert [path.name[:8] == "20200103" for path in run.logs] == [True, False]


def test_a_failure_names_the_task_its_message_and_the_log(run: Run) -> None:
    error = run.fail(SAY, {"name": "Disk | Look", "ansible.builtin.fail": {"msg": "the disk is full"}})
    assert "Disk | Look" in error.brief
    assert "the disk is full" in error.details
    assert str(run.logs[-1]) in error.details
    assert "./provision.py up trial" in error.resolution


def test_what_a_program_said_and_the_item_that_failed_are_shown(run: Run) -> None:
    command = {"argv": ["sh", "-c", "echo no room for {{ item }} >&2; exit 5"]}
    task = {"name": "Try", "ansible.builtin.command": command, "loop": ["apples"]}
    assert "no room for apples" in run.fail(task).details


def test_secrets_stay_out_of_the_error_and_the_log(run: Run) -> None:
    error = run.fail(SECRET)
    assert "s3cret" not in error.brief + error.details
    assert "not shown" in error.details
    assert "s3cret" not in run.logs[-1].read_text()


def test_a_rescued_failure_is_not_the_one_that_is_named(run: Run) -> None:
    first = {"name": "First", "ansible.builtin.fail": {"msg": "first"}}
    last = {"name": "Last", "ansible.builtin.fail": {"msg": "last"}}
    assert "Last" in run.fail({"name": "Both", "block": [first], "rescue": [last]}).brief


def test_a_machine_that_does_not_answer_is_no_failed_task(run: Run) -> None:
    nowhere = {
        "ansible_host": "127.0.0.1",
        "ansible_port": 1,
        "ansible_python_interpreter": "/usr/bin/python3",
    }
    error = run.fail({"name": "Ping", "ansible.builtin.ping": {}}, kind=MachineUnreachable, hosts=nowhere)
    assert "could not log in" in error.brief
    assert "port 1" in error.details


def test_a_machine_that_shows_another_host_key_is_told_apart(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(playbook, "known_hosts", lambda env: tmp_path / "known_hosts")
    (tmp_path / "known_hosts").write_text("# The host keys of machine 1\nhangar-trial ssh-ed25519 AAAA\n")
    ssh = tmp_path / "ssh"
    ssh.write_text(
        "#!/bin/sh\necho 'The fingerprint for the ED25519 key sent by the remote host is' >&2\n"
        "echo SHA256:stranger. >&2\necho 'Host key verification failed.' >&2\nexit 255\n"
    )
    ssh.chmod(0o755)
    strange = {
        "ansible_host": "127.0.0.1", "ansible_ssh_executable": str(ssh),
        "ansible_python_interpreter": "/usr/bin/python3",
    }  # fmt: skip
    error = run.fail({"name": "Ping", "ansible.builtin.ping": {}}, kind=MachineUnreachable, hosts=strange)
    assert error.brief == (
        "What answers as hangar-trial does not show the SSH host key that is pinned here; nothing was sent to it."
    )
    shown, pinned, *where = error.details.splitlines()
    assert shown == "* It shows: ED25519 SHA256:stranger"
    assert pinned.startswith("* Pinned: ssh-ed25519 SHA256:")
    assert where[0].startswith("* Whole output: ")
    assert error.resolution.startswith("A stranger may be answering: find out who changed it")


def test_a_playbook_that_ansible_does_not_understand_shows_what_it_said(run: Run) -> None:
    assert "no_such_module" in run.fail({"name": "Odd", "no_such_module": {}}).details


def test_check_mode_and_tags_are_handed_on(run: Run) -> None:
    recap = run(
        {**CHANGE, "tags": ["wanted"]}, {**SAY, "tags": ["other"]}, tags=["wanted"], check=True, diff=True
    )
    assert [task.status for task in recap.tasks] == ["changed"]
    assert run.events[-1].total == 1


def test_a_command_that_check_mode_leaves_out_is_a_change_to_come(run: Run) -> None:
    """Ansible itself calls it skipped, and a plan would find nothing to do."""
    loop = {**CHANGE, "name": "Count | Each", "loop": ["a", "b"]}
    look = {**CHANGE, "name": "Count | Look", "changed_when": False}
    nothing = {**CHANGE, "name": "Count | None of them", "loop": []}
    recap = run(CHANGE, loop, look, nothing, {**CHANGE, "when": False}, check=True)
    assert [task.status for task in recap.tasks] == ["changed", "changed", "skipped", "skipped", "skipped"]
    assert recap.changed == 2


def test_no_setting_of_the_users_ansible_reaches_a_run(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of them switches the pinned host keys off."""
    for name in [name for name in os.environ if name.startswith(("ANSIBLE_", "HANGAR_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("ANSIBLE_HOST_KEY_CHECKING", "False")
    monkeypatch.setenv("ANSIBLE_ROLES_PATH", "/elsewhere")
    monkeypatch.setenv("HANGAR_STAYS", "there")
    show = "env | grep -E '^(ANSIBLE|HANGAR)_' | cut -d= -f1 | sort | tr '\\n' ' ' >&2; exit 1"
    details = run.fail({"name": "Show", "ansible.builtin.command": {"argv": ["sh", "-c", show]}}).details
    assert "ANSIBLE_CONFIG ANSIBLE_NOCOLOR HANGAR_EVENTS_FD HANGAR_STAYS" in details
    assert "ANSIBLE_HOST_KEY_CHECKING" not in details
    assert "ANSIBLE_ROLES_PATH" not in details


@pytest.mark.parametrize(("known", "taken"), [
    (("C.UTF-8", "en_US.UTF-8"), "C.UTF-8"),
    (("en_US.UTF-8",), "en_US.UTF-8"),
    ((), None),
])  # fmt: skip
def test_ansible_gets_a_locale_that_this_computer_knows(
    known: tuple[str, ...], taken: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An older macOS has no C.UTF-8, and Ansible does not start with a locale that is not there."""

    def setlocale(category: int, name: str | None = None) -> str:
        if name in (None, "before", *known):
            return name or "before"
        raise locale.Error("unsupported locale setting")

    monkeypatch.setattr(locale, "setlocale", setlocale)
    assert playbook._environment(3).get("LC_ALL") == taken


def test_no_descriptor_of_ours_is_left_open(run: Run) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    run.fail(SECRET)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
