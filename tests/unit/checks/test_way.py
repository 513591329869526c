"""What doctor makes of a way that ends somewhere: each step with its cure, and nothing beyond the step that fails."""

from __future__ import annotations

import re
import socket
import subprocess
import threading
from pathlib import Path

import pytest

from hangar import paths
from hangar.checks import editor_server, way
from hangar.checks.finding import Finding, ok
from hangar.cloud.base import Jump
from hangar.ssh import client_config, jump, proxy
from tests.unit.fakes import SERVER

SETTINGS = {"HostName": "127.0.0.1", "Port": "22", "User": "anna", "IdentityFile": "/home/anna/id"}
REACHED = "debug1: Remote protocol version 2.0\ndebug1: Server host key: ssh-ed25519 SHA256:abc\n"
PORT = ok("Port", "127.0.0.1 port 22 speaks SSH")
OVER_A_JUMP_HOST = proxy.text(
    jump.command(SERVER, Jump("gate.example", 22, "me", ()), "me", Path("/home/anna/id")), windows=False
)
GOOD = "hangar-doctor\nroom 50000000 /home/anna\nshare 4000000000 20000000000 held\nwatches 524288\nrun yes /tmp\n" \
       "run yes /home/anna\ndags yes\nout update.code.visualstudio.com 200\n" \
       "out marketplace.visualstudio.com 200\n"  # fmt: skip


def steps(said: str) -> dict[str, tuple[str, str, str]]:
    found = way.connection("sandbox", SETTINGS, PORT, way.Tried(said, ""))
    return {one.name: (one.state, one.detail, one.cure) for one in found}


def test_a_login_that_works_shows_by_what() -> None:
    found = steps(f'{REACHED}Authenticated to hangar-sandbox ([127.0.0.1]:22) using "publickey".\n')
    assert found["Host key"] == ("ok", "ssh-ed25519 SHA256:abc, as pinned", "")
    assert found["Login"] == ("ok", "anna, by this key", "")


@pytest.mark.parametrize(
    ("said", "name", "detail", "cure"),
    [
        (
            f"{REACHED}Host key verification failed.\n", "Host key",
            "ssh-ed25519 SHA256:abc is not the pinned one: a new machine, or a stranger",
            "If somebody made it anew: ./provision.py ssh-config sandbox pins the new key. If nobody did, stop here.",
        ),
        (
            f"{REACHED}debug1: Offering public key: /home/anna/id\nanna@x: Permission denied (publickey).\n", "Login",
            "the key was offered and refused for anna: it is not on the machine, or the account may not log in",
            "Ask an admin for an entry: ./provision.py people add NAME sandbox --role admin --key /home/anna/id.pub\n"
            "Or name another key: ./provision.py ssh-config sandbox --user NAME --key PATH",
        ),
        (
            f"{REACHED}debug1: Offering public key: /home/anna/id\ndebug1: Server accepts key: /home/anna/id\n",
            "Login", "the machine knows the key, but it has a passphrase and no agent holds it",
            "ssh-add /home/anna/id",
        ),
        (
            f"{REACHED}debug1: Offering public key: /home/anna/id ED25519-SK SHA256:x explicit authenticator\n"
            "debug1: Server accepts key: /home/anna/id ED25519-SK SHA256:x explicit authenticator\n"
            "ssh did not finish within 5 s.\n", "Login",
            "the machine knows the key, but its hardware did not sign: not plugged in, or not touched",
            "Plug it in, and touch it when it blinks: ssh hangar-sandbox",
        ),
        (
            "debug1: connecting\nhangar relay: 4033 not authorised\n", "Port",
            "it leads nowhere: hangar relay: 4033 not authorised", "./provision.py status sandbox",
        ),
    ],
)  # fmt: skip
def test_the_step_that_fails_is_named_with_its_cure(said: str, name: str, detail: str, cure: str) -> None:
    found = steps(said)
    assert found[name] == ("missing", detail, cure)
    assert list(found)[-1] == name, "what lies beyond is not guessed"


