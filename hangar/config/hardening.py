"""The section `hardening` of platform.yml: which parts of it are on, where a copy of the journal goes, and what is left
open on purpose.
"""

from datetime import date, timedelta
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, WithJsonSchema, field_validator
from pydantic_core.core_schema import ValidationInfo

from hangar.config.fields import File, Section, quoted, setting, wrong
from hangar.config.people import today

LONGEST = timedelta(days=731)
"""Two years: what no audit, no change of staff and no new Debian has made anybody look at again is not an exception any
more but how things are. It may be renewed each time.
"""

PEM = "the path of a PEM file, from this file's folder or from ~, or null"


def _day(value: Any) -> Any:
    if isinstance(value, str):
        try:
            return date.fromisoformat(value)
        except ValueError:
            pass
    if type(value) is not date:
        raise wrong(f"{quoted(value)} is not a day")
    return value


def _as_tuple(value: Any) -> Any:
    return () if value is None else tuple(value) if isinstance(value, list) else value


def _soon(value: date) -> date:
    latest = today() + LONGEST
    if value > latest:
        raise wrong(
            f"{value} is more than two years away, and somebody has to look at it again before",
            right=f"{latest} or earlier",
        )
    return value


def _says_something(least: int) -> AfterValidator:
    """Blanks are no words; each run of them becomes one."""

    def check(value: str) -> str:
        words = " ".join(value.split())
        if len(words) < least:
            raise wrong(f"{quoted(value)} says too little")
        return words

    return AfterValidator(check)


Day = Annotated[
    date, BeforeValidator(_day), AfterValidator(_soon), WithJsonSchema({"type": "string", "format": "date"})
]
Reason = Annotated[str, _says_something(10)]
Owner = Annotated[str, _says_something(2)]


class Exemption(Section):
    """One control that is left open: why, who answers for it, and until when."""

    control: str = setting(
        ...,
        "The control's name; docs/hardening.md says which have a switch.",
        "a name such as accounts.umask",
    )
    reason: Reason = setting(..., "Why it is left open.", "a sentence", min_length=10)
    instead: str = setting("", "What guards in its place.", "a sentence")
    owner: Owner = setting(..., "Who answers for it.", "a person's name or address", min_length=2)
    until: Day = setting(
        ..., "The last day on which it counts, at most two years away.", "a day such as 2027-03-31"
    )

    @field_validator("control")
    @classmethod
    def _known(cls, value: str) -> str:
        from difflib import get_close_matches

        from hangar.controls import controls, names, switchable

        if value not in names():
            close = get_close_matches(value, switchable(), n=1)
            raise wrong(f'there is no control "{value}"', right=close[0] if close else "")
        if value not in switchable():
            if not any(one.proved_by for one in controls() if one.name == value):
                raise wrong(
                    f'"{value}" is left open already, by Hangar itself', right="leaving the entry out"
                )
            raise wrong(f'"{value}" has no switch', right=_those_with_a_switch(value.split(".")[0]))
        return value


def _those_with_a_switch(family: str) -> str:
    """The controls that an exception may name: those of the family, or of all where it has none."""
    from hangar.controls import switchable

    families: dict[str, list[str]] = {}
    for name in sorted(switchable()):
        families.setdefault(name.split(".")[0], []).append(name)
    if family in families:
        return "one of " + ", ".join(families[family])
    return "one of " + ", ".join(
        f"{one}.({', '.join(name.split('.')[1] for name in names)})" for one, names in families.items()
    )


class Hardening(Section):
    """What makes the machine hard to misuse. An exception switches one control off, with a reason and a last day."""

    kernel: bool = setting(True, "Kernel parameters, closed modules, no core dumps.", "true or false")
    accounts: bool = setting(True, "PAM, sudo and system accounts.", "true or false")
    audit: bool = setting(True, "Audit trail, process accounting, integrity check.", "true or false")
    system: bool = setting(True, "Mounts, rights, schedulers, packages, banners.", "true or false")
    forward_logs_to: str | None = setting(
        None, "A systemd-journal-remote that gets a copy of the log.", "https://HOST:PORT, or null",
        pattern=r"^https://[A-Za-z0-9.-]+(:\d+)?$",
    )  # fmt: skip
    exceptions: Annotated[tuple[Exemption, ...], BeforeValidator(_as_tuple)] = setting(
        (), "Controls that are left open on purpose.", "a list of control, reason, owner, until"
    )
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

    @field_validator("exceptions")
    @classmethod
    def _each_once(cls, value: tuple[Exemption, ...]) -> tuple[Exemption, ...]:
        """The evidence has room for one reason, one who answers and one last day."""
        named = [one.control for one in value]
        if twice := sorted({name for name in named if named.count(name) > 1}):
            raise wrong(f"more than one entry for {', '.join(twice)}", right="one entry for each control")
        return value

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
