"""A machine as it says of itself, and a checkout that brings the same."""

from collections.abc import Mapping
from dataclasses import replace

from hangar.upgrade.records import Facts, Group, Lock, Plan, Service, Wanted

AIRFLOW = """\
apache-airflow==3.3.2 \\
    --hash=sha256:00
    # via -r requirements.in
apache-airflow-providers-airbyte==6.2.0 \\
    --hash=sha256:00
tomli==2.0 ; python_full_version < '3.11' \\
    --hash=sha256:00
httpx==0.28.1 \\
    --hash=sha256:00
"""
DBT = "dbt-core==1.11.2 \\\n    --hash=sha256:00\n"
INSTALLED = {"apache-airflow": "3.3.2", "apache-airflow-providers-airbyte": "6.2.0", "httpx": "0.28.1"}
SERVICE = Service(
    running=True, environments={"/opt/airflow/venv": INSTALLED, "/opt/dbt": {"dbt-core": "1.11.2"}},
    python="3.13.5", machine="x86_64", suite="trixie",
)  # fmt: skip
FACTS = Facts(
    revision="aaaaaaaaaaaa", services={"airflow": SERVICE}, postgres={"airflow": "17", "warehouse": "17"}
)
LOCK = Lock("roles/airflow/files/requirements.lock", AIRFLOW)
WANTED = Wanted(
    environment="local", revision="aaaaaaaaaaaa", relation="same",
    locks={"airflow": {"/opt/airflow/venv": (LOCK,), "/opt/dbt": (Lock("roles/airflow/files/dbt.lock", DBT),)}},
    suites={"airflow": "trixie", "airbyte": "bookworm"}, postgres={"airflow": "17", "warehouse": "17"},
    docker=("docker.io", "containerd"),
)  # fmt: skip


def with_airflow(**changed: object) -> Facts:
    return replace(FACTS, services={"airflow": replace(SERVICE, **changed)})


def with_lock(text: str, *more: Lock) -> Wanted:
    environments: Mapping[str, tuple[Lock, ...]] = {
        **WANTED.locks["airflow"], "/opt/airflow/venv": (Lock(LOCK.name, text), *more),
    }  # fmt: skip
    return replace(WANTED, locks={"airflow": environments})


def groups(plan: Plan) -> dict[str, Group]:
    return {group.name: group for group in plan.groups}
