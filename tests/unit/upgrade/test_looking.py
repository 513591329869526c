"""What a machine says of itself before an upgrade."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from hangar.upgrade.remote import looking
from tests.unit.upgrade.stand import Machine, ask


def test_what_the_machine_has(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    inside = {"environments": {"/opt/dbt": {"dbt-core": "1.11.2"}}, "limits": {}, "python": "3.13.5",
              "machine": "x86_64", "suite": "trixie"}  # fmt: skip
    monkeypatch.setenv("INSIDE", json.dumps(inside))
    machine.file("srv/airflow/state/images-outdated", "")
    machine.file("srv/airflow/postgres/17/PG_VERSION", "17\n")
    machine.file("srv/warehouse/postgres/PG_VERSION", "17\n")
    found = ask("look")["ok"]
    assert found["simulated"].startswith("Inst less [668-1]")
    assert (found["apt_problem"], found["apt_refusal"]) == ("", "")
    assert (found["revision"], found["chart"]) == ("aaaa", "")
    assert found["services"] == {"airflow": {**inside, "running": True, "outdated": True, "waiting": False}}
    assert found["postgres"] == {"airflow": "17", "warehouse": "17"}
    assert found["lint"] == ["Removed `check_slas`."]


def test_what_is_no_major_version_of_airflows_database_is_none(machine: Machine) -> None:
    """A copy beside the data ended `upgrade plan` as a defect"""
    for name in ("9", "16", "1x", "17.new", "17-before", "2024copy", "x"):
        machine.file(f"srv/airflow/postgres/{name}/PG_VERSION", "17\n")
    assert ask("look")["ok"]["postgres"] == {"airflow": "16"}


def test_airbytes_platform_is_told_without_what_its_settings_say(machine: Machine) -> None:
    assert ask("look")["ok"]["platform"] is None
    record = {"chart": "2.4.0", "port": 8000, "low_resource": False, "values": "1"}
    machine.file("srv/airbyte/abctl/state/installed.json", json.dumps(record))
    found = ask("look")["ok"]
    assert (found["chart"], found["platform"]["settings"]) == ("2.4.0", None)
    given = {"global": {"storage": {"key": "hunter2"}, "env": [{"name": "x"}], "none": {}}}
    machine.file("srv/airbyte/abctl/state/installed.json", json.dumps({**record, "helm": given}))
    found = ask("look")["ok"]
    assert set(found["platform"]["settings"]) == {"global.storage.key", "global.env", "global.none"}
    assert "hunter2" not in json.dumps(found)


def test_a_mirror_that_does_not_answer_and_containers_that_do_not(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    # apt-get ends well there where it is not asked for every list.
    monkeypatch.setenv("FAILS", "*Error-Mode=any update")
    found = ask("look")["ok"]
    assert found["apt_problem"] == "E: no such mirror"
    monkeypatch.setenv("FAILS", "*python3*")
    assert ask("look")["ok"]["services"]["airflow"]["running"] is False


def test_packages_that_do_not_fit_together_keep_nothing_else_from_being_told(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAILS", "*--simulate*")
    monkeypatch.setenv("PRINTS", "The following packages have unmet dependencies:\n systemd : Breaks: less\n")
    found = ask("look")["ok"]
    assert found["simulated"].endswith(" systemd : Breaks: less\n")
    assert (found["apt_problem"], found["apt_refusal"]) == ("", "E: no such mirror")
    assert found["revision"] == "aaaa"


def test_a_cut_upgrade_is_seen(machine: Machine) -> None:
    ask("keep", broken=["base: Time is kept"])
    machine.file("srv/maintenance/drained.json", "{}")
    found = ask("look")["ok"]["cut"]
    assert (found["revision"], found["broken"], found["held"]) == ("aaaa", ["base: Time is kept"], True)
    (machine.root / "srv/maintenance/drained.json").unlink()
    assert ask("look")["ok"]["cut"]["held"] is False


def test_what_is_installed_in_a_container_is_told_with_what_it_demands_of_airflow(tmp_path: Path) -> None:
    metadata = {
        "airflow/venv": (
            "Name: apache_airflow_providers_sftp\nVersion: 5.0\nRequires-Dist: apache-airflow<3.4,>=2.11\n"
            "Requires-Dist: apache-airflow-providers-ssh>=3\nRequires-Dist: apache-airflow>=9 ; extra == 'x'\n"
        ),
        "dbt": "Name: dbt-core\nVersion: 1.11.2\n",
    }
    for place, text in metadata.items():
        info = tmp_path / place / "lib/python3.13/site-packages/one-1.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\n{text}")
    script = looking.INSIDE.replace("/opt/", f"{tmp_path}/")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert found["environments"] == {
        f"{tmp_path}/airflow/venv": {"apache-airflow-providers-sftp": "5.0"},
        f"{tmp_path}/dbt": {"dbt-core": "1.11.2"},
    }
    assert found["limits"] == {"apache-airflow-providers-sftp": "apache-airflow<3.4,>=2.11"}
    assert found["python"].count(".") == 2
    assert found["suite"]
