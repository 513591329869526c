from __future__ import annotations

import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hangar.process.unattended import heralded
from hangar.ssh import keeper

REPO = Path(keeper.__file__).parents[2]


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(keeper, "LONGEST_PAUSE", 0.02)


def ssh(tmp_path: Path, control: Path, script: str) -> list[str]:
    """Stands for the ssh program; $n counts its starts, $socket is its socket."""
    count = shlex.quote(str(tmp_path / "starts"))
    head = f"echo x >> {count}; n=$(wc -l < {count}); socket={shlex.quote(str(control))}; "
    return ["sh", "-c", head + script]


def starts(tmp_path: Path) -> int:
    return len((tmp_path / "starts").read_text().splitlines())


def test_a_lost_connection_is_opened_anew_until_the_tunnel_is_closed(tmp_path: Path, short: None) -> None:
    control, said = tmp_path / "socket", []
    closed = f"if [ $n = 4 ]; then rm {shlex.quote(str(keeper.owner(control)))}; fi; "
    # The second time the network is still away, so that no socket is made.
    script = closed + 'if [ $n != 2 ]; then touch "$socket"; sleep 0.2; fi; exit 255'
    assert keeper.keep(control, ssh(tmp_path, control, script), lambda: said.append("open")) == 0
    assert starts(tmp_path) == 4
    assert said == ["open"], "it is said once"


def test_what_names_its_keeper_does_not_grow_old_while_the_tunnel_stands(
    tmp_path: Path, short: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What nobody has touched for days is cleared out of /tmp, and then no connection is opened anew"""
    monkeypatch.setattr(keeper, "IN_USE", 0.05)
    control, seen = tmp_path / "socket", tmp_path / "seen"
    kept = shlex.quote(str(keeper.owner(control)))
    script = f"""touch "$socket"; touch -d @0 {kept}
        for _ in $(seq 200); do [ "$(stat -c %Y {kept})" = 0 ] || {{ touch {seen}; break; }}; sleep 0.05; done
        rm {kept}; exit 255"""
    assert keeper.keep(control, ssh(tmp_path, control, script), lambda: None) == 0
    assert seen.exists()


def test_a_first_connection_that_fails_is_not_tried_again(tmp_path: Path, short: None) -> None:
    control, said = tmp_path / "socket", []
    assert keeper.keep(control, ssh(tmp_path, control, "exit 255"), lambda: said.append("open")) == 255
    assert starts(tmp_path) == 1
    assert said == []


def test_whoever_starts_it_is_not_held_up(tmp_path: Path) -> None:
    """It says one line, and its output ends there while it goes on"""
    control = tmp_path / "socket"
    argv = [sys.executable, "-m", "hangar.ssh.keeper", str(control)]
    running = ssh(tmp_path, control, 'touch "$socket"; exec sleep 60')
    kept = subprocess.Popen([*argv, *running], cwd=REPO, stdout=subprocess.PIPE, text=True)
    try:
        assert kept.stdout is not None
        assert kept.stdout.read() == "open\n", "whoever reads to the end comes to it"
        assert kept.poll() is None
    finally:
        kept.kill()
        kept.wait()


ONCE_MORE = """
import sys
from pathlib import Path
from hangar.ssh import keeper
keeper.FIRST_PAUSE = keeper.LONGEST_PAUSE = 0.01
keeper.MOST_SAID = 5000
sys.exit(keeper.keep(Path(sys.argv[1]), sys.argv[2:], lambda: print("open", flush=True)))
"""


def test_what_ssh_complains_of_for_weeks_fills_no_disk(tmp_path: Path) -> None:
    control, log = tmp_path / "socket", tmp_path / "tunnel.log"
    log.write_text("of the last tunnel")
    closed = f"if [ $n = 20 ]; then rm {shlex.quote(str(keeper.owner(control)))}; fi; "
    script = (
        closed + 'if [ $n = 1 ]; then touch "$socket"; sleep 0.2; fi; printf "%01000d\\n" $n >&2; exit 255'
    )
    argv = [sys.executable, "-c", ONCE_MORE, str(control), *ssh(tmp_path, control, script)]
    kept = ["env", f"PYTHONPATH={REPO}", *argv]
    assert heralded(kept, log=log, timeout=20) == "open"
    deadline = time.monotonic() + 20
    while keeper.owner(control).exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    said = log.read_text().splitlines()
    assert starts(tmp_path) == 20
    assert 0 < len(said) <= 7, "those of the last tries"
    assert all(line.strip("0").isdigit() for line in said), "and nothing but them"
