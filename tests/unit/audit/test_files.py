import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from hangar.audit import files
from hangar.audit.record import Audit, Change, Exemption, Finding
from hangar.errors import HangarError
from hangar.ssh.keys import ensure_key

HELD = Finding("ssh.keys", "ssh_server", "Keys alone <open>", ("CIS 5.1.4",), "held", show="sshd -T")
FAILED = Finding("a.b", "firewall", "Port 22 alone", ("NIST SC-7",), "failed", "assert 1 == 2")
OPEN = Finding("c.d", "base", "Nothing in /tmp", ("CIS 1",), "excepted", "Editors",
               exemption=Exemption("c.d", "Editors", "nosuid", "Ada", "2027-01-31"))  # fmt: skip
AUDIT = Audit(
    "local", "hangar-local", "a container", "2026-11-25T05:00:00+00:00", "hangar", (HELD, FAILED, OPEN),
    since="2026-11-24T05:00:00+00:00", changes=(Change("a.b", "Port 22 alone", "held", "failed"),),
)  # fmt: skip

FOUND = {"control": "a.b", "verdict": "held", "promise": "Port 22 alone"}


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


def test_the_last_audit_is_found_and_earlier_ones_stay(repo: Path, key: Path) -> None:
    assert files.latest("local") is None
    first = files.write(AUDIT, key)
    second = files.write(replace(AUDIT, taken="2026-11-26T05:00:00+00:00"), key)
    assert files.latest("local") == second.data
    assert files.read(first.data)["counts"] == {"failed": 1, "held": 1, "excepted": 1, "not applicable": 0}


def test_a_file_that_is_no_audit_is_refused_in_words(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    for text in (
        "{",
        "[]",
        *(json.dumps({"findings": one}) for one in (1, [1], [{}], [{**FOUND, "verdict": 1}])),
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
    assert files.latest("local") == first.data


def test_what_a_killed_audit_left_unsigned_is_not_what_the_next_compares_with(repo: Path, key: Path) -> None:
    first = files.write(AUDIT, key)
    (first.folder / "2026-11-26T050000Z.json").write_text("{}")
    assert files.last("local")["taken"] == AUDIT.taken


def test_a_last_audit_that_cannot_be_read_is_named_with_its_cure(repo: Path, key: Path) -> None:
    assert files.last("local") == {}
    written = files.write(AUDIT, key)
    written.data.write_text("")
    with pytest.raises(HangarError) as caught:
        files.last("local")
    assert caught.value.brief == "The last audit of local cannot be read."
    assert caught.value.resolution == (
        f"Put it aside, then what is there before it counts: mv {written.data} {written.data}.broken"
    )
