import pytest

from tests.templates.render import render

ACCOUNTS = [
    {"name": "airflow", "uid": 2001, "subids": 200000},
    {"name": "etl", "uid": 2007, "subids": 700000},
]


def lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if not line.startswith("#")]


def test_each_service_gets_its_number_and_no_shell() -> None:
    text = render("service_users", "/etc/sysusers.d/hangar.conf", service_users_accounts=ACCOUNTS)
    assert lines(text) == [
        "g hangar-admins -",
        "g hangar-people 2100",
        "g dags 2101",
        'u airflow 2001 "Service airflow" /srv/airflow/home /usr/sbin/nologin',
        'u etl 2007 "Service etl" /srv/etl/home /usr/sbin/nologin',
    ]


@pytest.mark.parametrize("database", ["/etc/subuid", "/etc/subgid"])
def test_each_service_gets_its_range_and_nobody_else_one(database: str) -> None:
    text = render("service_users", database, service_users_accounts=ACCOUNTS)
    assert lines(text) == ["airflow:200000:65536", "etl:700000:65536"]
