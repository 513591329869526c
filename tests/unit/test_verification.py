import json
import re
import sys
import time
from contextlib import nullcontext
from pathlib import Path

import pytest

from hangar import process, verification
from hangar.cloud.base import Server
from hangar.errors import HangarError, MachineUnreachable
from hangar.paths import REPO
from hangar.process import Completed
from hangar.verification import Promise

SERVER = Server(
    name="hangar-local", environment="local", cloud="container", id="1", address="127.0.0.1", port=2222,
    admin="hangar", host_keys=(), ssh_sources=(), limits=("vm",),
)  # fmt: skip


def contract(folder: Path, name: str, tests: int) -> Path:
    path = folder / f"test_{name}.py"
    path.write_text("\n".join(f"def test_{number}(): pass" for number in range(tests)))
    return path


def test_contracts_are_dealt_out_evenly(tmp_path: Path) -> None:
    sizes = {"base": 12, "airbyte": 20, "firewall": 9, "ssh_server": 14, "people": 5}
    contracts = {name: contract(tmp_path, name, size) for name, size in sizes.items()}
    dealt = verification.shares(contracts, 2)
    assert sorted(path for share in dealt for path in share) == sorted(contracts.values())
    loads = [sum(len(re.findall("def ", path.read_text())) for path in share) for share in dealt]
    assert max(loads) - min(loads) <= 5


def test_a_contract_that_waits_on_purpose_has_a_worker_nearly_for_itself(tmp_path: Path) -> None:
    sizes = {"hardening_accounts": 12, "airbyte": 30, "base": 30, "firewall": 30}
    contracts = {name: contract(tmp_path, name, size) for name, size in sizes.items()}
    assert [contracts["hardening_accounts"]] in verification.shares(contracts, 2)


def test_a_worker_without_a_contract_is_not_started(tmp_path: Path) -> None:
    assert len(verification.shares({"base": contract(tmp_path, "base", 1)}, 4)) == 1


def test_every_role_of_the_site_has_its_contract_read() -> None:
    contracts = verification._contracts(REPO)
    assert list(contracts)[:2] == ["interlock", "base"]
    assert all(path.name == f"test_{role}.py" for role, path in contracts.items())


