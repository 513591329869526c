import json
import re
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from hangar.audit import files
from hangar.audit.record import Audit, Change, Exemption, Finding, Observation
from hangar.errors import HangarError
from hangar.ssh.keys import ensure_key, read_public_key
from hangar.ssh.known_hosts import fingerprint

HELD = Finding("ssh.keys", "ssh_server", "Keys alone <open>", ("CIS 5.1.4",), "held", show="sshd -T")
FAILED = Finding("a.b", "firewall", "Port 22 alone", ("NIST SC-7",), "failed", "assert 1 == 2")
OPEN = Finding("c.d", "base", "Nothing in /tmp", ("CIS 1",), "excepted", "Editors",
               exemption=Exemption("c.d", "Editors", "nosuid", "Ada", "2027-01-31"))  # fmt: skip
AUDIT = Audit(
    "local", "hangar-local", "a container", "2026-11-25T05:00:00+00:00", "hangar", (HELD, FAILED, OPEN),
    since="2026-11-24T05:00:00+00:00", changes=(Change("a.b", "Port 22 alone", "held", "failed"),),
)  # fmt: skip

FOUND = {"control": "a.b", "verdict": "held", "promise": "Port 22 alone"}

OF_ANOTHER_SHAPE: tuple[dict[str, object], ...] = (
    {"promises_broken": 5}, {"promises_broken": [["a"]]}, {"scans": [1]}, {"scans": [{"scanner": "x"}]},
    {"scans": None},
)  # fmt: skip


@pytest.fixture
def key(tmp_path: Path) -> Path:
    ensure_key(tmp_path / "id", "me")
    return tmp_path / "id"


def is_genuine(written: files.Written, path: Path) -> bool:
    argv = ["ssh-keygen", "-Y", "verify", "-f", str(written.folder / "allowed_signers"), "-I", "hangar",
            "-n", files.NAMESPACE, "-s", f"{path}.sig"]  # fmt: skip
    return subprocess.run(argv, input=path.read_bytes(), capture_output=True).returncode == 0


def test_evidence_that_was_touched_is_known_by_its_signature(repo: Path, key: Path) -> None:
    written = files.write(AUDIT, key)
    for path in (written.page, written.data):
        assert is_genuine(written, path)
        path.write_text(path.read_text().replace("failed", "held"))
        assert not is_genuine(written, path)


def test_the_page_says_all_of_it_by_itself(repo: Path, key: Path) -> None:
    page = files.write(AUDIT, key).page.read_text()
    for words in (
        "Keys alone &lt;open&gt;",
        "assert 1 == 2",
        "Ada, until 2027-01-31",
        "nosuid",
        "sshd -T",
        "CIS 5.1.4",
    ):
        assert words in page, words
    assert "http" not in page.replace("http-equiv", "")
    assert "ssh-keygen -Y verify" in page


def test_the_page_says_why_a_finding_is_none(repo: Path, key: Path) -> None:
    said = (
        Observation("openscap", "minlen", "failed", "It stands in <another> file."),
        Observation("lynis", "X-1", "text"),
    )
    page = files.write(replace(AUDIT, findings=(replace(HELD, observations=said),)), key).page.read_text()
    assert "openscap minlen: failed<br>Answer: It stands in &lt;another&gt; file.</small>" in page
    assert "lynis X-1: text</small>" in page
    # Left open, it stands there with the reason once more.
    left_open = (replace(OPEN, observations=said[1:]), OPEN)
    all_of_them = files.html(replace(AUDIT, findings=left_open), "x.html").split("<h2>All controls")[1]
    assert all_of_them.count("<small>Editors</small>") == 1


def test_the_page_gives_nobody_what_others_left_open(repo: Path, key: Path) -> None:
    """A role that platform.yml switches off is not left open by the project, nor by who answers for something else."""

    def row(*findings: Finding) -> str:
        page = files.write(replace(AUDIT, findings=findings), key).page.read_text()
        (cell,) = re.findall(r"<td>([^<]*)</td>\s*</tr>\s*</table>\s*<h2>All controls", page)
        return str(cell)

    assert row(OPEN) == "Ada, until 2027-01-31"
    assert row(replace(OPEN, exemption=Exemption("c.d", "Editors"))) == "the project itself"
    assert row(replace(OPEN, exemption=None, reason="switched off")) == "as platform.yml says"


