"""What `up` does about what is missing: installs, starts, or says it all at once."""

from __future__ import annotations

import pytest

from hangar import checks, console, engine, process
from hangar.checks.finding import Finding
from hangar.errors import EngineRefused, HangarError, NeedsAnswer

DOCKER = Finding(
    "Docker engine", "missing", "not installed", "sudo apt-get install docker.io", ("docker.io",)
)
SLEEPY = Finding("Docker answers", "missing", "it does not answer", "Start it: sudo dockerd")
LIMIT = Finding("User namespaces", "missing", "is 0", "echo it | sudo tee x")
PROFILE = Finding(
    "AppArmor", "missing", "refused", "sudo install x", commands=(("install", "x"), ("load", "x"))
)
LOW = Finding("Memory", "warning", "tight", "buy more")


class Computer:
    """A computer with illnesses that installing, starting and commands cure."""

    def __init__(self, *ill: Finding) -> None:
        self.ill = list(ill)
        self.ran: list[list[str]] = []

    def look(self, checks: object = None) -> list[Finding]:
        return list(self.ill)

    def run(self, argv: list[str], **_: object) -> None:
        self.ran.append(argv)
        if "install" in argv and "--yes" in argv:
            self.ill = [finding for finding in self.ill if not finding.packages]
        if "load" in argv:
            self.ill = [finding for finding in self.ill if not finding.commands]

    def start(self) -> None:
        self.ran.append(["start"])
        self.ill.remove(SLEEPY)


@pytest.fixture
def computer(monkeypatch: pytest.MonkeyPatch) -> Computer:
    one = Computer()
    monkeypatch.setattr(checks, "look", one.look)
    monkeypatch.setattr(process, "run", one.run)
    monkeypatch.setattr(engine, "start", one.start)
    monkeypatch.setattr(engine, "sudo", lambda: ["sudo"])
    monkeypatch.setattr(engine, "has_apt", lambda: True)
    monkeypatch.setattr(engine, "installed", lambda: DOCKER not in one.ill)
    monkeypatch.setattr(engine, "answers", lambda: SLEEPY not in one.ill and DOCKER not in one.ill)
    console.configure(yes=True)
    return one


def prepare() -> list[str]:
    said: list[str] = []
    checks.prepare(said.append)
    return said


def test_a_healthy_computer_is_left_alone(computer: Computer) -> None:
    computer.ill = [LOW]
    prepare()
    assert computer.ran == []


def test_the_engine_is_installed_and_started(computer: Computer) -> None:
    computer.ill = [DOCKER, SLEEPY]
    prepare()
    apt = ["sudo", "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "-oDPkg::Lock::Timeout=300"]
    assert computer.ran == [
        [*apt, "update"], [*apt, "install", "--yes", "--no-install-recommends", "docker.io"], ["start"],
    ]  # fmt: skip


def test_an_engine_that_refuses_this_account_is_not_started(
    computer: Computer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answers() -> bool:
        raise EngineRefused("This account may not use the Docker engine.")

    monkeypatch.setattr(engine, "answers", answers)
    computer.ill = [SLEEPY]
    with pytest.raises(EngineRefused):
        prepare()
    assert computer.ran == []


def test_the_profile_is_installed(computer: Computer) -> None:
    computer.ill = [PROFILE]
    prepare()
    assert computer.ran == [["sudo", "install", "x"], ["sudo", "load", "x"]]


def test_what_hangar_may_not_mend_is_named_with_its_cure(computer: Computer) -> None:
    computer.ill = [LIMIT, LOW]
    with pytest.raises(HangarError) as caught:
        prepare()
    assert caught.value.brief == "Something is missing for a machine on this computer."
    assert caught.value.details == "User namespaces: is 0"
    assert caught.value.resolution == "echo it | sudo tee x"


def test_without_anybody_to_ask_everything_that_is_missing_is_named(computer: Computer) -> None:
    console.configure(yes=False)
    computer.ill = [DOCKER, LIMIT]
    with pytest.raises(NeedsAnswer) as caught:
        prepare()
    assert caught.value.brief == "2 things are missing for a machine on this computer."
    assert caught.value.details.splitlines() == [
        "Docker engine: not installed", "User namespaces: is 0",
        "It would have asked: Install docker.io with apt-get?",
    ]  # fmt: skip
    assert caught.value.resolution.splitlines() == [
        "sudo apt-get install docker.io", "echo it | sudo tee x", "Say --yes to answer yes beforehand.",
    ]  # fmt: skip
    assert computer.ran == []


def test_every_real_check_yields_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    for finding in checks.look():
        assert finding.name
        assert finding.detail
        assert finding.state == "ok" or finding.cure
