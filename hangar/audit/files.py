"""An audit as files beside the environment's state: JSON and a page, each signed; earlier ones stay."""

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from hangar import paths, process
from hangar.audit import assess
from hangar.audit.record import VERDICTS, Audit, as_dict
from hangar.errors import HangarError
from hangar.report import words
from hangar.ssh.files import write_atomically
from hangar.ssh.keys import read_public_key

NAMESPACE = "hangar-audit"
"""What the signature is for; OpenSSH keeps signatures for one purpose from passing for another."""

SUMMARY = 8
"""Rows that the page's summary has at most of what does not hold and of what changed, so that it fits one sheet."""

NAMED = ("control", "verdict", "promise")
"""What every finding of an audit says."""


@dataclass(frozen=True)
class Written:
    """Where an audit is. Each file has its signature beside it (.sig)."""

    page: Path
    data: Path

    @property
    def folder(self) -> Path:
        return self.page.parent


def folder(environment: str) -> Path:
    """Made on demand, closed to others like the state folder."""
    found = paths.ensure_state_dir(environment) / "audits"
    found.mkdir(mode=0o700, exist_ok=True)
    return found


@dataclass(frozen=True)
class Last:
    """What an audit compares with: the newest that is as it was signed (empty where there is none), and what is newer
    and is not, a sentence each.
    """

    data: Mapping[str, Any]
    passed_over: tuple[str, ...] = ()


def last(environment: str) -> Last:
    """What the last audit said.

    Raises:
        HangarError: it was signed and cannot be read, so what has changed since could not be said.
    """
    place = paths.state_dir(environment) / "audits"
    passed_over: list[str] = []
    for path in sorted(place.glob("*.json"), reverse=True):
        if doubts := doubt(path):
            passed_over.append(doubts)
            continue
        try:
            return Last(read(path), tuple(passed_over))
        except HangarError as error:
            raise HangarError(
                f"The last audit of {environment} cannot be read.", f"{path}: {error.details}",
                f"Put it aside, then what is there before it counts: mv {path} {path}.broken",
            ) from error  # fmt: skip
    return Last({}, tuple(passed_over))


def doubt(path: Path) -> str:
    """Why an audit's JSON is no evidence, as a sentence: nobody signed it, or it is another than what they signed.
    Empty where it is as one of the `allowed_signers` beside it signed it.
    """
    signature, signers = _signature(path), path.with_name("allowed_signers")
    if not signature.exists():
        return f"{path.name} is not signed: {signature.name} is not there."
    if not signers.exists():
        return f"{path.name} cannot be checked: there is no allowed_signers beside it."
    try:
        text = path.read_bytes().decode()
        told = json.loads(text)
        by, key = str(told["by"]), str(told.get("key", ""))
        if not by.isprintable():  # it goes to a terminal
            raise ValueError(by)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return f"{path.name} is not what was signed: it does not say who took it."
    argv = ["ssh-keygen", "-Y", "verify", "-f", str(signers), "-I", by, "-n", NAMESPACE, "-s", str(signature)]
    done = process.run(argv, input=text, check=False)
    if done.returncode == 0:
        # Of those who share the account, it is the one whom it names. Earlier ones name none.
        is_theirs = not key or key in done.stdout.split()
        return "" if is_theirs else f"{path.name} is signed with another key than the one that it names."
    said = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
    return f"{path.name} is not what {by} signed: {''.join(said)}"


def read(path: Path) -> Mapping[str, Any]:
    """An audit's JSON.

    Raises:
        HangarError: it is none.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        known = all(isinstance(one[name], str) for one in data["findings"] for name in NAMED)
        # What is compared of it has to be what `compare` takes it for.
        known = known and not assess.compare(data, data)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _none(path, str(error)) from error
    if not known:
        raise _none(path, "")
    return dict(data)


def _none(path: Path, details: str) -> HangarError:
    return HangarError(
        f"{path} is no audit.", details, "Name two files that `audit` has written (…/audits/*.json)."
    )


def require_signing(private_key: Path) -> None:
    """Tries the key, before an audit that takes minutes and could not be signed in the end.

    Raises:
        HangarError: it does not sign (it has a passphrase and no agent holds it, say).
    """
    with tempfile.TemporaryDirectory() as place:
        (Path(place) / "tried").touch()
        sign(Path(place) / "tried", private_key)


def write(audit: Audit, private_key: Path) -> Written:
    """Writes the audit's JSON and page and signs both with the operator's key; all of it or nothing.

    Raises:
        HangarError: the key does not sign.
    """
    place = folder(audit.environment)
    stem = audit.taken.replace(":", "").replace("+0000", "Z")
    written = Written(place / f"{stem}.html", place / f"{stem}.json")
    signer = f"{audit.by} {read_public_key(private_key)}"
    write_atomically(place / "allowed_signers", _signers(place / "allowed_signers", signer))
    try:
        write_atomically(written.data, json.dumps(as_dict(audit), indent=2, ensure_ascii=False) + "\n")
        write_atomically(written.page, html(audit, written.page.name))
        # The data last: with its signature it is what the next audit compares with.
        for path in (written.page, written.data):
            sign(path, private_key)
    except BaseException:
        # Without its signature it would pass for evidence.
        for path in (written.data, written.page):
            path.unlink(missing_ok=True)
            _signature(path).unlink(missing_ok=True)
        raise
    return written


def _signature(path: Path) -> Path:
    return path.with_name(path.name + ".sig")


def _signers(path: Path, signer: str) -> str:
    known = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return "\n".join(dict.fromkeys([*known, signer])) + "\n"


def sign(path: Path, private_key: Path) -> Path:
    """Writes the signature beside the file and returns its path."""
    signature = _signature(path)
    signature.unlink(missing_ok=True)
    argv = ["ssh-keygen", "-Y", "sign", "-q", "-f", str(private_key), "-n", NAMESPACE, str(path)]
    # Without a terminal ssh-keygen fails where it would otherwise ask for a passphrase.
    done = process.run(argv, check=False, env={"SSH_ASKPASS_REQUIRE": "never"})
    if done.returncode != 0 or not signature.exists():
        raise HangarError(
            f"{private_key} does not sign.",
            done.stderr.strip(),
            f"A key with a passphrase has to be in the agent: ssh-add {private_key}",
        )
    return signature


def verify_command(audit: Audit, name: str) -> str:
    """What shows, in the folder of the files, that one is as it was signed."""
    return f"ssh-keygen -Y verify -f allowed_signers -I {audit.by} -n {NAMESPACE} -s {name}.sig < {name}"


def html(audit: Audit, name: str) -> str:
    """A page that needs nothing but itself; its summary fits one sheet."""
    environment = Environment(
        loader=FileSystemLoader(paths.REPO / "templates"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    broken = [(finding.control, finding.promise) for finding in audit.of("failed")]
    broken += [("promise", sentence) for sentence in audit.promises_broken]
    return environment.get_template("audit.html.j2").render(
        audit=audit, verdicts=VERDICTS, roles=words.ROLES, verify=verify_command(audit, name), broken=broken,
        most=SUMMARY,
    )  # fmt: skip
