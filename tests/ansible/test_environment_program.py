"""The program that makes the environment for DAGs, in a folder of the test's own; its tools are played."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from hangar.paths import REPO
from tests.templates.render import render

PROGRAM = "/usr/local/lib/hangar/airflow-environment"

# Plays pip: installs an `uv` that makes an environment of one file.
PIP = """#!/bin/sh
while [ "$1" != --target ]; do shift; done
mkdir -p "$2/bin"
cat > "$2/bin/uv" <<'END'
#!/bin/sh
for last; do :; done
case " $* " in *" venv "*) mkdir "$last"; echo x > "$last/python" ;; esac
END
chmod +x "$2/bin/uv"
"""

# Writes down its words, and what stands there; then it is the real one.
RECORDED = """#!/bin/sh
echo "{name} $* | $(ls {folder}/opt | tr '\\n' ' ')" >> {folder}/log
exec /bin/{name} "$@"
"""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    text = render(
        "remote_ssh", PROGRAM, role_path=str(REPO / "roles/remote_ssh"), __remote_ssh_environment="airflow-1"
    )
    for before, after in (
        ("/opt/hangar", f"{tmp_path}/opt"),
        ("export PATH=", f"export PATH={tmp_path}/bin:"),
    ):
        assert before in text
        text = text.replace(before, after)
    tools = {name: RECORDED.format(name=name, folder=tmp_path) for name in ("sync", "mv")} | {"python3": PIP}
    (tmp_path / "bin").mkdir()
    for name, script in tools.items():
        (tmp_path / "bin" / name).write_text(script)
        (tmp_path / "bin" / name).chmod(0o755)
    (tmp_path / "airflow-environment").write_text(text)
    return tmp_path


def test_an_environment_is_on_the_disk_before_it_has_its_name(program: Path) -> None:
    subprocess.run(["sh", program / "airflow-environment"], check=True)
    opt = program / "opt"
    assert (opt / "airflow/python").read_text() == "x\n"
    assert (program / "log").read_text().splitlines() == [
        f"sync -f {opt}/airflow-1.unfinished | airflow-1.unfinished ",
        f"mv {opt}/airflow-1.unfinished {opt}/airflow-1 | airflow-1.unfinished ",
        f"mv -T {opt}/airflow.new {opt}/airflow | airflow-1 airflow.new ",
    ]


def test_an_environment_that_is_there_is_not_made_again(program: Path) -> None:
    subprocess.run(["sh", program / "airflow-environment"], check=True)
    (program / "log").unlink()
    subprocess.run(["sh", program / "airflow-environment"], check=True)
    assert "sync" not in (program / "log").read_text()
