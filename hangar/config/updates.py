"""The section `updates` of platform.yml: what happens by itself so that the machine stays up to date."""

from pydantic import field_validator

from hangar.config.fields import Section, setting, wrong

DAY = "(Mon|Tue|Wed|Thu|Fri|Sat|Sun)"
HOUR = r"([01]\d|2[0-3]):[0-5]\d"


class Updates(Section):
    """Security updates, and when what they need is finished."""

    unattended: bool = setting(True, "Install security updates by themselves.", "true or false")
    window: str | None = setting(
        None, "When containers and the machine may start anew where an update needs it, once no task runs; "
        "null means never by themselves.",
        'days and hours such as "Sun 03:00-05:00" or "02:00-04:00"',
        pattern=rf"^({DAY}(,{DAY})* )?{HOUR}-{HOUR}$",
    )  # fmt: skip

    @field_validator("window")
    @classmethod
    def _is_open(cls, value: str | None) -> str | None:
        opens, _, closes = (value or "a-b").split(" ")[-1].partition("-")
        if opens == closes:
            raise wrong(f'"{value}" closes when it opens')
        return value
