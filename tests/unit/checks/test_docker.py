from __future__ import annotations

from typing import Any

import pytest

from hangar import engine
from hangar.checks import docker, image, room
from hangar.cloud import base_image
from hangar.errors import CloudError, MissingTool

FACTS = {"SecurityOptions": ["name=seccomp"], "ServerVersion": "28.0", "ApiVersion": "1.50", "OSType": "linux",
         "CgroupVersion": "2", "MemTotal": 8 * 2**30, "DockerRootDir": "/"}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "detail"),
    [
        ({}, "28.0, cgroup version 2"),
        ({"SecurityOptions": ["name=rootless"]}, "it is a rootless engine"),
        ({"ApiVersion": "1.40", "ServerVersion": "19.03"}, "version 19.03 is too old"),
        ({"OSType": "windows"}, "it runs Windows containers"),
    ],
)
def test_an_engine_must_be_fit(monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], detail: str) -> None:
    monkeypatch.setattr(engine, "facts", lambda: {**FACTS, **change})
    finding = docker.fit()
    assert finding.detail.startswith(detail)
    assert finding.state == ("missing" if change else "ok")


def test_a_missing_engine_names_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "installed", lambda: False)
    monkeypatch.setattr(engine, "has_apt", lambda: True)
    finding = docker.installed()
    assert (finding.packages, finding.cure) == (("docker.io",), "sudo apt-get install docker.io")


def test_without_apt_the_instructions_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "installed", lambda: False)
    monkeypatch.setattr(engine, "has_apt", lambda: False)
    finding = docker.installed()
    assert finding.packages == ()
    assert "https://docs.docker.com/" in finding.cure


def test_an_engine_that_does_not_answer_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(timeout: int) -> None:
        raise CloudError("This account may not use the Docker engine.", "", "Join its group")

    monkeypatch.setattr(engine, "connect", refuse)
    finding = docker.running()
    assert (finding.state, finding.detail, finding.cure) == (
        "missing", "This account may not use the Docker engine.", "Join its group",
    )  # fmt: skip


class Client:
    def close(self) -> None:
        pass


@pytest.mark.parametrize(
    ("made", "mmdebstrap", "registry", "state", "detail"),
    [
        (True, False, False, "ok", "made already"),
        (False, True, False, "ok", "from Debian's packages"),
        (False, False, True, "ok", "from the registry"),
        (False, False, False, "missing", "no registry answers, and mmdebstrap is not installed"),
    ],
)
def test_the_base_image_needs_one_source(
    monkeypatch: pytest.MonkeyPatch, made: bool, mmdebstrap: bool, registry: bool, state: str, detail: str
) -> None:
    monkeypatch.setattr(engine, "connect", Client)
    monkeypatch.setattr(base_image, "exists", lambda client, tag: made)
    monkeypatch.setattr(base_image, "registry_answers", lambda client: registry)
    monkeypatch.setattr(image.shutil, "which", lambda name: "/usr/bin/x" if mmdebstrap else None)
    finding = image.source()
    assert (finding.state, finding.detail) == (state, detail)
    if state == "missing":
        assert finding.packages == ("mmdebstrap", "debian-archive-keyring")


@pytest.mark.parametrize(("gib", "state"), [(3, "missing"), (5, "warning"), (8, "ok")])
def test_memory(monkeypatch: pytest.MonkeyPatch, gib: int, state: str) -> None:
    monkeypatch.setattr(engine, "facts", lambda: {**FACTS, "MemTotal": gib * 2**30})
    assert room.memory().state == state


def test_disk_is_looked_at_where_the_engine_keeps_its_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "facts", lambda: {**FACTS, "DockerRootDir": "/none/such/folder"})
    monkeypatch.setattr(engine, "shares_our_kernel", lambda: True)
    assert "free at /none/such/folder" in room.disk().detail


@pytest.mark.parametrize(
    ("said", "kind", "brief"),
    [
        (
            "PermissionError(13, 'Permission denied')",
            CloudError,
            "This account may not use the Docker engine.",
        ),
        ("FileNotFoundError", CloudError, "The Docker engine does not answer."),
    ],
)
def test_why_an_engine_is_unavailable(
    monkeypatch: pytest.MonkeyPatch, said: str, kind: type[Exception], brief: str
) -> None:
    monkeypatch.setattr(engine, "installed", lambda: True)
    error = engine.unavailable("unix:///x.sock", said)
    assert isinstance(error, kind)
    assert error.brief == brief
    assert "unix:///x.sock" in error.details


def test_no_engine_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "installed", lambda: False)
    assert isinstance(engine.unavailable("unix:///x.sock", "no such file"), MissingTool)


@pytest.mark.parametrize("address", ["tcp://10.0.0.5:2375", "ssh://me@build"])
def test_an_engine_on_another_computer_is_refused(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("DOCKER_HOST", address)
    with pytest.raises(CloudError) as caught:
        engine.connect()
    assert "on another computer" in caught.value.brief
    assert "unset DOCKER_HOST" in caught.value.resolution


@pytest.mark.parametrize("address", ["unix:///home/me/.colima/docker.sock", "tcp://127.0.0.1:2375"])
def test_an_engine_on_this_computer_is_taken_wherever_it_listens(address: str) -> None:
    engine.require_local(address)


def test_docker_host_wins_over_the_context(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///mine.sock")
    assert engine.endpoint() == ("unix:///mine.sock", None)


def test_a_context_that_does_not_exist_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.setenv("DOCKER_CONTEXT", "no-such-context")
    with pytest.raises(CloudError, match="The Docker context no-such-context does not exist"):
        engine.endpoint()
