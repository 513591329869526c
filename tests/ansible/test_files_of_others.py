"""What root looks at, where others write: it is neither held up by it, nor fed with more than fits."""

from __future__ import annotations

import os
from pathlib import Path

import hangar_files as files
import pytest


def test_a_file_larger_than_the_memory_is_not_read(tmp_path: Path) -> None:
    """As a DAG can put one where root expects the folder `drop`."""
    with (tmp_path / "drop").open("wb") as holes:
        holes.truncate(2**43)
    with pytest.raises(files.FileProblem) as problem:
        files.look(f"{tmp_path}/drop")
    assert str(problem.value) == f"{tmp_path}/drop: is larger than 512 MiB, so it is none of ours; not read"


def test_a_file_that_grows_meanwhile_is_not_read_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "drop").write_text("12345")
    monkeypatch.setattr(files, "LARGEST", 4)
    with pytest.raises(files.FileProblem, match="is larger than 0 MiB"):
        files.look(f"{tmp_path}/drop")
    monkeypatch.setattr(files, "LARGEST", 5)
    assert files.look(f"{tmp_path}/drop").content == b"12345"


def test_a_pipe_that_takes_a_files_place_is_not_waited_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    before = os.lstat(tmp_path / "file")
    os.mkfifo(tmp_path / "drop")
    with monkeypatch.context() as swapped:
        swapped.setattr(files.os, "lstat", lambda *_, **__: before)
        with pytest.raises(files.FileProblem, match=r"/drop: changed while it was looked at$"):
            files.look(f"{tmp_path}/drop")
    assert files.look(f"{tmp_path}/drop").kind == "other"
