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
    ("schedule", "hours"),
    [('"*-*-* 03:15"', 36), ("hourly", 36), ("weekly", 252), ("Mon..Fri 22:00", 108), ("monthly", 1116)],
)
def test_an_alert_waits_for_the_next_backup_of_the_schedule(
    make_config: Make, schedule: str, hours: int
) -> None:
    found = make_config(f"backup.schedule={schedule}")
    assert found.backup.max_age_hours == hours


def test_a_limit_of_ones_own_that_the_schedule_passes_is_refused(make_config: Make) -> None:
    with pytest.raises(ConfigError) as refused:
        make_config("backup.schedule=weekly", "backup.max_age_hours=168")
    assert (
        'backup.max_age_hours: 168 is too short: with schedule: "weekly" the next backup comes after up to 168 hours, '
        "so that the alert BackupOld would fire though each is good; 252, or null would be right"
    ) in refused.value.details
    assert make_config("backup.schedule=weekly", "backup.max_age_hours=180").backup.max_age_hours == 180
    no_backups = ("backup.enabled=false", "backup.schedule=weekly", "backup.max_age_hours=36")
    assert make_config(*no_backups).backup.max_age_hours == 36


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
        ("folders=[/srv/people/..]", '"/srv/people/.." is not a folder such as /srv/people/home'),
        ("gcs.bucket=acme-backups", "asks for a machine on Google Cloud, which has a service account"),
        ("gcs.bucket=Acme", "a bucket's name would be right"),
        ("gcs.folder=/a", "a path such as hangar/production would be right"),
        ("keep.daily=0", "a number from 1 up would be right"),
        (
            "schedule=sometimes",
            'backup.schedule: "sometimes" is no time that systemd knows, so that no backup would be made; '
            'a time such as "*-*-* 03:15", or hourly would be right',
        ),
    ],
)
def test_what_cannot_work_is_refused(make_config: Make, said: str, told: str) -> None:
    with pytest.raises(ConfigError) as refused:
        make_config(f"backup.{said}")
    assert told in refused.value.details


GOOGLE = ("cloud=gcp", "gcp.project=acme-data-1", "gcp.zone=europe-west6-a")


def test_a_machine_on_google_cloud_may_send_to_a_bucket(make_config: Make) -> None:
    found = make_config(*GOOGLE, "backup.gcs.bucket=acme-backups").backup
    assert (found.gcs.bucket, found.gcs.folder) == ("acme-backups", "")


def test_one_place_takes_the_backups(make_config: Make) -> None:
    host = ("backup.sftp.host=vault", "backup.sftp.host_key=[ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGdOYXJl]")
    with pytest.raises(ConfigError) as refused:
        make_config(*GOOGLE, *host, "backup.gcs.bucket=acme-backups")
    assert "is named beside sftp.host; one of them takes the backups" in refused.value.details


def test_a_folder_whose_name_begins_as_one_that_is_copied_is_another_one(
    make_config: Callable[..., Config],
) -> None:
    wanted = ("/srv/airflow/data-lake", "/srv/backups/old")
    assert make_config(f"backup.folders=[{', '.join(wanted)}]").backup.folders == wanted
