"""The section `pipelines` of platform.yml: what `up` does with the example pipelines."""

from hangar.config.fields import Section, setting


class PipelinesSection(Section):
    """The pipelines that come with the platform."""

    first_run: bool = setting(
        True,
        "Run the example `elt` once on a fresh machine, and leave it switched on.",
        "true or false",
    )
