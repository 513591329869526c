import json
import re
from typing import Any

import pytest

from tests.templates.render import render, settings, value

FIREWALL = "/etc/hangar/firewall.nft"


def postgresql(**options: Any) -> dict[str, str]:
    found = settings(render("warehouse", "/etc/hangar/warehouse/postgresql.conf", **options))
    return {key: text.strip("'") for key, text in found.items()}


def test_the_server_listens_on_loopback_whatever_the_port() -> None:
    found = postgresql(warehouse_port=6000)
    assert (found["listen_addresses"], found["port"]) == ("127.0.0.1", "6000")
    assert found["unix_socket_permissions"] == "0700"


def test_the_log_is_the_journals_and_holds_no_statement() -> None:
    found = postgresql()
    assert (found["log_destination"], found["logging_collector"]) == ("stderr", "off")
    assert (found["log_min_error_statement"], found["log_error_verbosity"]) == ("panic", "terse")


def test_who_may_log_in_how() -> None:
    text = render("warehouse", "/etc/hangar/warehouse/pg_hba.conf")
    assert [line.split() for line in text.splitlines() if line and line[0] != "#"] == [
        ["local", "all", "warehouse", "peer"],
        ["local", "replication", "warehouse", "peer"],
        ["local", "restored", "all", "peer", "map=restored"],
        ["host", "warehouse", "airbyte,dbt,loader,reader,monitor", "127.0.0.1/32", "scram-sha-256"],
    ]
    told = render("warehouse", "/etc/hangar/warehouse/pg_ident.conf")
    assert [line.split() for line in told.splitlines() if line and line[0] != "#"] == [
        ["restored", "warehouse", "all"]
    ]


def test_the_description_says_whose_each_schema_is() -> None:
    text = render(
        "warehouse", "/etc/hangar/warehouse/warehouse.json",
        warehouse_raw_schemas=["raw", "airbyte_internal"], warehouse_uid="701",
    )  # fmt: skip
    found = json.loads(text)
    assert found["uid"] == 701
    assert {name: (one["owner"], one["readers"]) for name, one in found["schemas"].items()} == {
        "raw": ("airbyte", ["dbt"]),
        "airbyte_internal": ("airbyte", ["dbt"]),
        "landing": ("loader", ["dbt"]),
        "landing_staging": ("loader", ["dbt"]),
        "bronze": ("dbt", []),
        "silver": ("dbt", []),
        "gold": ("dbt", ["reader"]),
    }
    assert found["roles"]["reader"] == {
        "group": "airflow",
        "connections": 10,
        "settings": {"statement_timeout": "5min"},
        "rights": ["CONNECT"],
        "member_of": [],
    }


def test_only_beside_airbytes_platform_its_account_makes_schemas() -> None:
    """Its connectors ask for their schema even where it exists; nobody then looks in a schema of their own name"""
    beside = {
        name: value("warehouse", "__warehouse_roles", airbyte_engine=name) for name in ("embedded", "abctl")
    }
    assert {engine: roles["airbyte"]["rights"] for engine, roles in beside.items()} == {
        "embedded": ["CONNECT", "TEMPORARY"], "abctl": ["CONNECT", "TEMPORARY", "CREATE"],
    }  # fmt: skip
    assert [name for name, role in beside["abctl"].items() if "CREATE" in role["rights"]] == ["airbyte"]
    assert {role["settings"].get("search_path") for role in beside["abctl"].values()} == {"public"}
    assert {role["settings"].get("search_path") for role in beside["embedded"].values()} == {None}
    assert not value(
        "warehouse", "warehouse_airbyte_makes_schemas", airbyte_engine="abctl", airbyte_enabled=False
    )


def test_the_unit_gives_no_capability_and_writes_the_data_only() -> None:
    text = render("warehouse", "/etc/systemd/system/warehouse.service")
    found = settings(text)
    assert (found["CapabilityBoundingSet"], found["NoNewPrivileges"]) == ("", "yes")
    assert re.findall("^ReadWritePaths=(.*)$", text, re.MULTILINE) == ["/srv/warehouse/postgres"]
    assert found["TasksMax"] == "160"


def test_debians_cluster_is_forbidden_before_the_package_comes() -> None:
    path = "/etc/postgresql-common/createcluster.d/hangar.conf"
    assert settings(render("warehouse", path))["create_main_cluster"] == "false"


GROUPS = {"airbyte": "a", "dbt": "a", "loader": "a", "reader": "a", "monitor": "root"}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, []),
        ({"warehouse_uid": 2003}, ["warehouse_uid: 2003 is no number from 100 to 999, as system accounts have"]),
        ({"warehouse_port": 80}, ["warehouse_port: 80 is no port from 1024 to 65535"]),
        (
            {"warehouse_raw_schemas": ["pg_raw", "Raw", "x;y"]},
            [
                f"the schema {name} needs a name of small letters, digits and _, not pg_ at its start"
                for name in ("pg_raw", "Raw", "x;y")
            ],
        ),
        (
            # One of the owner's own name is where the owner looks first.
            {"warehouse_landing_schemas": ["gold", "public", "warehouse"]},
            [f"the schema {name} is somebody else's already" for name in ("gold", "public", "warehouse")],
        ),
        (
            {"warehouse_raw_schemas": []},
            ["warehouse_raw_schemas and warehouse_landing_schemas need at least one each"],
        ),
        (
            {"warehouse_secret_groups": {"dbt": "airflow"}},
            [
                "warehouse_secret_groups needs each of these once and nothing else: "
                "airbyte, dbt, loader, reader, monitor"
            ],
        ),
        (
            {"warehouse_max_connections": 52},
            ["warehouse_max_connections: the roles alone may have 48 sessions; five more are needed"],
        ),
        ({"warehouse_work_mem": "16"}, ["warehouse_work_mem: no size such as 256MB (kB, MB, GB or TB)"]),
        (
            {"warehouse_idle_session_timeout": "1 day"},
            ["1 day is no time such as 15min (ms, s, min, h or d; 0 for none)"],
        ),
    ],
)  # fmt: skip
def test_what_cannot_work_is_refused(options: dict[str, Any], said: list[str]) -> None:
    assert value("warehouse", "__warehouse_refused", **options) == said


def test_the_firewall_lets_the_declared_services_to_the_warehouse() -> None:
    text = render("firewall", FIREWALL, warehouse_port=6000)
    assert re.search(r"chain loopback_airbyte \{\n\s+tcp dport \{ 8000, 6000 \} accept\n\s+goto refuse", text)
    assert re.search(
        r"chain loopback_airflow \{\n\s+tcp dport \{ 8080, 8000, 6000 \} accept\n"
        r"\s+udp dport \{ 9125 \} accept\n\s+goto refuse", text,
    )  # fmt: skip
    # The server itself reaches nothing.
    assert "meta skuid { 700 } goto loopback_warehouse" in text
    assert re.search(r"chain loopback_warehouse \{\n\s+goto refuse", text)


def test_the_firewall_knows_no_warehouse_where_there_is_none() -> None:
    text = render("firewall", FIREWALL, warehouse_enabled=False)
    assert "5432" not in text
    assert "warehouse" not in text
