"""Where a copy of the journal goes, in the section `hardening` of platform.yml: who signs for the receiver, and as whom
the machine comes to it.
"""

from pathlib import Path
from typing import Any

from pydantic import field_validator
from pydantic_core.core_schema import ValidationInfo

from hangar.config import hardening
from hangar.config.fields import File, setting, wrong

PEM = "the path of a PEM file, from this file's folder or from ~, or null"


class Hardening(hardening.Hardening):
    """What makes the machine hard to misuse. An exception switches one control off, with a reason and a last day."""

    forward_authority: File | None = setting(
        None,
        "The authority that signed the receiver's certificate; null means each that the machine trusts.",
        PEM,
    )
    forward_certificate: File | None = setting(
        None,
        "The machine's certificate, for a receiver that asks for one. Its key is put on the machine.",
        PEM,
    )

    @field_validator("forward_authority", "forward_certificate")
    @classmethod
    def _public_and_of_use(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        """A certificate without its key: this folder belongs in a repository."""
        if value is None:
            return value
        text = value.read_text(encoding="utf-8", errors="replace")
        if " PRIVATE KEY" in text:
            raise wrong(
                f"{value} holds a private key, which belongs on the machine alone (docs/hardening.md)",
                right="a file with the certificate alone",
            )
        if "BEGIN CERTIFICATE" not in text:
            raise wrong(f"{value} holds no PEM certificate")
        given: dict[str, Any] = info.data
        if "forward_logs_to" in given and given["forward_logs_to"] is None:
            raise wrong("means nothing without forward_logs_to", right="an address there, or null here")
        return value
