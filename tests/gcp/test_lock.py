"""One at a time across computers: the lock in a bucket, who holds it, and the ways out of it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hangar.cloud.gcp import lock
from hangar.errors import CloudError, LockHeld
from tests.gcp.conftest import Environment


def test_one_at_a_time_across_computers(environment: Environment) -> None:
    first, second = environment.cloud(), environment.cloud()
    with first.hold("provision.py up production"):
        with pytest.raises(LockHeld) as held, second.hold("provision.py destroy production"):
            pass
        assert held.value.brief == "Somebody else is at work on the environment production."
        assert re.fullmatch(
            r"\* Held by [^@\s]+@\S+ since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d: provision\.py up production",
            held.value.details,
        )
        assert held.value.resolution.endswith("add --break-lock.")
    with second.hold("provision.py up production"):
        pass


def test_a_lock_that_cannot_be_let_go_hides_nothing(
    environment: Environment, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The network went, or the login has ended: what broke the call off is what is told."""
    cloud = environment.cloud()

    def unreachable(*_: object, **__: object) -> None:
        raise CloudError("Google's API does not answer.")

    def broken_off() -> None:
        with cloud.hold("provision.py up production"):
            monkeypatch.setattr(type(cloud.api.rest), "call", unreachable)
            raise CloudError("what really happened")

    with pytest.raises(CloudError, match="what really happened"):
        broken_off()
    assert (
        "the lock could not be let go: Google's API does not answer. The next call needs --break-lock."
        in capsys.readouterr().err
    )


def gone(process: int, signal: int) -> None:
    raise ProcessLookupError


