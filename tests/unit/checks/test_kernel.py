from __future__ import annotations

from pathlib import Path

import pytest

from hangar import engine
from hangar.checks import kernel


@pytest.fixture
def proc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Kernel parameters to write at will, on a computer whose engine shares its kernel."""
    monkeypatch.setattr(kernel, "SYSCTL", tmp_path)
    monkeypatch.setattr(kernel, "APPARMOR_PROFILE", tmp_path / "hangar-machine")
    monkeypatch.setattr(engine, "shares_our_kernel", lambda: True)
    for folder in ("user", "kernel"):
        (tmp_path / folder).mkdir()
    return tmp_path


def test_no_user_namespaces_at_all(proc: Path) -> None:
    (proc / "user/max_user_namespaces").write_text("0\n")
    finding = kernel.user_namespaces()
    assert finding.state == "missing"
    assert finding.detail == "user.max_user_namespaces is 0: rootless containers cannot start"
    assert finding.cure.startswith("echo user.max_user_namespaces=15000 | sudo tee /etc/sysctl.d/")
    assert finding.commands == (), "a kernel parameter is not Hangar's to change"


def test_debians_switch_for_user_namespaces(proc: Path) -> None:
    (proc / "user/max_user_namespaces").write_text("96365\n")
    (proc / "kernel/unprivileged_userns_clone").write_text("0\n")
    assert "kernel.unprivileged_userns_clone is 0" in kernel.user_namespaces().detail
    (proc / "kernel/unprivileged_userns_clone").write_text("1\n")
    assert kernel.user_namespaces().state == "ok"


def test_ubuntus_limit_is_cured_by_the_profile(proc: Path) -> None:
    (proc / "kernel/apparmor_restrict_unprivileged_userns").write_text("1\n")
    finding = kernel.apparmor()
    assert finding.state == "missing"
    assert [command[0] for command in finding.commands] == ["install", "apparmor_parser"]
    assert finding.cure == (
        f"sudo install -m 0644 {kernel.PROFILE_SOURCE} {proc}/hangar-machine && "
        f"sudo apparmor_parser -r {proc}/hangar-machine"
    )
    (proc / "hangar-machine").touch()
    assert kernel.apparmor().state == "ok"


@pytest.mark.parametrize("value", ["0\n", None])
def test_a_kernel_without_that_limit_needs_no_profile(proc: Path, value: str | None) -> None:
    if value is not None:
        (proc / "kernel/apparmor_restrict_unprivileged_userns").write_text(value)
    assert kernel.apparmor().state == "ok"


def test_the_profile_exists_and_is_named_like_its_file() -> None:
    text = kernel.PROFILE_SOURCE.read_text()
    assert "profile hangar-machine flags=(unconfined) {\n  userns,\n" in text


def test_an_engine_in_a_virtual_machine_has_a_kernel_of_its_own(
    proc: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (proc / "user/max_user_namespaces").write_text("0\n")
    monkeypatch.setattr(engine, "shares_our_kernel", lambda: False)
    assert {
        check().state for check in (kernel.fuse, kernel.tun, kernel.user_namespaces, kernel.apparmor)
    } == {"ok"}


def test_a_missing_device_names_its_module(proc: Path) -> None:
    finding = kernel._device("/dev/hangar-none", "fuse", "a test")
    assert finding.state == "missing"
    assert finding.commands == (("modprobe", "fuse"),)