def test_the_summary_fits_a_sheet_and_hides_nothing() -> None:
    """However much is wrong or has changed; what it has no room for stands below."""
    findings = tuple(replace(FAILED, control=f"a.b{number}", promise=f"No {number}.") for number in range(90))
    sentences = tuple(f"Promise {number}." for number in range(90))
    audit = replace(
        AUDIT, findings=findings, promises_broken=sentences, passed_over=sentences,
        changes=tuple(Change(f"c.d{number}", f"Sentence {number}.", "held", "failed") for number in range(90)),
    )  # fmt: skip
    page = files.html(audit, "x.html")
    assert page.startswith("<!doctype html>")
    summary, details = page.split('<section class="details">')
    assert summary.count("<tr") < 2 * files.SUMMARY + 8
    assert summary.count("<p") < 12
    assert "and 172 more, all of them below" in summary
    assert "and 82 more, all of them below" in summary
    assert "and 87 more, all of them below" in summary
    for one in (*findings, *audit.changes):
        assert f"{one.control}<" in details
    for sentence in sentences:
        assert details.count(f">{sentence}<") == 1
        assert f"Not compared with:</strong> {sentence}<" in details
    short = files.html(AUDIT, "x.html")
    assert "below" not in short
    assert "All that" not in short


def test_the_last_audit_is_found_and_earlier_ones_stay(repo: Path, key: Path) -> None:
    assert files.last("local") == files.Last({})
    first = files.write(AUDIT, key)
    files.write(replace(AUDIT, taken="2026-11-26T05:00:00+00:00"), key)
    last = files.last("local")
    assert (last.data["taken"], last.passed_over) == ("2026-11-26T05:00:00+00:00", ())
    assert files.read(first.data)["counts"] == {"failed": 1, "held": 1, "excepted": 1, "not applicable": 0}


