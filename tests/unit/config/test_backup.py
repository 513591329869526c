"""What the section `backup` takes, and what it says about the rest."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from hangar.config import Config
from hangar.errors import ConfigError

Make = Callable[..., Config]


def test_backups_are_on_and_ask_for_nothing(make_config: Make) -> None:
    found = make_config().backup
    assert (found.enabled, found.schedule, found.sftp.host) == (True, "*-*-* 03:15", None)
    assert (found.keep.daily, found.keep.weekly, found.keep.monthly) == (7, 4, 6)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            "recipients=[AGE-SECRET-KEY-1QQ]",
            "this is a private key, which belongs on its owner's computer alone",
        ),
        ("recipients=[ana]", '"ana" is not a public key of age or SSH'),
        ("folders=[/etc]", '"/etc" is not a folder such as /srv/people/home'),
        ("folders=[/srv/airflow/dags]", "/srv/airflow/dags is copied anyway, or holds the copies"),
        ("folders=[/srv/people/../x]", '"/srv/people/../x" is not a folder such as /srv/people/home'),
        ("sftp.host=vault", "says nothing of the host's key, so that any host could take its place"),
        ("keep.daily=0", "a number from 1 up would be right"),
    ],
)
def test_what_cannot_work_is_refused(make_config: Make, said: str, told: str) -> None:
    with pytest.raises(ConfigError) as refused:
        make_config(f"backup.{said}")
    assert told in refused.value.details
