"""Somebody who stays gets another key, and the old one opens nothing: a new laptop, or one that was lost."""

import base64
import re
import shlex
from pathlib import Path

from hangar import machine as controller
from hangar import paths
from hangar.config import Config
from hangar.config.public_keys import BadKey, PublicKey, parse, text_of
from hangar.console import Progress
from hangar.errors import HangarError, MachineUnreachable
from hangar.people import edit, machine
from hangar.people.coming import Outcome, enact
from hangar.people.settings import require, reread, rewrite
from hangar.ssh.keys import public_path, read_public_key

FINGERPRINT = "SHA256:"

NAME = re.compile(r"[\w .,~/\\:+@-]{1,200}\.pub")
"""What can be a .pub file's name, and no piece of a private key's text: that has no such end."""


def read_key(given: str) -> str:
    """A public key from the command line: the file that holds it, or its text.

    Raises:
        HangarError: it is none, or there is no such file. Nothing of a key is repeated.
    """
    path = _file(given)
    text = text_of(path.read_bytes()) if path else given
    try:
        return str(parse(text))
    except BadKey as error:
        if path is None and NAME.fullmatch(given):
            raise HangarError(
                f"There is no file {given}.",
                resolution="Say --key with the path of a .pub file, or with the text of a public key.",
            ) from None
        where = str(path) if path else "The given key"
        public = path.with_name(path.name + ".pub") if path else None
        cure = (
            f"Say --key {shlex.quote(str(public))}"
            if public and public.is_file()
            else "Say --key with the path of a .pub file."
        )
        stored = "Nothing of it was stored." if path else "It is no file here. Nothing of it was stored."
        raise HangarError(f"{where} opens nothing: {error}.", stored, cure) from None


def _file(given: str) -> Path | None:
    """The file of that name. What cannot be a name (a key's whole text is too long) is none, and is repeated in no
    error of the system's.
    """
    try:
        path = Path(given).expanduser()
        return path if path.is_file() else None
    except (OSError, RuntimeError, ValueError):
        return None


def fingerprint(given: str) -> str:
    """What names a key on the command line: its fingerprint, its .pub file or its text.

    Raises:
        HangarError: it is none of them.
    """
    return given if given.startswith(FINGERPRINT) else parse(read_key(given)).fingerprint


def require_changeable(config: Config, name: str, more: list[str], gone: list[str]) -> None:
    """Returns when these keys can come and those (by fingerprint) can go.

    Raises:
        HangarError: nobody has that name, a key is not theirs, none would be left, or this computer needs it.
    """
    person = require(config, name)
    there = [parse(key).fingerprint for key in person.keys]
    coming = [parse(key).fingerprint for key in more]
    if both := [one for one in coming if one in gone]:
        raise HangarError("A key cannot come and go at once.", _lines(both))
    strange = [one for one in gone if one not in there]
    if strange and (strange := [one for one in strange if one not in _on_the_machine(config, name)]):
        raise HangarError(
            f"{name} has no such key.",
            f"{_lines(strange)}\nTheirs are:\n{_lines(there)}",
            f"See: ./provision.py people key {name} {config.environment}",
        )
    if not set(there) - set(gone) | set(coming):
        raise HangarError(
            f"This would leave {name} without a key.",
            resolution=f"Give the new one in the same call (--key FILE), or end their access: "
            f"./provision.py people remove {name} {config.environment}",
        )
    if _own(config) in gone:
        raise HangarError(
            "This computer logs in to the machine with that key, so it stays.",
            f"{_lines([_own(config)])}",
            f"Give {name} the new key (--key FILE), then take the old one away from the computer that has the new one.",
        )


def change(config: Config, name: str, more: list[str], gone: list[str], progress: Progress) -> Outcome:
    """platform.yml first, then the machine, then login attempts with what is left and with what went. The same again
    finishes what was interrupted.

    Raises:
        HangarError: as `require_changeable`.
        ConfigError: the new settings would be wrong.
        PromiseBroken: the machine admits one of those that went, or not one of the others.
    """
    config, before = reread(config)  # places are those of this text
    require_changeable(config, name, more, gone)
    there = [parse(key) for key in require(config, name).keys]
    known = {key.fingerprint: key for key in there}
    others = _on_the_machine(config, name) if set(gone) - set(known) else {}
    lost = [{**others, **known}[one] for one in gone]
    new = [key for key in more if parse(key).fingerprint not in known]
    places = [number for number, key in enumerate(there) if key.fingerprint in gone]
    with progress.stage("platform.yml"):
        after = edit.set_keys(before, name, places, new)
        config = rewrite(config, before, after)
    person = require(config, name)
    has_machine = enact(config, person, progress, lost=[str(key) for key in lost])
    return Outcome(person, has_machine)


def _on_the_machine(config: Config, name: str) -> dict[str, PublicKey]:
    """What the machine still admits: a call that was killed changed platform.yml, and not yet the machine."""
    if not paths.ssh_config(config.environment).exists():
        return {}
    try:
        blobs = machine.show(config.environment).get(name, {}).get("keys", [])
    except MachineUnreachable:
        return {}
    keys = [_of(blob) for blob in blobs]
    return {key.fingerprint: key for key in keys}


def _of(blob: str) -> PublicKey:
    """A key begins with the name of its type."""
    raw = base64.b64decode(blob)
    return parse(f"{raw[4 : 4 + int.from_bytes(raw[:4], 'big')].decode()} {blob}")


def _own(config: Config) -> str:
    """The fingerprint of the key that this computer works with; empty where there is none."""
    private = controller.private_key(config)
    if not (private.exists() or public_path(private).exists()):
        return ""
    return parse(read_public_key(private)).fingerprint


def _lines(fingerprints: list[str]) -> str:
    return "\n".join(f"* {one}" for one in fingerprints)
