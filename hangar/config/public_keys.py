"""Public SSH keys: read from their line, judged, and never mistaken for a private one."""

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass

ED25519, SK_ED25519 = "ssh-ed25519", "sk-ssh-ed25519@openssh.com"
SK_ECDSA, RSA = "sk-ecdsa-sha2-nistp256@openssh.com", "ssh-rsa"
TYPES = (ED25519, SK_ED25519, SK_ECDSA, RSA)
"""What the machine's sshd accepts (roles/ssh_server)."""

RSA_BITS = range(3072, 16385)
"""From sshd's RequiredRSASize to what OpenSSL computes with."""

PRIVATE = re.compile(r"PRIVATE[ -]KEY|b3BlbnNzaC1rZXktdjE|PuTTY-User-Key-File")
"""What only a private key's file holds: its PEM line, OpenSSH's magic word in base64, or PuTTY's first line."""

LENGTHS = {ED25519: (32,), SK_ED25519: (32, None), SK_ECDSA: (8, 65, None), RSA: (None, None)}
"""The fields after the type's name (RFC 4253, OpenSSH's PROTOCOL.u2f), in bytes where they are fixed."""


class BadKey(ValueError):
    """Why a line is no key that opens anything. It repeats nothing of the line but the name of its type."""


@dataclass(frozen=True)
class PublicKey:
    type: str
    blob: bytes
    comment: str = ""

    @property
    def is_hardware(self) -> bool:
        """Whether it lives in a security key and cannot be copied."""
        return self.type.startswith("sk-")

    @property
    def fingerprint(self) -> str:
        """As `ssh-keygen -l` and the machine's log name it."""
        digest = hashlib.sha256(self.blob).digest()
        return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")

    def __str__(self) -> str:
        words = (self.type, base64.b64encode(self.blob).decode(), self.comment)
        return " ".join(word for word in words if word)


def text_of(raw: bytes) -> str:
    """What a key's file holds, also where PowerShell wrote it: UTF-16, or UTF-8 with a mark before it."""
    encoding = "utf-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    return raw.decode(encoding, errors="replace")


def parse(line: str) -> PublicKey:
    """The key of a line as it stands in a .pub file; blanks and line ends around it do not matter.

    Raises:
        BadKey: it is a private key, several lines, of a type or a size that is not accepted, or damaged.
    """
    if PRIVATE.search(line):
        raise BadKey("this is a private key, which belongs on its owner's computer alone")
    line = line.strip()
    if len(line.splitlines()) > 1:
        raise BadKey("this is more than one line")
    words = line.split(None, 2)
    if not words or words[0] not in TYPES:
        raise BadKey(_stranger(words))
    try:
        blob = base64.b64decode("".join(words[1:2]), validate=True)
    except binascii.Error:
        blob = b""
    _judge(words[0], blob)
    comment = "".join(letter for letter in " ".join(words[2:]) if letter.isprintable())
    return PublicKey(words[0], blob, comment.strip())


def _stranger(words: list[str]) -> str:
    kind = words[0] if words else ""
    if re.fullmatch(r"(ssh-dss|ecdsa-sha2-nistp\d+|[a-z0-9-]+-cert-v01)(@openssh\.com)?", kind):
        return f"{kind} is a type that the machine does not accept"
    if any(word in TYPES for word in words):
        return "there is something before the key, and options are not taken"
    return "this is no public key"


def _judge(kind: str, blob: bytes) -> None:
    fields = _fields(blob)
    lengths = LENGTHS[kind]
    whole = len(fields) == 1 + len(lengths) and fields[0] == kind.encode()
    if not whole or any(
        wanted not in (None, len(field)) for wanted, field in zip(lengths, fields[1:], strict=True)
    ):
        raise BadKey(f"the {kind} key was cut short or changed")
    if kind == RSA:
        bits = int.from_bytes(fields[2], "big").bit_length()
        if bits not in RSA_BITS:
            raise BadKey(f"an RSA key of {bits} bits is too {'short' if bits < RSA_BITS.start else 'long'}")


def _fields(blob: bytes) -> list[bytes]:
    """The length-prefixed parts; none where they do not fill the whole."""
    found = []
    while blob:
        size = int.from_bytes(blob[:4], "big")
        if len(blob) < 4 + size:
            return []
        found.append(blob[4 : 4 + size])
        blob = blob[4 + size :]
    return found
