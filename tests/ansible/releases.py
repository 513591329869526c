"""The machine's program for releases, in a folder of the test's own; Docker is played by a script."""

from __future__ import annotations

import base64
import io
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.templates.render import render

# Plays `as-service airflow docker run …`: each line `dag NAME` of a file is a DAG, `broken` is an error.
DOCKER = """#!{python}
import json, os, pathlib, sys, time
args = sys.argv[1:]
with open({log!r}, "a") as log:
    log.write(json.dumps(args) + "\\n")
if args[2] != "run":
    sys.exit(0)
place = next(word for word in args if word.endswith("/released/current:ro")).split(":")[0]
if os.path.exists({crash!r}):
    sys.exit("docker is not there")
found = dict(dags=dict(), problems=[])
for path in sorted(pathlib.Path(place).rglob("*.py")):
    name = str(path.relative_to(place))
    for line in path.read_text().splitlines():
        if line.startswith("dag "):
            found["dags"][line[4:]] = name
        if line.startswith("does "):
            exec(line[5:])
        if line == "broken":
            found["problems"].append([name, "ImportError: broken (line 1)"])
print(json.dumps(found))
"""


class Machine:
    """The program as the machine has it, with its folders below `folder`."""

    def __init__(self, folder: Path, kept: int = 3) -> None:
        self.released = folder / "srv/airflow/released"
        self.offered = folder / "srv/airflow/stack/offered"
        self.log = folder / "docker.log"
        self.crash = folder / "crash"
        for place in (self.released, self.offered, folder / "bin"):
            place.mkdir(parents=True)
        options = {"airflow_releases_kept": kept, "__airflow_image": "the-image"}
        text = render("airflow", "/usr/local/sbin/airflow-release", **options)
        for place in ("/srv/airflow/released", "/srv/airflow/stack/offered"):
            assert f'Path("{place}")' in text
            text = text.replace(f'Path("{place}")', f'Path("{folder}{place}")')
        self.program = folder / "airflow-release"
        self.program.write_text(text)
        docker = folder / "bin/as-service"
        docker.write_text(DOCKER.format(python=sys.executable, log=str(self.log), crash=str(self.crash)))
        docker.chmod(0o755)
        self.path = f"{docker.parent}:{os.environ['PATH']}"

    def run(
        self, *words: str, input: bytes = b"", python: Sequence[str] = (sys.executable,)
    ) -> tuple[int, Any, str]:
        done = subprocess.run(
            [*python, str(self.program), *words], input=base64.b64encode(input), capture_output=True,
            env={**os.environ, "PATH": self.path}, check=False,
        )  # fmt: skip
        return done.returncode, json.loads(done.stdout) if done.stdout else None, done.stderr.decode()

    def deploy(self, python: Sequence[str] = (sys.executable,), **files: str) -> tuple[int, Any, str]:
        named = {name.replace("__", "/") + ".py": text for name, text in files.items()}
        words = ("deploy", "--by", "ann@desk", "--revision", "abc123")
        return self.run(*words, input=archive(named), python=python)

    def bring(self, **files: str) -> None:
        """What `up` copies to the machine."""
        for path in self.offered.iterdir():
            path.unlink()
        for name, text in files.items():
            (self.offered / f"{name}.py").write_text(text)

    @property
    def current(self) -> dict[str, str]:
        """What Airflow reads."""
        place = self.released / "current"
        return {str(path.relative_to(place)): path.read_text() for path in sorted(place.rglob("*.py"))}

    @property
    def kept(self) -> list[str]:
        return sorted(path.name for path in self.released.iterdir() if path.name[0].isdigit())


def archive(files: dict[str, str], **more: tarfile.TarInfo) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text.encode())
            tar.addfile(member, io.BytesIO(text.encode()))
        for member in more.values():
            tar.addfile(member)
    return packed.getvalue()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)
