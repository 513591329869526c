"""The key that lets the controller in: the user's own, or one that Hangar makes for the environment."""

import shlex
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hangar import process
from hangar.errors import HangarError
from hangar.ssh.files import write_atomically


def ensure_key(private: Path, comment: str) -> str:
    """Makes an ed25519 key at `private` if there is none; returns its public half (`type base64 comment`)."""
    if not private.exists():
        key = Ed25519PrivateKey.generate()
        text = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.OpenSSH,
            serialization.NoEncryption(),
        ).decode()
        write_atomically(private, text)
    line = f"{_derive(private)} {comment}"
    write_atomically(public_path(private), line + "\n", 0o644)
    return line


def read_public_key(private: Path) -> str:
    """The public half of the user's own key.

    Raises:
        HangarError: there is no key, or no public key file, and the private key does not yield one without its
            passphrase; or the public key file holds something else.
    """
    public = public_path(private)
    # An empty file is what a failed `ssh-keygen -y > FILE` leaves.
    if public.exists() and (raw := public.read_bytes()).strip():
        return _public(raw, private)
    if not private.exists():
        raise HangarError(
            "There is no key on this computer that opens the machine.",
            f"* {private} is not there: the machine was made on another computer.",
            f"Make one: ssh-keygen -t ed25519 -f {private}\nThen let an admin take {public.name} into `people`:"
            " ./provision.py people add NAME ENV --role admin --key FILE\n"
            "Whoever has an account of their own works on the machine itself, as docs/people.md says:"
            " ./provision.py ssh-config ENV --user NAME --key FILE, then ./provision.py ssh ENV",
        )
    return _derive(private)


def public_path(private: Path) -> Path:
    return private.with_name(private.name + ".pub")


def _public(raw: bytes, private: Path) -> str:
    # With it come all settings, and a login proof has no time for what it does not use.
    from hangar.config.public_keys import BadKey, parse, text_of

    try:
        return str(parse(text_of(raw)))
    except BadKey as why:
        public = public_path(private)
        raise HangarError(
            f"{public} holds no key that the machine accepts.",
            f"* {public}: {why}",
            f"Write it anew: {_write_public(private)}\n"
            f"Or make another key and name it in access.private_key: ssh-keygen -t ed25519 -f FILE",
        ) from None


def _write_public(private: Path) -> str:
    """The command for it. It leaves no empty file behind when the passphrase is wrong."""
    key, public = shlex.quote(str(private)), shlex.quote(str(public_path(private)))
    new = shlex.quote(f"{public_path(private)}.new")
    return f"ssh-keygen -y -f {key} > {new} && mv {new} {public}"


def _derive(private: Path) -> str:
    # An empty passphrase makes ssh-keygen fail where it would otherwise ask.
    done = process.run(["ssh-keygen", "-y", "-P", "", "-f", str(private)], check=False)
    if done.returncode != 0:
        raise HangarError(
            f"The public half of {private} cannot be read.",
            done.stderr.strip(),
            f"Put it beside it: {_write_public(private)}",
        )
    return " ".join(done.stdout.split()[:2])
