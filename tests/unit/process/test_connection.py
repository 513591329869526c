"""Programs that lead somewhere."""

import os

import pytest

from hangar.errors import MissingTool
from hangar.process import connection
from hangar.process.connection import connected


def test_what_is_sent_goes_through_the_program_and_comes_back() -> None:
    with connected(["sh", "-c", "echo hello >&2; exec cat"]) as way:
        way.socket.sendall(b"SSH-2.0-test\r\n")
        assert way.socket.recv(64) == b"SSH-2.0-test\r\n"
        assert way.said() == "hello"


def test_it_ends_with_the_block_though_it_would_not_by_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection, "LEAVE_PATIENCE", 0.1)
    with connected(["sh", "-c", "echo $$; exec sleep 600"]) as way:
        pid = int(way.socket.recv(64))
        os.kill(pid, 0)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_way_that_is_not_installed_is_named() -> None:
    with pytest.raises(MissingTool, match="no-such-program is not installed"), connected(["no-such-program"]):
        pytest.fail("there is no way")