def test_a_machine_that_lets_nobody_in_is_not_verified(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    known = tmp_path / "ssh_config"
    known.write_text("Host hangar-local\n")
    monkeypatch.setattr(verification, "ssh_config", lambda env: known)
    refused = Completed((), 255, "", "Permission denied (publickey).\n")
    monkeypatch.setattr(process, "bounded", lambda argv, **_: refused)
    with pytest.raises(MachineUnreachable) as caught, verification._connection(SERVER):
        pytest.fail("nothing must be asked")
    assert caught.value == MachineUnreachable(
        "hangar-local lets nobody in, so nothing can be verified.",
        "Permission denied (publickey).",
        "Try: ./provision.py ssh local",
    )


def test_a_machine_that_shows_another_host_key_is_not_verified(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    known = tmp_path / "ssh_config"
    known.write_text("Host hangar-local\n")
    monkeypatch.setattr(verification, "ssh_config", lambda env: known)
    refused = Completed((), 255, "", "Host key verification failed.\n")
    monkeypatch.setattr(process, "bounded", lambda argv, **_: refused)
    with pytest.raises(MachineUnreachable) as caught, verification._connection(SERVER):
        pytest.fail("nothing must be asked")
    assert caught.value.brief == (
        "What answers as hangar-local does not show the SSH host key that is pinned here; nothing was sent to it."
    )


def test_the_connection_is_closed_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    known = tmp_path / "50% of a folder" / "ssh_config"
    known.parent.mkdir()
    known.write_text("Host hangar-local\n  Port 7\n")
    monkeypatch.setattr(verification, "ssh_config", lambda env: known)
    called: list[tuple[str, ...]] = []

    def run(argv: list[str], **_: object) -> Completed:
        called.append(tuple(argv))
        return Completed(tuple(argv), 0, "", "")

    monkeypatch.setattr(process, "run", run)
    monkeypatch.setattr(process, "bounded", run)
    with verification._connection(SERVER) as config:
        assert config.read_text().endswith("\nControlPersist 600\nHost hangar-local\n  Port 7\n")
    assert called[0][-2:] == ("hangar-local", "true")
    assert called[-1][-3:] == ("-O", "exit", "hangar-local")
    assert not config.exists()


def test_what_a_container_cannot_show_is_asked_of_no_container() -> None:
    argv = verification._argv(SERVER, Path("/c"), [Path("/t.py")], 7)
    assert "--cannot=vm" in argv
    assert "--promises=7" in argv
    assert "--hosts=root-shell://hangar-local" in argv


def test_progress_counts_over_all_workers() -> None:
    told: list[tuple[str, int, int]] = []
    tally = verification._Tally(lambda *progress: told.append(progress))
    held = {"role": "base", "sentence": "It holds", "outcome": "held", "reason": "", "seconds": 0.1}
    for line in ({"count": 1}, held, {"count": 1}, {**held, "role": "airflow"}):
        tally.read(json.dumps(line).encode())
    assert tally.promises == [
        Promise("base", "It holds", "held", "", 0.1),
        Promise("airflow", "It holds", "held", "", 0.1),
    ]
    assert told == [("It holds", 1, 1), ("It holds", 2, 2)]


def workers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str) -> None:
    """Let each worker be a Python script that knows its contract ($1) and its descriptor ($2)."""
    monkeypatch.setattr(verification, "log_dir", lambda env: tmp_path)
    monkeypatch.setattr(
        verification,
        "_argv",
        lambda server, config, share, fd: [sys.executable, "-c", script, str(share[0]), str(fd)],
    )


def test_workers_run_side_by_side_and_are_read_as_they_write(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Each waits for the other to have begun, and writes its line in two halves."""
    script = f"""
import json, os, pathlib, sys, time
name, fd = sys.argv[1], int(sys.argv[2])
folder = pathlib.Path({str(tmp_path)!r})
(folder / name).touch()
while not (folder / "a").exists() or not (folder / "b").exists():
    time.sleep(0.01)
line = json.dumps(dict(role=name, sentence="It holds", outcome="held", reason="", seconds=0)).encode()
os.write(fd, line[:10]); time.sleep(0.05); os.write(fd, line[10:] + b"\\n")
sys.exit(1)
"""
    workers(monkeypatch, tmp_path, script)
    tally = verification._Tally(lambda *_: None)
    verification._run(SERVER, Path("/c"), [[Path("a")], [Path("b")]], tally)
    assert sorted(promise.role for promise in tally.promises) == ["a", "b"]


def test_a_worker_that_dies_is_not_taken_for_one_that_found_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    workers(monkeypatch, tmp_path, "import sys; print('no such option'); sys.exit(4)")
    with pytest.raises(HangarError, match="did not run to its end") as caught:
        verification._run(SERVER, Path("/c"), [[Path("a")]], verification._Tally(lambda *_: None))
    assert caught.value.details == "no such option"


def test_an_interrupt_ends_the_workers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    script = "import os, sys, time; os.write(int(sys.argv[2]), b'{\"count\": 1}\\n'); time.sleep(60)"
    workers(monkeypatch, tmp_path, script)

    class Interrupted(verification._Tally):
        def read(self, line: bytes) -> None:
            raise KeyboardInterrupt

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        verification._run(SERVER, Path("/c"), [[Path("a")], [Path("b")]], Interrupted(lambda *_: None))
    assert time.monotonic() - began < 45, "they would have worked for a minute"


def test_tests_that_could_not_run_say_what_they_said(tmp_path: Path) -> None:
    log = tmp_path / "verification-0.log"
    log.write_text(
        'Traceback (most recent call last):\n  File "a.py", line 7, in run\n    b()\nINTERNALERROR> out of memory\n'
    )
    assert verification._unfinished(log) == HangarError(
        "The verification did not run to its end.", "INTERNALERROR> out of memory", f"Its whole output: {log}"
    )


@pytest.mark.parametrize("answers", [True, False], ids=["it answers", "it is gone"])
def test_a_machine_that_goes_away_meanwhile_is_what_is_told(
    monkeypatch: pytest.MonkeyPatch, answers: bool
) -> None:
    """A reboot, say: what the tests made of it is nothing to read."""
    unfinished = HangarError("The verification did not run to its end.", "hangar-local cannot be spoken to.")

    def run(*_: object) -> None:
        raise unfinished

    gone = Completed((), 255, "", "ssh: connect to host 127.0.0.1 port 7: Connection refused\n")
    monkeypatch.setattr(verification, "_run", run)
    monkeypatch.setattr(verification, "_connection", lambda _: nullcontext(Path("/c")))
    monkeypatch.setattr(process, "bounded", lambda argv, **_: Completed((), 0, "", "") if answers else gone)
    with pytest.raises(HangarError) as caught:
        verification.verify(SERVER)
    assert caught.value == (
        unfinished
        if answers
        else MachineUnreachable(
            "hangar-local cannot be spoken to.",
            "ssh: connect to host 127.0.0.1 port 7: Connection refused",
            "See whether it can be reached: ./provision.py ssh local",
        )
    )
