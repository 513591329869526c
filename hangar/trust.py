"""Certificate authorities beyond the system's own: a company's, for one."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ADDED = (Path("/usr/local/share/ca-certificates"), Path("/etc/pki/ca-trust/source/anchors"))
"""Where administrators add authorities (Debian's way, Red Hat's way)."""

CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


@dataclass(frozen=True)
class Certificate:
    """One authority. `name` is letters, digits and dashes; `content` is PEM."""

    name: str
    content: str


def certificates(files: Sequence[Path] | None) -> tuple[Certificate, ...]:
    """Every certificate in `files`; None stands for those that were added to this computer."""
    found: dict[str, Certificate] = {}
    for path in own_files() if files is None else files:
        for certificate in read(path):
            found.setdefault(certificate.content, certificate)
    return _named_apart(list(found.values()))


def own_files() -> list[Path]:
    """The authorities that somebody added to this computer, in a stable order."""
    return sorted(
        path
        for folder in ADDED
        if folder.is_dir()
        for path in folder.rglob("*")
        if path.suffix in (".crt", ".pem")
    )


def read(path: Path) -> Iterator[Certificate]:
    """The PEM certificates in a file; a bundle yields one each, named by their number."""
    name = re.sub(r"[^A-Za-z0-9-]+", "-", path.stem).strip("-") or "authority"
    blocks = CERTIFICATE.findall(path.read_text(encoding="utf-8", errors="replace"))
    for number, block in enumerate(blocks, 1):
        yield Certificate(name if len(blocks) == 1 else f"{name}-{number}", block + "\n")


def _named_apart(certificates: list[Certificate]) -> tuple[Certificate, ...]:
    """Two files of one name in different folders must not become one file on the machine."""
    seen: dict[str, int] = {}
    result = []
    for certificate in certificates:
        seen[certificate.name] = count = seen.get(certificate.name, 0) + 1
        name = certificate.name if count == 1 else f"{certificate.name}-again-{count}"
        result.append(Certificate(name, certificate.content))
    return tuple(result)
