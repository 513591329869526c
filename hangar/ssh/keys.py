"""The key that lets the controller in: the user's own, or one that Hangar makes for the environment."""

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
            passphrase.
    """
    public = public_path(private)
    if public.exists():
        return public.read_text(encoding="utf-8").strip()
    if not private.exists():
        raise HangarError(
            "There is no key on this computer that opens the machine.",
            f"* {private} is not there: the machine was made on another computer.",
            f"Make one: ssh-keygen -t ed25519 -f {private}\nThen let an admin take {public.name} into `people`:"
            " ./provision.py people add NAME ENV --role admin --key FILE",
        )
    return _derive(private)


def public_path(private: Path) -> Path:
    return private.with_name(private.name + ".pub")


def _derive(private: Path) -> str:
    # An empty passphrase makes ssh-keygen fail where it would otherwise ask.
    done = process.run(["ssh-keygen", "-y", "-P", "", "-f", str(private)], check=False)
    if done.returncode != 0:
        raise HangarError(
            f"The public half of {private} cannot be read.",
            done.stderr.strip(),
            f"Put it beside it: ssh-keygen -y -f {private} > {public_path(private)}",
        )
    return " ".join(done.stdout.split()[:2])