def test_the_lock_of_a_killed_call_of_this_computer_is_taken_over(
    environment: Environment, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    dead = environment.cloud().hold("provision.py up production")
    dead.__enter__()
    monkeypatch.setattr(lock.os, "kill", gone)
    with environment.cloud().hold("provision.py destroy production"):
        pass
    assert "the call `provision.py up production` was killed and left its lock" in capsys.readouterr().err
    assert environment.google.table("objects") == {}


def test_the_lock_of_another_computer_is_never_taken_over(
    environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = environment.cloud().hold("provision.py up production")
    dead.__enter__()
    monkeypatch.setattr(lock.os, "kill", gone)
    monkeypatch.setattr(lock.uuid, "getnode", lambda: 7)
    with pytest.raises(LockHeld), environment.cloud().hold("provision.py destroy production"):
        pass


@pytest.mark.parametrize("fact", ["STARTED", "PROCESSES"])
def test_the_lock_of_another_container_is_never_taken_over(
    environment: Environment, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, fact: str
) -> None:
    """It may have our name and our network card's address, beside us or on another computer; what process it numbers
    7 is another than ours.
    """
    alive = environment.cloud().hold("provision.py up production")
    alive.__enter__()
    monkeypatch.setattr(lock.os, "kill", gone)
    other = tmp_path / "other"
    if fact == "STARTED":
        other.write_text("0b6f5f1e-0000-4000-8000-000000000000\n", encoding="ascii")
    else:
        other.symlink_to("pid:[4026532999]")
    monkeypatch.setattr(lock, fact, other)
    with pytest.raises(LockHeld), environment.cloud().hold("provision.py destroy production"):
        pass
    alive.__exit__(None, None, None)
    assert environment.google.table("objects") == {}


def test_a_computer_that_tells_no_more_of_itself_still_knows_its_own_dead(
    environment: Environment, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """No Linux: nothing numbers processes twice there."""
    monkeypatch.setattr(lock, "STARTED", tmp_path / "nothing")
    dead = environment.cloud().hold("provision.py up production")
    dead.__enter__()
    monkeypatch.setattr(lock.os, "kill", gone)
    with environment.cloud().hold("provision.py destroy production"):
        pass
    assert environment.google.table("objects") == {}


def test_an_answer_that_was_lost_accuses_nobody(
    environment: Environment, capsys: pytest.CaptureFixture[str]
) -> None:
    """Letting the lock go was done, and asked for once more. Who really had it taken away is told so."""
    environment.google.fault("storage.objects.delete", "503-after")
    with environment.cloud().hold("provision.py up production"):
        pass
    said = capsys.readouterr().err
    assert (
        "the lock was gone already: Google's answer to letting it go was lost, or somebody took it away"
        in said
    )
    with environment.cloud().hold("provision.py up production"):
        second = environment.cloud().hold("provision.py up production", break_lock=True)
        second.__enter__()
    assert "somebody took the lock away while this call was at work" in capsys.readouterr().err
    second.__exit__(None, None, None)


@pytest.mark.parametrize("break_lock", [False, True])
@pytest.mark.parametrize("is_open", [False, True])
def test_a_lock_bucket_that_a_stranger_has_is_told_apart_from_a_missing_permission(
    environment: Environment, break_lock: bool, is_open: bool
) -> None:
    """Also one in which they let everybody write: who is at work is no business of theirs, nor theirs to say."""
    google = environment.google
    google.settings(projects=["stranger"])
    google.edit_table(
        "buckets", "hangar-hangar-test-locks", name="hangar-hangar-test-locks", _project="stranger"
    )
    if not is_open:
        google.deny("storage.*", project="stranger")
    with pytest.raises(CloudError) as strange, environment.cloud().hold("up", break_lock=break_lock):
        pytest.fail("nobody holds a stranger's lock")
    assert strange.value.brief == (
        "The bucket hangar-hangar-test-locks, which would hold the lock, belongs to somebody else."
    )
    assert "another project has taken this one.\n* Google said (409 conflict): " in strange.value.details
    assert google.table("objects") == {}
    assert "gcp.lock_bucket in the platform.yml of production" in strange.value.resolution
    own = environment.cloud("gcp.lock_bucket=hangar-test-7f3a-locks")
    with own.hold("up", break_lock=break_lock):
        assert list(google.table("objects")) == ["hangar-test-7f3a-locks/production"]
    assert google.table("objects") == {}


def test_a_lock_that_we_may_not_write_names_the_permission(environment: Environment) -> None:
    with environment.cloud().hold("up"):
        pass
    environment.google.deny("storage.objects.create")
    with pytest.raises(CloudError) as refused, environment.cloud().hold("up"):
        pytest.fail("it may not be written")
    assert refused.value.brief == "Your account lacks the permission storage.objects.create."
    environment.google.deny("storage.objects.create", "storage.buckets.create")
    with pytest.raises(CloudError) as refused, environment.cloud().hold("up"):
        pytest.fail("it may not be written")
    assert refused.value.brief == "Your account lacks the permission storage.objects.create."


def test_a_dead_calls_lock_can_be_broken(environment: Environment) -> None:
    dead = environment.cloud().hold("provision.py up production")
    dead.__enter__()
    with environment.cloud().hold("provision.py up production", break_lock=True):
        pass
    assert environment.google.table("objects") == {}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b'"mine"',
        b"7",
        b"no JSON",
        b"{}",
        b'{"who": "ana", "since": 1e300, "command": "up"}',
        b"\xff",
    ],
)
def test_a_lock_that_somebody_wrote_by_hand_is_a_lock(environment: Environment, content: bytes) -> None:
    with environment.cloud().hold("up"):
        pass
    cloud = environment.cloud()
    cloud.api.rest.call(
        "POST", "upload", f"b/{cloud.names.bucket}/o", content=content,
        params={"uploadType": "media", "name": "production"},
    )  # fmt: skip
    with pytest.raises(LockHeld) as held, environment.cloud().hold("up"):
        pytest.fail("somebody has it")
    assert held.value.details == "* It does not say by whom."
    with environment.cloud().hold("up", break_lock=True):
        pass
    assert environment.google.table("objects") == {}


def test_whoever_runs_it_needs_no_name(environment: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container of CI may run as a number that stands in no /etc/passwd."""

    def nameless() -> str:
        raise KeyError("getpwuid(): uid not found: 1234")

    monkeypatch.setattr(lock.getpass, "getuser", nameless)
    monkeypatch.setattr(lock.os, "getuid", lambda: 1234)
    with environment.cloud().hold("provision.py up production"):
        with pytest.raises(LockHeld) as held, environment.cloud().hold("up"):
            pytest.fail("somebody has it")
        assert "* Held by 1234@" in held.value.details