def test_a_file_that_is_no_audit_is_refused_in_words(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    for text in (
        "{",
        "[]",
        *(json.dumps({"findings": one}) for one in (1, [1], [{}], [{**FOUND, "verdict": 1}])),
        *(json.dumps({"findings": [FOUND], **more}) for more in OF_ANOTHER_SHAPE),
        json.dumps({"findings": [{**FOUND, "verdict": "excepted", "exemption": "x"}]}),
        "[" * 100_000,
    ):
        path.write_text(text)
        with pytest.raises(HangarError) as caught:
            files.read(path)
        assert caught.value.brief == f"{path} is no audit."


def test_a_key_that_does_not_sign_is_an_error_with_its_cure(repo: Path, tmp_path: Path, key: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-p", "-N", "secret", "-P", "", "-f", str(key)], check=True)
    with pytest.raises(HangarError) as caught:
        files.require_signing(key)
    assert caught.value.resolution == f"A key with a passphrase has to be in the agent: ssh-add {key}"


def test_what_could_not_be_signed_is_not_left_as_evidence(repo: Path, key: Path) -> None:
    first = files.write(AUDIT, key)
    subprocess.run(["ssh-keygen", "-q", "-p", "-N", "secret", "-P", "", "-f", str(key)], check=True)
    with pytest.raises(HangarError, match="does not sign"):
        files.write(replace(AUDIT, taken="2026-11-26T05:00:00+00:00"), key)
    assert {path.name.split("T")[0] for path in first.folder.iterdir()} == {"2026-11-25", "allowed_signers"}
    assert files.last("local").data["taken"] == AUDIT.taken


def test_where_the_second_signature_fails_the_first_does_not_stay(
    repo: Path, key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page is signed before the data; without them it would pass for a whole audit's."""
    sign, signed = files.sign, []

    def once(path: Path, private_key: Path) -> Path:
        if signed:
            raise HangarError("the agent has let go of the key")
        signed.append(path.suffix)
        return sign(path, private_key)

    monkeypatch.setattr(files, "sign", once)
    with pytest.raises(HangarError, match="let go"):
        files.write(AUDIT, key)
    assert signed == [".html"]
    assert [path.name for path in files.folder("local").iterdir()] == ["allowed_signers"]


def test_what_a_killed_audit_left_unsigned_is_not_what_the_next_compares_with(repo: Path, key: Path) -> None:
    first = files.write(AUDIT, key)
    (first.folder / "2026-11-26T050000Z.json").write_text("{}")
    last = files.last("local")
    assert last.data["taken"] == AUDIT.taken
    assert last.passed_over == (
        "2026-11-26T050000Z.json is not signed: 2026-11-26T050000Z.json.sig is not there.",
    )


Touch = Callable[[files.Written, Path], None]


def another_verdict(written: files.Written, tmp_path: Path) -> None:
    written.data.write_text(written.data.read_text().replace('"failed"', '"held"'))


def a_strangers_key(written: files.Written, tmp_path: Path) -> None:
    ensure_key(tmp_path / "stranger", "me")
    files.sign(written.data, tmp_path / "stranger")


def a_signature_for_something_else(written: files.Written, tmp_path: Path) -> None:
    argv = ["ssh-keygen", "-Y", "sign", "-q", "-f", str(tmp_path / "id"), "-n", "git"]
    done = subprocess.run(argv, input=written.data.read_bytes(), capture_output=True, check=True)
    written.data.with_name(f"{written.data.name}.sig").write_bytes(done.stdout)


def a_name_that_signs_nothing(written: files.Written, tmp_path: Path) -> None:
    signers = written.folder / "allowed_signers"
    signers.write_text(signers.read_text().replace("hangar ", "ada ", 1))


def no_signers(written: files.Written, tmp_path: Path) -> None:
    (written.folder / "allowed_signers").unlink()


def no_text(written: files.Written, tmp_path: Path) -> None:
    written.data.write_bytes(b"\xff")


def a_text_without_an_end(written: files.Written, tmp_path: Path) -> None:
    written.data.write_text("[" * 100_000)


def a_name_that_acts_on_a_terminal(written: files.Written, tmp_path: Path) -> None:
    written.data.write_text(json.dumps({"by": "\x1b[2J"}))


@pytest.mark.parametrize(
    ("touch", "words"),
    [
        (another_verdict, "2026-11-26T050000Z.json is not what hangar signed: "),
        (a_strangers_key, "2026-11-26T050000Z.json is not what hangar signed: "),
        (a_signature_for_something_else, "2026-11-26T050000Z.json is not what hangar signed: "),
        (a_name_that_signs_nothing, "2026-11-26T050000Z.json is not what hangar signed: "),
        (no_signers, "2026-11-26T050000Z.json cannot be checked: there is no allowed_signers beside it."),
        (
            a_name_that_acts_on_a_terminal,
            "2026-11-26T050000Z.json is not what was signed: it does not say who took it.",
        ),
        (
            a_text_without_an_end,
            "2026-11-26T050000Z.json is not what was signed: it does not say who took it.",
        ),
        (no_text, "2026-11-26T050000Z.json is not what was signed: it does not say who took it."),
    ],
)
def test_what_is_not_as_it_was_signed_is_no_evidence_and_is_named(
    repo: Path, tmp_path: Path, key: Path, touch: Touch, words: str
) -> None:
    first = files.write(AUDIT, key)
    second = files.write(replace(AUDIT, taken="2026-11-26T05:00:00+00:00"), key)
    assert files.doubt(second.data) == ""
    touch(second, tmp_path)
    last = files.last("local")
    assert last.passed_over[0].startswith(words)
    # Of what is left, the newest that is genuine; nothing where nobody is known who may sign.
    signers = (first.folder / "allowed_signers").exists()
    known = AUDIT.taken if signers and touch is not a_name_that_signs_nothing else None
    assert last.data.get("taken") == known


def test_who_shares_the_account_signs_in_nobody_elses_name(repo: Path, tmp_path: Path, key: Path) -> None:
    """Both are known by the one account; the evidence names a key, and is signed with it."""
    ensure_key(tmp_path / "ada", "ada")
    ours, theirs = (fingerprint(read_public_key(path)) for path in (key, tmp_path / "ada"))
    first = files.write(replace(AUDIT, key=ours), key)
    second = files.write(replace(AUDIT, taken="2026-11-26T05:00:00+00:00", key=theirs), tmp_path / "ada")
    assert (files.doubt(first.data), files.doubt(second.data)) == ("", "")
    files.sign(second.data, key)
    assert files.doubt(second.data) == (
        "2026-11-26T050000Z.json is signed with another key than the one that it names."
    )
    assert files.last("local").data["key"] == ours


def test_a_last_audit_that_cannot_be_read_is_named_with_its_cure(repo: Path, key: Path) -> None:
    written = files.write(AUDIT, key)
    # Signed, and of another version.
    written.data.write_text('{"by": "hangar"}')
    files.sign(written.data, key)
    with pytest.raises(HangarError) as caught:
        files.last("local")
    assert caught.value.brief == "The last audit of local cannot be read."
    assert caught.value.resolution == (
        f"Put it aside, then what is there before it counts: mv {written.data} {written.data}.broken"
    )
