"""The machine's way back: tried with a harmless file of its own."""

import json
import shlex

import pytest

UNITS = ("hangar-interlock.service",)

PROGRAM = "/usr/local/lib/hangar/interlock"

# Journals of the contract's own, each as a role would have left it: a file changed, nothing proven.
TRIAL = """
import os, subprocess, sys, time
sys.path.insert(0, "/usr/local/lib/hangar")
import hangar_files as files, hangar_journal as journals
def change(name, after):
    path = f"/run/hangar-contract-{name}"
    with open(path, "w") as stream:
        stream.write("before")
    journal = journals.Journal(name, before={path: files.look(path)})
    with journals.locked(name):
        journals.arm(journal, after)
        files.stage(path, files.State("file", 0, 0, 0o600, b"after")).commit()
    return path
kept = change("contract_kept", 600)
token = journals.load("contract_kept").token
journals.keep(journals.load("contract_kept"))
# what its timer would have run, had it struck all the same
subprocess.run([journals.PROGRAM, "undo", "contract_kept", "--token", token], capture_output=True)
undone = change("contract_undone", 0.3)
deadline = time.monotonic() + 60
while journals.load("contract_undone").state == "open" and time.monotonic() < deadline:
    time.sleep(0.05)
print(open(undone).read(), open(kept).read())
os.unlink(undone); os.unlink(kept)
"""


@pytest.fixture(scope="module")
def machine(host):
    """All that has to be asked of the machine, in one go."""
    told = host.check_output(f"""
        {PROGRAM} list; echo ==
        stat -c '%U %a %n' {PROGRAM} /usr/local/lib/hangar /usr/local/lib/hangar/*.py /var/lib/hangar/journal; echo ==
        systemctl is-enabled hangar-interlock.service
        systemctl show -p Before --value hangar-interlock.service; echo ==
        python3 -c {shlex.quote(TRIAL)}; rm -rf /var/lib/hangar/journal/contract_*
    """)
    journals, files, unit, trial = (part.strip() for part in told.split("==\n"))
    return {"journals": json.loads(journals), "files": files.splitlines(), "unit": unit, "trial": trial}


def test_an_unproven_change_is_undone_by_the_machine_itself(machine):
    """A change that no new login proves is undone by the machine itself; a proven one stays"""
    assert machine["trial"] == "before after"


def test_nothing_unproven_is_left_open(machine):
    """No change waits for its proof after a run"""
    assert [journal["name"] for journal in machine["journals"] if journal["state"] == "open"] == []


def test_an_unproven_change_does_not_outlive_a_restart(machine):
    """What is unproven when the machine goes down is undone before network and SSH start again"""
    assert machine["unit"].startswith("enabled")
    assert {"systemd-sysctl.service", "sysinit.target"} <= set(machine["unit"].split())


def test_only_root_can_touch_the_way_back(machine):
    for line in machine["files"]:
        owner, mode, path = line.split()
        assert owner == "root", path
        assert int(mode, 8) & 0o022 == 0, f"{path} can be written by others"
        assert path != "/var/lib/hangar/journal" or mode == "700"
