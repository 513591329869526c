import pytest

from tests.templates.render import render

RULES = "/etc/audit/rules.d/50-hangar.rules"
ALWAYS = {"/srv/airflow/secrets", "/srv/airbyte/secrets", "/srv/monitoring/secrets", "/srv/people/passwords"}


def watched(**options: object) -> set[str]:
    lines = [
        line for line in render("hardening_audit", RULES, **options).splitlines() if "key=secrets" in line
    ]
    return {line.split("-F dir=")[1].split()[0] for line in lines}


@pytest.mark.parametrize(
    ("options", "more"),
    [
        ({}, {"/srv/warehouse/secrets", "/srv/backup/secrets"}),
        ({"warehouse_enabled": False, "backup_enabled": False}, set()),
        (
            {"backup_enabled": False, "hardening_audit_forward_certificate": "PEM"},
            {"/srv/warehouse/secrets", "/srv/forwarding/secrets"},
        ),
    ],
)
def test_the_secrets_of_every_service_that_is_there_are_watched(
    options: dict[str, object], more: set[str]
) -> None:
    assert watched(**options) == ALWAYS | more
