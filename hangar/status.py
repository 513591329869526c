"""How the machine is: asked with one command over SSH, read from /proc, systemd and Docker."""

import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from hangar import watched
from hangar.services import SERVICES, WATCHED, as_user, containers, is_wanted, uid_of
from hangar.watched import Watched

if TYPE_CHECKING:
    from hangar.config import Config

# CPU time is counted since the start: two readings half a second apart say what it is now.
# A container counts its uptime from its host's start; systemd knows when this machine began.
_SCRIPT = """
echo '# cpu'; head -n 1 /proc/stat; sleep 0.5
echo '# cpu'; head -n 1 /proc/stat
echo '# memory'; grep -E '^(MemTotal|MemAvailable):' /proc/meminfo
echo '# disk'; df -P -k / /srv
echo '# uptime'; cat /proc/uptime; systemctl show --property=UserspaceTimestampMonotonic --value
echo '# units'; for unit in {units}; do echo "${{unit%%=*}} $(systemctl is-active ${{unit#*=}})"; done
{containers}
if [ -x /usr/local/sbin/monitoring ]; then echo '# monitoring'; sudo -n monitoring ask 2>&1; fi
true
"""


@dataclass(frozen=True)
class Usage:
    """`used` and `total` in bytes; in CPU seconds for the CPUs."""

    used: float
    total: float

    @property
    def percent(self) -> float:
        return round(100 * self.used / self.total, 1) if self.total else 0.0


@dataclass(frozen=True)
class ServiceState:
    name: str
    state: str
    well: bool


@dataclass(frozen=True)
class Health:
    """What a running machine says of itself. `uptime` is in seconds. `watched` is what its monitoring knows, None
    where there is none or it does not answer; then `complaint` is what it said instead.
    """

    uptime: float
    cpu: Usage
    memory: Usage
    disks: dict[str, Usage]
    services: tuple[ServiceState, ...]
    watched: Watched | None = None
    complaint: str = ""

    def warnings(self, config: "Config") -> list[str]:
        """What is past its threshold, and who is not well."""
        limits = config.monitoring.warn
        found = [("CPUs", self.cpu, limits.cpu), ("memory", self.memory, limits.memory)]
        found += [(f"disk {place}", usage, limits.disk) for place, usage in self.disks.items()]
        lines = [f"{what}: {usage.percent} % used, more than {limit} %" for what, usage, limit in found
                 if usage.percent > limit]  # fmt: skip
        lines += [f"{service.name} is {service.state}" for service in self.services if not service.well]
        return lines + ([f"the monitoring does not answer: {self.complaint}"] if self.complaint else [])

    def as_data(self) -> dict[str, Any]:
        return {
            "uptime_seconds": self.uptime,
            "cpu": {"used_percent": self.cpu.percent},
            "memory": _data(self.memory),
            "disks": {place: _data(usage) for place, usage in self.disks.items()},
            "services": [asdict(service) for service in self.services],
            "alerts": [alert.as_data() for alert in self.watched.alerts] if self.watched else None,
            "figures": self.watched.figures if self.watched else None,
        }


def script(config: "Config") -> str:
    """The shell script that a machine answers with its health."""
    asked = []
    for name, service in SERVICES.items():
        if service.project and is_wanted(name, config):
            docker = as_user(uid_of(service.user, config), service.user)
            label, called = containers(name, config)
            form = f"{called}\t{{{{.State}}}}\t{{{{.Status}}}}"
            # The answer is the service user's own word: nothing of it begins a part of ours.
            asked.append(
                f"echo '# containers {name}'; "
                f"{docker} docker ps --all --filter {label} --format '{form}' | sed 's/^#/ #/'"
            )
    units = [f"{name}={unit}" for name, unit in WATCHED.items() if is_wanted(name, config)]
    return _SCRIPT.format(units=" ".join(units), containers="\n".join(asked))


def read(text: str) -> Health:
    """Reads the answer of `script`."""
    cpu, sections = [], {}
    for part in re.split(r"^# ", text, flags=re.MULTILINE)[1:]:
        name, _, body = part.partition("\n")
        if name == "cpu":
            cpu.append([int(number) for number in body.split()[1:9]])
        sections[name] = body.strip().splitlines()
    known, complaint = _watched(sections.get("monitoring", []))
    return Health(
        uptime=float(sections["uptime"][0].split()[0]) - int(sections["uptime"][1]) / 1e6,
        cpu=_cpu(cpu[0], cpu[-1]),
        memory=_memory(sections["memory"]),
        disks=dict(_disk(line) for line in sections["disk"][1:]),
        services=(*_units(sections["units"]), *_containers(sections)),
        watched=known,
        complaint=complaint,
    )


def _watched(lines: list[str]) -> tuple[Watched | None, str]:
    try:
        return (watched.read(lines[-1]), "") if lines else (None, "")
    except ValueError:
        return None, lines[-1]


def _cpu(first: list[int], last: list[int]) -> Usage:
    spent = [after - before for before, after in zip(first, last, strict=True)]
    idle = spent[3] + spent[4]  # idle, iowait
    return Usage(float(sum(spent) - idle), float(sum(spent)))


def _memory(lines: list[str]) -> Usage:
    kib = {line.split(":")[0]: int(line.split()[1]) for line in lines}
    return Usage(float(kib["MemTotal"] - kib["MemAvailable"]) * 1024, float(kib["MemTotal"]) * 1024)


def _disk(line: str) -> tuple[str, Usage]:
    _, _, used, available, _, place = line.split(maxsplit=5)
    # As df does: what is reserved for root counts as neither.
    return place, Usage(float(used) * 1024, float(int(used) + int(available)) * 1024)


def _units(lines: list[str]) -> list[ServiceState]:
    states = (line.partition(" ")[::2] for line in lines)
    return [ServiceState(name, state, state == "active") for name, state in states]


def _containers(sections: dict[str, list[str]]) -> list[ServiceState]:
    """One line a container. One that ran its course (a migration step) is well when it ended with 0."""
    found = []
    for section, lines in sections.items():
        if not section.startswith("containers "):
            continue
        project = section.removeprefix("containers ")
        if not lines:
            found.append(ServiceState(project, "not running", False))
        for line in lines:
            said = line.split("\t")
            if len(said) != 3:
                found.append(ServiceState(project, "its Docker answers otherwise than it should", False))
                continue
            name, state, status = said
            ended = state == "exited" and status.startswith("Exited (0)")
            well = ended or (state == "running" and "unhealthy" not in status)
            found.append(ServiceState(f"{project}/{name}", "done" if ended else _health(state, status), well))
    return found


def _health(state: str, status: str) -> str:
    health = re.search(r"\((healthy|unhealthy|health: starting)\)", status)
    return health[1].replace("health: ", "") if health else state


def _data(usage: Usage) -> dict[str, float]:
    return {"used_bytes": usage.used, "total_bytes": usage.total, "used_percent": usage.percent}
