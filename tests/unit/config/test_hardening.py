import json
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from hangar import config, paths
from hangar.config import hardening
from hangar.errors import ConfigError

WRITE = """\
hardening:
  exceptions:
    - {{control: {control}, reason: {reason}, owner: {owner}, until: {until}}}
"""


def load(
    repo: Path,
    control: str = "accounts.umask",
    reason: str = "We share our files",
    owner: str = "Ada",
    until: str = "2027-03-31",
):
    text = WRITE.format(control=control, reason=reason, owner=owner, until=until)
    paths.platform_file("local").write_text(text)
    return config.load("local").hardening.exceptions


@pytest.fixture
def on_a_day(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardening, "today", lambda: date(2026, 11, 30))


def test_an_exception_has_a_reason_an_owner_and_a_last_day(repo: Path) -> None:
    (found,) = load(repo)
    assert (found.control, found.owner, found.until) == ("accounts.umask", "Ada", date(2027, 3, 31))


def test_an_exception_lasts_two_years_and_a_past_one_is_for_the_contract_to_tell(
    repo: Path, on_a_day: None
) -> None:
    for day in ("2028-11-30", "2020-01-01"):
        assert load(repo, until=day)[0].until == date.fromisoformat(day)


def test_what_surrounds_a_reason_is_no_part_of_it(repo: Path) -> None:
    assert load(repo, reason='"  We  share\\n our files "')[0].reason == "We share our files"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"control": "accounts.umsk"}, 'there is no control "accounts.umsk"; accounts.umask would be right'),
        ({"until": "soon"}, '"soon" is not a day; a day such as 2027-03-31 would be right'),
        (
            {"until": "9999-12-31"},
            "9999-12-31 is more than two years away, and somebody has to look at it again before;"
            " 2028-11-30 or earlier would be right",
        ),
        (
            {"until": "2028-12-01"},
            "2028-12-01 is more than two years away, and somebody has to look at it again before;"
            " 2028-11-30 or earlier would be right",
        ),
        ({"reason": '"          "'}, '"          " says too little; a sentence would be right'),
        ({"reason": '"We do     "'}, '"We do     " says too little; a sentence would be right'),
        ({"owner": '"  "'}, '"  " says too little; a person\'s name or address would be right'),
    ],
)
def test_what_is_wrong_with_an_exception_is_said_with_its_place(
    repo: Path, given: dict[str, str], words: str, on_a_day: None
) -> None:
    with pytest.raises(ConfigError) as caught:
        load(repo, **given)
    (problem,) = caught.value.problems
    assert problem.path.startswith("hardening.exceptions.0.")
    assert problem.message == words


def test_what_no_role_can_leave_out_is_refused_all_at_once_with_what_can(repo: Path) -> None:
    """Its test would be skipped, and the audit would call applied what is, or held what is not."""
    controls = (
        "ssh.keys_only",
        "accounts.umask",
        "accounts.sudo_password",
        "system.genuine",
        "audit.elsewhere",
    )
    entries = [
        {"control": name, "reason": "We have our own", "owner": "Ada", "until": "2027-03-31"}
        for name in controls
    ]
    paths.platform_file("local").write_text(json.dumps({"hardening": {"exceptions": entries}}))
    with pytest.raises(ConfigError) as caught:
        config.load("local")
    found = {problem.path: problem.message for problem in caught.value.problems}
    assert found.pop("hardening.exceptions.0.control").startswith(
        '"ssh.keys_only" has no switch; one of accounts.(defaults, one_root, pam, passwords, shells, sudo, umask),'
        " audit.(accounting, integrity, trail), kernel.("
    )
    assert found == {
        "hardening.exceptions.2.control": '"accounts.sudo_password" is left open already, by Hangar itself;'
        " leaving the entry out would be right",
        "hardening.exceptions.3.control": '"system.genuine" has no switch; one of'
        " system.apparmor_services, system.banners, system.mounts, system.packages, system.rights, system.schedulers,"
        " system.setuid would be right",
        "hardening.exceptions.4.control": '"audit.elsewhere" has no switch; one of audit.accounting, audit.integrity,'
        " audit.trail would be right",
    }


def test_a_control_is_left_open_by_one_entry(repo: Path) -> None:
    """The evidence would show the last one's owner and day, whichever counts."""
    entry = {"control": "accounts.umask", "reason": "We have our own", "owner": "Ada", "until": "2027-03-31"}
    entries = [entry, {**entry, "control": "accounts.sudo"}, {**entry, "owner": "Eve", "until": "2026-01-01"}]
    paths.platform_file("local").write_text(json.dumps({"hardening": {"exceptions": entries}}))
    with pytest.raises(ConfigError) as caught:
        config.load("local")
    assert [(one.path, one.message) for one in caught.value.problems] == [
        (
            "hardening.exceptions",
            "more than one entry for accounts.umask; one entry for each control would be right",
        )
    ]
    paths.platform_file("local").write_text(json.dumps({"hardening": {"exceptions": entries[:2]}}))
    assert len(config.load("local").hardening.exceptions) == 2


def test_hardening_is_whole_unless_somebody_says_otherwise(make_config: Callable[..., config.Config]) -> None:
    wanted = make_config().hardening
    assert wanted.kernel
    assert wanted.accounts
    assert wanted.audit
    assert wanted.system
    assert wanted.exceptions == ()
