"""The machine's program `editors`: what it clears away in a home, and that nobody's home can stop it."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.templates.render import render

NOBODY = pwd.getpwnam("nobody")
"""Somebody whom a closed folder stops; root it would not."""

Tidy = Callable[[], subprocess.CompletedProcess[str]]


@pytest.fixture
def place() -> Iterator[Path]:
    """The home of somebody who has an editor's folder, where they can reach it."""
    with tempfile.TemporaryDirectory(prefix="hangar-editors-") as folder:
        Path(folder).chmod(0o755)
        home = Path(folder) / "ana"
        (home / ".vscode-server/data/logs").mkdir(parents=True)
        (home / ".vscode-server/cli/servers").mkdir(parents=True)
        yield home


@pytest.fixture
def by_person() -> str:
    """The signal that the person sends to what runs as them; none."""
    return ""


@pytest.fixture
def tidy(tmp_path: Path, place: Path, by_person: str) -> Tidy:
    """Runs it as the machine does: root becomes the person, and a status other than 0 is a unit that failed."""
    text = render("remote_ssh", "/usr/local/lib/hangar/editors", remote_ssh_servers_kept=1)
    text = text.replace('"/etc/skel', f'"{place.parent}/skel')
    text = text.replace('"/srv/airflow/dags', f'"{place.parent}/dags')
    played = "\n".join(
        [
            "members = lambda: [pwd.struct_passwd(('ana', '*', *IDS, '', PLACE, '/bin/sh'))]",
            "pwd.getpwuid = lambda uid: members()[0]",
            f"PLACE, IDS = {str(place)!r}, {(NOBODY.pw_uid, NOBODY.pw_gid)!r}",
        ]
    )
    if by_person:
        played += f"\nPATIENCE = 0.3\nhome = lambda place: os.kill(os.getpid(), signal.{by_person})"
    program = tmp_path / "editors.py"
    program.write_text(text.replace('if __name__ == "__main__":', f'{played}\nif __name__ == "__main__":'))

    def run() -> subprocess.CompletedProcess[str]:
        subprocess.run(["chown", "-R", f"{NOBODY.pw_uid}:{NOBODY.pw_gid}", place], check=True)
        return subprocess.run([sys.executable, program, "tidy"], capture_output=True, text=True, timeout=60)

    return run


def old(path: Path, day: int = 1) -> Path:
    path.mkdir(exist_ok=True)
    os.utime(path, (day * 86_400, day * 86_400))
    return path


pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="root becomes the person whose home it is")


def test_old_versions_and_logs_go_and_the_newest_stays(place: Path, tidy: Tidy) -> None:
    servers, log = place / ".vscode-server/cli/servers", place / ".vscode-server/data/logs"
    for day in (1, 2, 3):
        old(servers / f"Stable-{day}", day)
    old(log / "before")
    (log / "new").mkdir()
    done = tidy()
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        f"ana: removed {servers}/Stable-2", f"ana: removed {servers}/Stable-1", f"ana: removed {log}/before",
    ]  # fmt: skip
    assert [path.name for path in (*servers.iterdir(), *log.iterdir())] == ["Stable-3", "new"]


def test_a_folder_that_its_owner_closed_is_passed_over(place: Path, tidy: Tidy) -> None:
    """Wherever it is: what can be seen and removed is"""
    root = place / ".vscode-server"
    for folder in (root / "x", root / "cli/servers/Stable-1/inside", root / "data/logs/1/inside"):
        folder.mkdir(parents=True)
        (folder / "file").touch()
        folder.chmod(0)
    old(root / "cli/servers/Stable-1")
    old(root / "data/logs/1")
    old(root / "data/logs/2")
    old(root / "cli/servers/Stable-2", 2)
    done = tidy()
    assert (done.returncode, done.stderr) == (0, "")
    said = done.stdout.splitlines()
    assert f"ana: removed {root}/data/logs/2" in said
    assert (
        len([line for line in said if line.startswith("ana: passed over: [Errno 13] Permission denied: ")])
        == 2
    )
    assert (root / "cli/servers/Stable-2").exists()


@pytest.mark.parametrize("name", ["", ".vscode-server", ".vscode-server/cli/servers", ".vscode-server/data"])
def test_a_home_that_is_closed_or_unsearchable_fails_nothing(place: Path, tidy: Tidy, name: str) -> None:
    old(place / ".vscode-server/data/logs/1")
    for mode in (0o000, 0o444):
        (place / name).chmod(mode)
        done = tidy()
        assert (done.returncode, done.stderr) == (0, ""), oct(mode)


