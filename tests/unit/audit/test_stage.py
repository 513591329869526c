"""An audit from the command line: its order, what it writes, what it says of the last one, how it ends."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from hangar import cli, paths
from hangar.audit import files, stage
from hangar.audit.record import Exemption, Scan
from hangar.controls import Control
from hangar.errors import HangarError
from hangar.ssh.keys import ensure_key
from hangar.verification import Promise
from tests.unit.fakes import SERVER

UMASK = Control("accounts.umask", "accounts", "Files are closed", ("CIS 5.4.3.3",), ("test_files",), "umask")
OPEN = Control("system.tmp", "system", "Nothing starts from /tmp", ("CIS 1.1.2.1.4",))

Machine = dict[str, object]


@pytest.fixture
def machine(repo: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A machine that says what it is told here; `asked` are the steps that came to it."""
    told: Machine = {"umask": "held", "airflow": "held", "index": 81, "asked": []}

    def verify(*_: object) -> list[Promise]:
        told["asked"].append("verify")  # type: ignore[attr-defined]
        return [
            Promise("accounts", "Files are closed", told["umask"], "no", 0.1, "test_files"),  # type: ignore[arg-type]
            # A case whose control does not name the test: nobody's evidence, so it is told of by itself.
            Promise("accounts", "A case", told.get("case", "held"), "no", 0.1, "test_files", "a.b"),  # type: ignore[arg-type]
            Promise("airflow", "Airflow answers", told["airflow"], "no", 0.1, "test_answers"),  # type: ignore[arg-type]
        ]

    monkeypatch.setattr(stage, "cloud_for", lambda config: None)
    monkeypatch.setattr(stage.pipeline, "require_server", lambda *_: SERVER)
    monkeypatch.setattr(stage.pipeline, "introduce", lambda *_: None)
    monkeypatch.setattr(stage.verification, "verify", verify)
    monkeypatch.setattr(
        stage.scanners, "scan", lambda *_: (Scan("lynis", "3.1.4", f"hardening index {told['index']}"),)
    )
    monkeypatch.setattr(stage, "controls", lambda: (UMASK, OPEN))
    monkeypatch.setattr(
        stage, "exemptions", lambda env: {"system.tmp": Exemption("system.tmp", "Editors need it")}
    )
    paths.ensure_state_dir("local")
    ensure_key(paths.default_private_key("local"), "me")
    return told


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Sets the day of the audit."""

    def on(day: int) -> None:
        class Clock(stage.datetime):  # type: ignore[name-defined, misc]
            @classmethod
            def now(cls, tz: object = None) -> object:
                return cls(2026, 11, day, 5, tzinfo=stage.UTC)

        monkeypatch.setattr(stage, "datetime", Clock)

    return on


def test_a_machine_that_keeps_its_promises_is_evidence_and_success(
    machine: Machine, taken: Callable[[int], None], capsys: pytest.CaptureFixture[str]
) -> None:
    taken(25)
    assert cli.main(["audit", "local", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["counts"] == {"failed": 0, "held": 1, "excepted": 1, "not applicable": 0}
    assert (told["since"], told["changes"]) == ("", [])
    for name in told["files"].values():
        assert Path(name).exists()
        assert Path(f"{name}.sig").exists()


def test_the_evidence_names_the_key_of_who_took_it(
    machine: Machine, taken: Callable[[int], None], capsys: pytest.CaptureFixture[str]
) -> None:
    """Several people share the account, and each signs with a key of their own."""
    taken(25)
    cli.main(["audit", "local", "--json"])
    told = json.loads(capsys.readouterr().out)
    public = f"{paths.default_private_key('local')}.pub"
    listed = subprocess.run(["ssh-keygen", "-l", "-f", public], capture_output=True, text=True, check=True)
    assert told["key"] == listed.stdout.split()[1]
    assert json.loads(Path(told["files"]["data"]).read_text())["key"] == told["key"]
    assert (
        f"by hangar, who signs with the key <code>{told['key']}</code>."
        in Path(told["files"]["page"]).read_text()
    )


def test_what_got_worse_is_told_and_is_no_success(
    machine: Machine, taken: Callable[[int], None], capsys: pytest.CaptureFixture[str]
) -> None:
    taken(25)
    cli.main(["audit", "local"])
    machine |= {"umask": "broken", "airflow": "broken", "index": 70}
    taken(26)
    capsys.readouterr()
    assert cli.main(["audit", "local", "--json"]) == 3
    told = json.loads(capsys.readouterr().out)
    assert told["since"] == "2026-11-25T05:00:00+00:00"
    assert {one["control"]: (one["before"], one["after"]) for one in told["changes"]} == {
        "accounts.umask": ("held", "failed"),
        "Airflow answers": ("", "broken"),
        "lynis": ("hardening index 81", "hardening index 70"),
    }
    assert told["promises_broken"] == ["Airflow answers"]
    old, new = sorted(files.folder("local").glob("*.json"))
    assert cli.main(["audit", "--compare", str(old), str(new), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["changes"] == told["changes"]
    assert cli.main(["audit", "--compare", str(new), str(new)]) == 0
    said = capsys.readouterr()
    assert "Nothing changed." in said.out + said.err


def test_evidence_that_somebody_touched_is_named_and_not_compared_with(
    machine: Machine, taken: Callable[[int], None], capsys: pytest.CaptureFixture[str]
) -> None:
    taken(25)
    cli.main(["audit", "local"])
    machine["umask"] = "broken"
    taken(26)
    cli.main(["audit", "local"])
    old, new = sorted(files.folder("local").glob("*.json"))
    new.write_text(new.read_text().replace('"failed"', '"held"'))
    taken(27)
    capsys.readouterr()
    assert cli.main(["audit", "local", "--json"]) == 3
    said = capsys.readouterr()
    told = json.loads(said.out)
    assert told["since"] == "2026-11-25T05:00:00+00:00"
    assert [(one["control"], one["before"], one["after"]) for one in told["changes"]] == [
        ("accounts.umask", "held", "failed")
    ]
    (sentence,) = told["passed_over"]
    assert sentence.startswith(f"{new.name} is not what ")
    assert "It was not compared with." in " ".join(said.err.split())
    page = Path(told["files"]["page"]).read_text()
    assert f"Not compared with:</strong> {new.name} is not what " in page
    # Compared by name it is named as well, and is no success.
    assert cli.main(["audit", "--compare", str(old), str(new), "--json"]) == 3
    said = capsys.readouterr()
    (doubt,) = json.loads(said.out)["doubts"]
    assert doubt == sentence
    assert f"warning: {new.name} is not what" in said.err
    assert cli.main(["audit", "--compare", str(old), str(old), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["doubts"] == []


def test_where_no_earlier_one_is_genuine_it_is_not_called_the_first(
    machine: Machine, taken: Callable[[int], None], capsys: pytest.CaptureFixture[str]
) -> None:
    taken(25)
    cli.main(["audit", "local"])
    (old,) = files.folder("local").glob("*.json")
    old.with_name(f"{old.name}.sig").unlink()
    taken(26)
    capsys.readouterr()
    assert cli.main(["audit", "local", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["passed_over"] == [f"{old.name} is not signed: {old.name}.sig is not there."]
    page = Path(told["files"]["page"]).read_text()
    assert "No earlier one is as it was signed." in page
    assert "This is the first." not in page


def test_no_broken_case_is_lost_between_the_controls(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    machine["case"] = "broken"
    assert cli.main(["audit", "local", "--json"]) == 3
    told = json.loads(capsys.readouterr().out)
    assert (told["counts"]["failed"], told["promises_broken"]) == (0, ["A case"])


def test_a_key_that_does_not_sign_ends_the_audit_before_the_machine_is_asked(machine: Machine) -> None:
    key = paths.default_private_key("local")
    subprocess.run(["ssh-keygen", "-q", "-p", "-N", "secret", "-P", "", "-f", str(key)], check=True)
    assert cli.main(["audit", "local"]) == 1
    assert machine["asked"] == []


def test_a_scanner_that_is_missing_here_ends_the_audit_before_the_machine_is_asked(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A user's clone is without ssh-audit; the promises take minutes."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert cli.main(["audit", "local", "--with", "lynis,ssh-audit"]) == 1
    said = capsys.readouterr().err
    assert "ssh-audit is not installed here." in said
    assert "make environment" in said
    assert machine["asked"] == []


def test_a_scan_without_a_result_ends_the_audit_before_the_promises_are_proven(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def scan(*_: object) -> None:
        raise HangarError("lynis did not get to its end on hangar-local.")

    monkeypatch.setattr(stage.scanners, "scan", scan)
    assert cli.main(["audit", "local", "--with", "lynis"]) == 1
    assert machine["asked"] == []
    assert list(files.folder("local").iterdir()) == []


def test_scanners_are_named_with_commas_and_with_or_without_spaces(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(stage.scanners, "scan", lambda server, names, report: asked.extend(names) or ())
    assert cli.main(["audit", "local", "--with", "lynis, openscap,"]) == 0
    assert asked == ["lynis", "openscap"]
    assert cli.main(["audit", "local", "--with", "nessus"]) == 1
