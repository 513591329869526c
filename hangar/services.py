"""What runs on the machine, by the names that people use: where it logs, and how to ask whether it is well."""

import json
import shlex
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hangar.config import Config


READER = "/usr/local/lib/hangar/hangar_monitoring/logs.py"
"""Where the role monitoring puts what reads logs."""


SHOWN = r"2>&1 | sed --unbuffered 's/\x1b\[[0-9;?]*[A-Za-z]//g; s/\t/    /g; s/[[:cntrl:]]/?/g'"
"""What containers say, and whoever reads them complains of, without what would act on a terminal: their words go there
past our own console. Compose clears lines that it never wrote, even where there is no terminal.
"""


@dataclass(frozen=True)
class Service:
    """`units` are system units; `identifiers` are names in the log, for units that are made as needed. `user` is
    the service user whose rootless Docker and user units belong to it; `project` names its containers (the Compose
    project). `kernel` is its own log, which nobody else can write to.
    """

    units: tuple[str, ...] = ()
    identifiers: tuple[str, ...] = ()
    user_units: tuple[str, ...] = ()
    user: str = ""
    project: str = ""
    kernel: bool = False


SERVICES = {
    "airbyte": Service(user="airbyte", project="airbyte"),
    "airbyte-filter": Service(units=("airbyte-filter.service",)),
    "airbyte-start": Service(
        user_units=("airbyte.service", "airbyte-abctl.service", "airbyte-abctl-install.service")
    ),
    "airflow": Service(user="airflow", project="airflow"),
    "airflow-folders": Service(units=("airflow-live.service", "airflow-logs.service")),
    "airflow-start": Service(user_units=("airflow.service",)),
    "backup": Service(units=("hangar-backup.service", "hangar-backup-trial.service")),
    "docker": Service(user_units=("docker.service", "docker-again.service", "docker-prune.service")),
    "editors": Service(units=("hangar-editors.service", "hangar-homes.service")),
    "firewall": Service(units=("hangar-firewall.service", "hangar-firewall-accounts.service")),
    "hardening": Service(
        units=(
            "hangar-accounting.service",
            "hangar-integrity.service",
            "hangar-mounts.service",
            "systemd-journal-upload.service",
        )
    ),
    "interlock": Service(units=("hangar-interlock.service",), identifiers=("hangar-interlock",)),
    "kernel": Service(kernel=True),
    "monitoring": Service(
        units=(
            "hangar-measure.service",
            "prometheus.service",
            "prometheus-alertmanager.service",
            "prometheus-node-exporter.service",
            "google-cloud-ops-agent.service",
            "google-cloud-ops-agent-fluent-bit.service",
            "google-cloud-ops-agent-opentelemetry-collector.service",
        )
    ),
    "people": Service(units=("hangar-people.service",)),
    "secrets": Service(units=("hangar-secrets.service",)),
    "ssh": Service(units=("ssh.service",)),
    "sudo": Service(identifiers=("sudo",)),
    "startup": Service(units=("hangar-startup.service", "hangar-announce.service")),
    "updates": Service(
        units=(
            "unattended-upgrades.service",
            "apt-daily-upgrade.service",
            "hangar-images.service",
            "hangar-maintenance.service",
            "hangar-renewal.service",
            "hangar-resume.service",
        ),
        user_units=("image-updates.service",),
    ),
    "warehouse": Service(units=("warehouse.service",)),
}

WATCHED = {
    "airbyte-filter": "airbyte-filter.service",
    "firewall": "hangar-firewall.service",
    "monitoring": "prometheus.service",
    "ssh": "ssh.service",
    "warehouse": "warehouse.service",
}
"""What `status` expects to be active all the time."""


def is_wanted(name: str, config: "Config") -> bool:
    """Whether the settings put this service on the machine at all."""
    airbyte = config.airbyte.enabled
    switches = {
        "airbyte": airbyte,
        "airbyte-filter": airbyte and config.airbyte_engine == "abctl",
        "warehouse": config.warehouse.enabled,
    }
    return switches.get(name, True)


def containers(name: str, config: "Config") -> tuple[str, str]:
    """How Docker finds a service's containers, and what each is called: (filter, Go template)."""
    if name == "airbyte" and config.airbyte_engine == "abctl":
        return "label=io.x-k8s.kind.cluster=airbyte-abctl", "{{.Names}}"
    project = SERVICES[name].project
    return f"label=com.docker.compose.project={project}", '{{.Label "com.docker.compose.service"}}'