def test_settings_come_once_and_a_file_in_their_place_fails_nothing(place: Path, tidy: Tidy) -> None:
    settings = ".vscode-server/data/Machine/settings.json"
    (place.parent / "skel" / settings).parent.mkdir(parents=True)
    (place.parent / "skel" / settings).write_text("{}")
    assert tidy().stdout == f"ana: wrote {place}/{settings}\n"
    assert (place / settings).read_text() == "{}"
    shutil.rmtree(place / ".vscode-server/data")
    (place / ".vscode-server/data").touch()
    done = tidy()
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("ana: passed over: ")


RECOMMENDED = ".vscode/extensions.json"


def test_extensions_are_recommended_in_homes_and_in_the_shared_folder(place: Path, tidy: Tidy) -> None:
    """Once, whether VS Code was opened by the workspace, by the link or by hand; what people made of it stays"""
    shared = place.parent / "dags"
    shared.mkdir()
    (place.parent / "skel/.vscode").mkdir(parents=True)
    (place.parent / "skel" / RECOMMENDED).write_text('{"recommendations": []}')
    done = tidy()
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(done.stdout.splitlines()) == [
        f"ana: wrote {place}/{RECOMMENDED}", f"ana: wrote {shared}/{RECOMMENDED}",
    ]  # fmt: skip
    for folder in (place, shared):
        assert (folder / RECOMMENDED).read_text() == '{"recommendations": []}'
        (folder / RECOMMENDED).write_text("mine")
    assert tidy().stdout == ""
    assert [(folder / RECOMMENDED).read_text() for folder in (place, shared)] == ["mine", "mine"]


def test_root_follows_no_link_in_the_shared_folder(place: Path, tidy: Tidy) -> None:
    shared, elsewhere = place.parent / "dags", place.parent / "elsewhere"
    for folder in (shared, elsewhere, place.parent / "skel/.vscode"):
        folder.mkdir(parents=True)
    (place.parent / "skel" / RECOMMENDED).touch()
    (shared / ".vscode").symlink_to(elsewhere)
    done = tidy()
    assert (done.returncode, done.stderr) == (0, "")
    assert list(elsewhere.iterdir()) == []


def test_a_name_of_the_persons_own_choice_is_one_line_of_the_journal(place: Path, tidy: Tidy) -> None:
    log = os.fsencode(place / ".vscode-server/data/logs")
    for name in (b"a\nroot: removed", b"b\xff"):
        old(Path(os.fsdecode(log + b"/" + name)))
    done = tidy()
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(done.stdout.splitlines()) == [
        f"ana: removed {os.fsdecode(log)}/a?root: removed", f"ana: removed {os.fsdecode(log)}/b?",
    ]  # fmt: skip


def test_folders_without_an_end_are_counted(place: Path, tidy: Tidy) -> None:
    """Deeper than Python calls itself"""
    subprocess.run(["mkdir", "-p", f"{place}/.vscode-server/{'d/' * 1200}"], check=True)
    try:
        done = tidy()
        assert (done.returncode, done.stderr) == (0, "")
    finally:
        subprocess.run(["rm", "-rf", place / ".vscode-server/d"], check=True)


def test_an_account_that_root_cannot_become_is_told(place: Path, tidy: Tidy, tmp_path: Path) -> None:
    """That is the machine's own trouble, and the unit fails"""
    tidy()
    program = tmp_path / "editors.py"
    program.write_text(program.read_text().replace("os.setuid(account.pw_uid)", "os.setuid(-2)"))
    assert tidy_again(program).returncode == 1


def tidy_again(program: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, program, "tidy"], capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize(("by_person", "told"), [("SIGSTOP", 9), ("SIGTERM", 15)])
def test_whoever_stops_what_runs_as_them_keeps_nobody_waiting_and_fails_no_unit(
    tidy: Tidy, told: int
) -> None:
    done = tidy()
    said = f"ana: passed over: it was ended by signal {told}, or took more than 0.3 s\n"
    assert (done.returncode, done.stdout, done.stderr) == (0, said, "")


def test_what_does_not_end_when_it_is_killed_keeps_nobody_waiting(tidy: Tidy, tmp_path: Path) -> None:
    """The kernel lets it go when what it asked answers, and that may be a program of the person's own"""
    tidy()
    program = tmp_path / "editors.py"
    text = program.read_text().replace("os.kill(child, signal.SIGKILL)", "pass")
    played = "\nPATIENCE = LAST = 0.1\nhome = lambda place: time.sleep(2)\nif __name__"
    program.write_text(text.replace("\nif __name__", played))
    done = tidy_again(program)
    assert (done.returncode, done.stdout, done.stderr) == (0, "ana: passed over: it does not end\n", "")