def test_a_login_that_takes_too_long_tells_how_far_it_came(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the account's start-up files wait, the way there is none of the trouble"""
    (tmp_path / "ssh").write_text(
        f"#!/bin/sh\nprintf '{REACHED}Authenticated to hangar-sandbox ([127.0.0.1]:22).\\n' >&2\nexec sleep 9\n"
    )
    (tmp_path / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(way, "PATIENCE", 0.5)
    tried = way.log_in("sandbox", tmp_path / "config")
    assert tried.said.endswith("\nssh was ended: it took longer than 0.5 seconds.\n")
    found = [
        *way.connection("sandbox", SETTINGS, PORT, tried),
        *editor_server.findings("sandbox", tried.answer),
    ]
    assert [(one.name, one.state) for one in found] == [
        ("Port", "ok"),
        ("Host key", "ok"),
        ("Login", "ok"),
        ("Shell", "missing"),
    ]


def test_on_a_slow_way_what_the_machine_has_said_by_then_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A login of some seconds, and a machine that waits in vain for the marketplace, are no fault of start-up files"""
    (tmp_path / "said").write_text(GOOD[: GOOD.index("out ")])
    (tmp_path / "ssh").write_text(
        f"#!/bin/sh\nprintf '{REACHED}Authenticated to hangar-sandbox ([127.0.0.1]:22).\n' >&2\n"
        f"cat {tmp_path}/said; exec sleep 9\n"
    )
    (tmp_path / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(way, "PATIENCE", 0.5)
    tried = way.log_in("sandbox", tmp_path / "config")
    found = editor_server.findings("sandbox", tried.answer)
    assert [one.name for one in found if one.state != "ok"] == ["Downloads"]
    assert {"Disk", "Programs run", "DAG folder"} <= {one.name for one in found}


def test_somebody_with_a_new_laptop_reads_what_an_admin_is_to_type(
    repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hangar.ssh.client_config.is_operators", lambda env: False)
    _, _, cure = steps(f"{REACHED}debug1: Offering public key: /home/anna/id\nanna@x: Permission denied.\n")[
        "Login"
    ]
    assert cure.startswith(
        "Ask an admin to let it in: ./provision.py people key anna sandbox --key /home/anna/id.pub\nOr name"
    )


def test_what_names_a_checkout_that_was_moved_is_written_anew(
    repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths.ensure_state_dir("local")
    client_config.write(SERVER, tmp_path / "id")
    monkeypatch.setattr(paths, "REPO", tmp_path / "moved")
    (tmp_path / "moved").mkdir()
    (tmp_path / ".hangar").rename(tmp_path / "moved/.hangar")
    (found,) = way.look("local")
    assert (found.state, found.cure) == ("missing", "./provision.py ssh-config local")
    client_config.write(SERVER, tmp_path / "id")
    assert [step.name for step in way.look("local")] == ["Name for ssh", "VS Code", "Key"]


def test_in_wsl_the_editor_is_windows_and_so_is_its_ssh(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file of settings in this home is none that it reads"""
    monkeypatch.setattr("hangar.checks.way.program.find", lambda: "/usr/bin/code")
    assert way.editor("sandbox") == ok("VS Code", "/usr/bin/code")
    for there, home in (
        ("/mnt/c/Users/Anna M/AppData/Local/Programs/Microsoft VS Code/bin/code", "/mnt/c/Users/Anna M"),
        ("/mnt/c/Program Files/Microsoft VS Code/bin/code", "/mnt/c/Users/NAME"),
    ):
        monkeypatch.setattr("hangar.checks.way.program.find", lambda there=there: there)
        found = way.editor("sandbox")
        assert (found.state, found.detail.startswith(f"{there} is Windows' own")) == ("warning", True)
        assert f" --windows '{home}/.ssh'" in found.cure or f" --windows {home}/.ssh" in found.cure
    disk = tmp_path / "mnt"
    monkeypatch.setattr(way, "WINDOWS_DISK", re.compile(f"{disk}/[a-z]/(?:(?P<home>Users/[^/]+)/)?"))
    monkeypatch.setattr("hangar.checks.way.program.find", lambda: f"{disk}/c/Users/anna/code")
    assert way.editor("sandbox").state == "warning"
    (disk / "c/Users/anna/.ssh/config.d").mkdir(parents=True)
    (disk / "c/Users/anna/.ssh/config.d/hangar-sandbox").touch()
    assert way.editor("sandbox").state == "ok"
    assert way.editor("production").state == "warning"


def test_a_key_that_others_may_read_is_named_before_ssh_refuses_it(tmp_path: Path) -> None:
    key = tmp_path / "id"
    key.touch()
    key.chmod(0o644)
    settings = {**SETTINGS, "IdentityFile": str(key)}
    assert way.key("sandbox", settings).cure == f"chmod 600 {key}"
    key.chmod(0o600)
    assert way.key("sandbox", settings).state == "ok"
    key.unlink()
    assert way.key("sandbox", settings).cure == (
        "Name yours: ./provision.py ssh-config sandbox --user NAME --key PATH"
    )


def answered(words: bytes) -> Finding:
    """What is made of a port that answers so."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            connection.sendall(words)
            connection.close()

        thread = threading.Thread(target=answer)
        thread.start()
        found = way.reach("sandbox", {**SETTINGS, "Port": str(server.getsockname()[1])})
        thread.join()
    return found


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("Not allowed at this time", "turns this computer's address away for a while"),
        ("Exceeded MaxStartups", "has too many logins under way"),
    ],
)
def test_sshd_that_turns_an_address_away_is_nobody_in_between(said: str, why: str) -> None:
    """What comes before its name means wait, and not another network; also where the way leads through a tunnel"""
    found = answered(f"{said}\r\n".encode())
    assert (found.name, found.state) == ("Port", "missing")
    assert why in found.detail
    assert found.cure.startswith("Wait ")
    through = ok("Way", "through Hangar's relay")
    for settings in (SETTINGS, {**SETTINGS, "ProxyCommand": OVER_A_JUMP_HOST}):
        (step,) = way.connection(
            "sandbox", settings, through,
            way.Tried(
                f"debug1: kex_exchange_identification: banner line 0: {said}\n"
                "kex_exchange_identification: Connection closed by remote host\n", ""
            ),
        )  # fmt: skip
        assert (step.name, step.state, step.cure) == ("Way", "missing", found.cure)
        assert why in step.detail


def test_a_port_where_something_else_answers_is_no_way() -> None:
    found = answered(b"HTTP/1.1 200 OK\r\n")
    assert found.detail.endswith("answers, but not as SSH: somebody is in between")
    closed = way.reach("sandbox", {**SETTINGS, "Port": "1"})
    assert closed.detail.startswith("127.0.0.1 port 1: Connection refused")
    assert way.reach("sandbox", {**SETTINGS, "HostName": "nowhere.invalid"}).name == "Address"


def test_a_machine_that_is_fit_has_nothing_to_cure() -> None:
    assert [one for one in editor_server.findings("sandbox", GOOD) if one.state != "ok"] == []


@pytest.mark.parametrize(
    ("good", "bad", "name", "state"),
    [
        ("room 50000000", "room 100000", "Disk", "missing"),
        ("share 4000000000 20000000000 held", "share 19000000000 20000000000 held", "Disk", "missing"),
        ("share 4000000000 20000000000 held", "share 21000000000 20000000000 measured", "Disk", "warning"),
        ("watches 524288", "watches 8192", "Watched files", "warning"),
        ("run yes /tmp", "run no /tmp", "Programs run", "missing"),
        ("run yes /tmp", "write no /tmp", "Programs run", "missing"),
        ("dags yes", "dags no", "DAG folder", "warning"),
        ("dags yes", "dags yes\nlacks tar", "Programs", "missing"),
        ("marketplace.visualstudio.com 200", "marketplace.visualstudio.com 000", "Downloads", "warning"),
    ],
)
def test_what_the_machine_lacks_is_named_with_its_cure(good: str, bad: str, name: str, state: str) -> None:
    (found,) = [
        one for one in editor_server.findings("sandbox", GOOD.replace(good, bad)) if one.state != "ok"
    ]
    assert (found.name, found.state) == (name, state)
    assert found.cure


@pytest.mark.parametrize(
    ("share", "said"),
    [
        ("share 4000000000 20000000000 held", "51.2 GB free in /home/anna, yours are 4.0 of 20.0 GB"),
        ("share 19000000000 20000000000 measured", "51.2 GB free in /home/anna, yours are 19.0 of 20.0 GB"),
        ("share", "51.2 GB free in /home/anna"),  # a machine without shares
    ],
)
def test_a_persons_share_of_the_disk_is_told_with_what_is_free(share: str, said: str) -> None:
    answer = GOOD.replace("share 4000000000 20000000000 held", share)
    (disk,) = [one for one in editor_server.findings("sandbox", answer) if one.name == "Disk"]
    assert (disk.state, disk.detail) == ("ok", said)


def test_a_home_that_is_not_there_is_named_and_so_is_all_else() -> None:
    """df says nothing then, and the home's name stands in the number's place"""
    found = editor_server.findings("sandbox", GOOD.replace("room 50000000 /home/anna", "room  /home/my anna"))
    assert [(one.name, one.state) for one in found][:2] == [("Disk", "missing"), ("Watched files", "ok")]
    assert found[0].detail.startswith("what is free in /home/my anna cannot be told: it is not there")
    assert found[0].cure.startswith("./provision.py up sandbox")


def test_an_answer_that_broke_off_is_judged_as_far_as_it_came() -> None:
    for length in range(len("hangar-doctor\n"), len(GOOD)):
        found = {one.name: one for one in editor_server.findings("sandbox", GOOD[:length])}
        assert (found["Disk"].state == "ok") == (length >= GOOD.index("share")), GOOD[:length]


@pytest.mark.parametrize("answer", ["", "Choose a session [1-3]: ", "run for your life\n"])
def test_a_shell_that_runs_no_command_is_an_answer_too(answer: str) -> None:
    (found,) = editor_server.findings("sandbox", answer)
    assert (found.name, found.state) == ("Shell", "missing")


@pytest.mark.parametrize(
    "greeting",
    ["Welcome back", "run for your life", "dags are great here", "watches over you", "lacks all sense"],
)
def test_start_up_files_that_print_are_named_and_change_no_other_answer(greeting: str) -> None:
    before, *rest = editor_server.findings("sandbox", f"\x1b[1m{greeting}\n{GOOD}")
    assert (before.name, before.state) == ("Shell", "warning")
    assert before.detail == (
        f'the account\'s start-up files print, also where a program listens: "[1m{greeting}"'
    )
    assert before.cure == "Let them print for people only, in ~/.bashrc: case $- in *i*) echo Hello ;; esac"
    assert rest == editor_server.findings("sandbox", GOOD)


def test_the_script_answers_what_is_judged(tmp_path: Path) -> None:
    """Run here, in a home whose name holds a blank"""
    home = tmp_path / "my home"
    (home / "tmp").mkdir(parents=True)
    # Nobody is asked over the network.
    (tmp_path / "curl").write_text("#!/bin/sh\nprintf 200\n")
    (tmp_path / "curl").chmod(0o755)
    done = subprocess.run(
        ["sh", "-s"], input=editor_server.SCRIPT, capture_output=True, text=True, timeout=30, check=True,
        env={"HOME": str(home), "TMPDIR": str(home / "tmp"), "PATH": f"{tmp_path}:/usr/bin:/bin"},
    )  # fmt: skip
    found = {one.name: one for one in editor_server.findings("sandbox", done.stdout)}
    assert "Shell" not in found
    assert found["Programs run"] == ok("Programs run", "from the home and from the temporary folder")
    assert found["Downloads"].state == "ok"
    assert list((home / "tmp").iterdir()) == []
    # A greeting without an end of line does not swallow the first answer.
    shell, *others = editor_server.findings("sandbox", f"Hello{done.stdout}")
    assert shell.detail.endswith('"Hello"')
    assert others == list(found.values())


@pytest.mark.parametrize(
    ("command", "detail"),
    [
        (
            f"/usr/bin/python3 -I {paths.REPO / 'hangar/cloud/gcp/relay'} --project p",
            "through Hangar's relay",
        ),
        ("/usr/bin/gcloud compute start-iap-tunnel vm 22", "through gcloud"),
    ],
)
def test_the_program_that_leads_on_is_named(command: str, detail: str) -> None:
    assert way.reach("production", {**SETTINGS, "ProxyCommand": command}) == ok("Way", detail)