def as_user(uid: int, user: str) -> str:
    """What to put before a Docker command so that it speaks to the service user's own daemon."""
    # Compose reads the folder that it stands in, and the service user may not read ours.
    return f"cd / && sudo -u {user} env DOCKER_HOST=unix:///run/user/{uid}/docker.sock"


def uid_of(user: str, config: "Config") -> int:
    return {"airflow": config.users.airflow.uid, "airbyte": config.users.airbyte.uid}[user]


def accounts(config: "Config") -> list[int]:
    """Whose user units are services'. People may have units of the same names."""
    return [config.users.airflow.uid, config.users.airbyte.uid]


@dataclass(frozen=True)
class Part:
    """Which part of a log: its last `lines`, or what came in the last `since` seconds; with `follow` what comes too."""

    lines: int
    since: int | None = None
    follow: bool = False

    @property
    def of_journal(self) -> str:
        """As journalctl is asked."""
        return self._as(f"--lines={self.lines}", f"--since=-{self.since}s")

    @property
    def of_containers(self) -> str:
        """As Docker and kubectl are asked."""
        return self._as(f"--tail={self.lines}", f"--since={self.since}s")

    def _as(self, lines: str, since: str) -> str:
        asked = lines if self.since is None else since
        return f"{asked} --follow" if self.follow else asked


def reading(names: list[str], config: "Config", part: Part, *, grep: str, as_json: bool) -> str:
    """The shell command on the machine that shows the logs of services, one after the other in time, with masked
    secrets. A machine whose configuration did not come so far shows its logs as they are; so does Airbyte's
    platform, asked for by itself: its logs are in its cluster.
    """
    platform = config.airbyte_engine == "abctl"
    if platform and names == ["airbyte"]:
        return log_command(SERVICES["airbyte"], config, part)
    asked = {
        "sources": [
            {
                "name": name,
                **{key: value for key, value in asdict(SERVICES[name]).items() if value},
                **({"accounts": accounts(config)} if SERVICES[name].user_units else {}),
            }
            for name in names
            if is_wanted(name, config) and not (platform and name == "airbyte")
        ],
        "lines": part.lines, "since": part.since, "follow": part.follow, "grep": grep, "json": as_json,
    }  # fmt: skip
    plain = (
        log_command(SERVICES[names[0]], config, part)
        if len(names) == 1
        else f"sudo journalctl --no-pager --output=short-iso {part.of_journal}"
    )
    said = shlex.quote(json.dumps(asked))
    return f"if [ -e {READER} ]; then sudo monitoring logs {said}; else {plain}; fi"


def log_command(service: Service, config: "Config", part: Part) -> str:
    """The shell command on the machine that shows a part of a service's log."""
    if service is SERVICES["airbyte"] and config.airbyte_engine == "abctl":
        return _platform_log(config, part)
    if service.project:
        return " ".join([
            as_user(uid_of(service.user, config), service.user), f"docker compose -p {service.project}",
            "logs --no-color", part.of_containers, SHOWN,
        ])  # fmt: skip
    # As the reader on the machine asks (role monitoring): anybody may log in another's name.
    matches = [f"_SYSTEMD_UNIT={unit} + UNIT={unit} _PID=1" for unit in service.units]
    matches += [f"SYSLOG_IDENTIFIER={name}" for name in service.identifiers]
    matches += ["_TRANSPORT=kernel"] if service.kernel else []
    whose = " ".join(f"_UID={uid}" for uid in accounts(config))
    matches += [
        f"_SYSTEMD_USER_UNIT={unit} {whose} + USER_UNIT={unit} {whose}" for unit in service.user_units
    ]
    return f"sudo journalctl --no-pager --output=short-iso {part.of_journal} {' + '.join(matches)}"


def _platform_log(config: "Config", part: Part) -> str:
    """Airbyte's platform logs in its cluster; its node's container brings what reads that."""
    return " ".join([
        as_user(config.users.airbyte.uid, "airbyte"),
        "docker exec airbyte-abctl-control-plane kubectl --kubeconfig /etc/kubernetes/admin.conf",
        "--namespace airbyte-abctl logs deployment/airbyte-abctl-server",
        part.of_containers, SHOWN,
    ])  # fmt: skip
