from dataclasses import asdict, replace
from typing import Any

from hangar.audit import assess
from hangar.audit.record import Audit, Change, Exemption, Finding, Observation, Scan, as_dict
from hangar.controls import Control
from hangar.verification import Promise

UMASK = Control("accounts.umask", "accounts", "Files are closed", ("CIS 5.4.3.3",), ("test_files",), "umask",
                {"lynis": ("AUTH-9328",)})  # fmt: skip
OPEN = Control("system.tmp", "system", "Nothing starts from /tmp", ("CIS 1.1.2.1.4",))
EXEMPT = {"system.tmp": Exemption("system.tmp", "Editors need it")}


def data(**verdicts: str) -> dict[str, Any]:
    """An audit as its JSON has it, as far as it is compared."""
    found = [{"control": name, "verdict": one, "promise": name.upper()} for name, one in verdicts.items()]
    return {"findings": found}


def promise(outcome: str, reason: str = "", test: str = "test_files") -> Promise:
    return Promise("accounts", "Files are closed", outcome, reason, 0.1, test)  # type: ignore[arg-type]


def verdict(*promises: Promise, exempt: bool = False) -> tuple[str, str]:
    exemptions = {"accounts.umask": Exemption("accounts.umask", "We share")} if exempt else {}
    (finding,) = assess.assess([UMASK], promises, exemptions)
    return finding.verdict, finding.reason


def test_a_control_is_what_its_tests_say() -> None:
    assert verdict(promise("held")) == ("held", "")
    assert verdict(promise("unchecked", "needs a kernel")) == ("not applicable", "needs a kernel")
    assert verdict(promise("broken", "assert 1 == 2")) == ("failed", "Files are closed: assert 1 == 2")


def test_one_broken_case_outweighs_all_that_hold() -> None:
    assert verdict(promise("held"), promise("broken", "no"), promise("held"))[0] == "failed"


def test_what_is_shown_in_part_is_not_counted_as_held() -> None:
    assert verdict(promise("held"), promise("unchecked", "vm")) == (
        "not applicable",
        "Shown in part. Not here: Files are closed",
    )


def test_a_case_that_is_about_one_control_says_nothing_of_another() -> None:
    others = replace(promise("broken", "no"), control="accounts.pam")
    assert verdict(promise("held"), others) == ("held", "")
    assert verdict(replace(others, control="accounts.umask"))[0] == "failed"
    assert verdict(others) == ("failed", "No test of the machine proves it.")


def test_an_exception_excepts_but_never_hides_what_is_broken() -> None:
    assert verdict(promise("excepted", "left open: We share"), exempt=True) == ("excepted", "We share")
    assert verdict(promise("broken", "no"), exempt=True)[0] == "failed"


def test_a_control_that_nothing_proves_has_failed() -> None:
    assert verdict() == ("failed", "No test of the machine proves it.")
    assert verdict(promise("held", test="test_others"))[0] == "failed"


def test_a_control_of_the_house_that_is_left_open_says_why() -> None:
    (finding,) = assess.assess([OPEN], [], EXEMPT)
    assert (finding.verdict, finding.reason) == ("excepted", "Editors need it")


def test_what_a_scanner_says_stands_at_its_control_or_apart() -> None:
    known, unknown = Observation("lynis", "AUTH-9328", "umask"), Observation("lynis", "X-1", "something")
    scans = [Scan("lynis", "3.1.4", "hardening index 80", (known, unknown))]
    (finding,) = assess.assess([UMASK], [promise("held")], {}, scans)
    assert finding.observations == (known,)
    assert assess.unmapped([UMASK], scans) == (unknown,)


def test_what_a_scanner_says_of_a_control_that_holds_has_its_answer_beside_it() -> None:
    control = replace(UMASK, answers={"AUTH-9328": "It reads another file."})
    said = Observation("lynis", "AUTH-9328", "umask")
    (finding,) = assess.assess([control], [promise("held")], {}, [Scan("lynis", "", "", (said,))])
    assert [one.answer for one in finding.observations] == ["It reads another file."]
    # An answer holds nothing: that is what the control's own proofs do.
    assert finding.verdict == "held"
    (broken,) = assess.assess([control], [promise("broken", "no")], {}, [Scan("lynis", "", "", (said,))])
    assert (broken.verdict, broken.observations[0].answer) == ("failed", "It reads another file.")


def test_only_what_is_another_than_before_is_a_change() -> None:
    old = data(a="held", b="held", c="failed")
    new = data(a="held", b="failed", d="held")
    assert assess.compare(old, new) == (
        Change("b", "B", "held", "failed"),
        Change("d", "D", "", "held"),
        Change("c", "C", "failed", ""),
    )
    assert assess.compare(new, new) == ()


def excepted(**terms: str) -> dict[str, Any]:
    exemption = asdict(
        Exemption("a", **{"reason": "We share", "owner": "Ada", "until": "2027-01-31", **terms})
    )
    return {"findings": [{"control": "a", "verdict": "excepted", "promise": "A", "exemption": exemption}]}


def test_an_exception_of_other_terms_is_another() -> None:
    assert assess.compare(excepted(), excepted()) == ()
    before = "excepted: We share (Ada, until 2027-01-31)"
    for terms, after in (
        ({"until": "2028-01-31"}, "excepted: We share (Ada, until 2028-01-31)"),
        ({"owner": "Eve"}, "excepted: We share (Eve, until 2027-01-31)"),
        ({"reason": "It was slow"}, "excepted: It was slow (Ada, until 2027-01-31)"),
        ({"owner": "", "until": ""}, "excepted: We share"),
    ):
        assert assess.compare(excepted(), excepted(**terms)) == (Change("a", "A", before, after),)


def test_a_promise_that_no_control_has_and_a_scanners_score_change_too() -> None:
    old = Audit("local", "m", "k", "t", "b", (), scans=(Scan("lynis", "3.1.4", "hardening index 81"),))
    worse = replace(
        old, promises_broken=("Airflow answers",),
        scans=(Scan("lynis", "3.1.4", "hardening index 70"), Scan("ssh-audit", "", "0 fail, 0 warn")),
    )  # fmt: skip
    # A scanner that ran only once says nothing of a change.
    assert assess.compare(as_dict(old), as_dict(worse)) == (
        Change("Airflow answers", "", "", "broken"),
        Change("lynis", "", "hardening index 81", "hardening index 70"),
    )
    assert assess.compare(as_dict(worse), as_dict(old))[0] == Change("Airflow answers", "", "broken", "")


def test_an_audit_fails_by_a_control_or_by_any_other_promise() -> None:
    finding = Finding("a", "r", "A", ("CIS 1",), "held")
    audit = Audit("local", "hangar-local", "a container", "2026-11-25T05:00:00+00:00", "hangar", (finding,))
    assert audit.exit_code == 0
    failed = Audit("local", "m", "k", "t", "b", (finding,), promises_broken=("Airflow answers",))
    assert failed.exit_code == 3
    assert audit.counts == {"failed": 0, "held": 1, "excepted": 0, "not applicable": 0}
