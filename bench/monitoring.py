"""What the monitoring costs an idle machine: CPU from its units' control groups, memory as the kernel shares it out."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from bench.figure import Figure

UNITS = ("hangar-measure", "prometheus", "prometheus-alertmanager", "prometheus-node-exporter")
METERS = ("hangar-measure", "prometheus-node-exporter", "auditd")
"""What looks and records, without what keeps and tells; auditd has nothing to do in a container."""

SECONDS = 60

# On the machine, as root: one line a unit, its name, seconds of CPU within the time, and bytes (PSS).
PROGRAM = """
import pathlib, sys, time
seconds, units = float(sys.argv[1]), sys.argv[2:]
place = {unit: pathlib.Path(f"/sys/fs/cgroup/system.slice/{unit}.service") for unit in units}
units = [unit for unit in units if unit != "auditd" or place[unit].exists()]

def cpu(unit):
    return int(dict(line.split() for line in (place[unit] / "cpu.stat").read_text().splitlines())["usage_usec"]) / 1e6

def memory(unit):
    total = 0
    for pid in (place[unit] / "cgroup.procs").read_text().split():
        try:
            lines = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except OSError:  # it ended between the two looks
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) * 1024
    return total

began, before = time.monotonic(), {unit: cpu(unit) for unit in units}
time.sleep(seconds)  # the span that is measured
passed = time.monotonic() - began
after = {unit: cpu(unit) for unit in units}
if again := [unit for unit in units if after[unit] < before[unit]]:
    sys.exit(f"{', '.join(again)} started anew meanwhile; measure again")
for unit in units:
    print(unit, (after[unit] - before[unit]) / passed, memory(unit))
"""


def monitoring_figures(home: Path, environment: str, seconds: float = SECONDS) -> list[Figure]:
    """Four rows, of the machine that `home`, a checkout, has in this environment. What each unit takes is printed.

    What services do to answer (the users' Docker daemons, Postgres, Airflow) is not in it.
    """
    asked = ["sudo", "python3", "-I", "-", str(seconds), *UNITS, "auditd"]
    ssh = ["ssh", "-F", str(home / ".hangar" / environment / "ssh_config"), f"hangar-{environment}", *asked]
    done = subprocess.run(ssh, input=PROGRAM, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"the monitoring of {environment} could not be measured:\n{done.stderr[-4000:]}")
    found = [line.split() for line in done.stdout.splitlines()]
    for unit, cpu, size in found:
        print(f"  {unit:<26} {100 * float(cpu):5.2f} % of one CPU {int(size) / 2**20:6.1f} MiB")
    return figures([(unit, float(cpu), int(size)) for unit, cpu, size in found])


def figures(found: list[tuple[str, float, int]]) -> list[Figure]:
    """The rows, of each unit's share of a CPU and its bytes."""

    def total(names: tuple[str, ...]) -> tuple[float, float]:
        of_these = [(cpu, size) for unit, cpu, size in found if unit in names]
        return 100 * sum(cpu for cpu, _ in of_these), sum(size for _, size in of_these) / 1e6

    (cpu, memory), (looking, kept) = total(UNITS), total(METERS)
    return [
        Figure("the monitoring of an idle machine, of one CPU", cpu, 1.5, "%"),
        Figure("the monitoring's memory", memory, 200, "MB"),
        Figure("auditing and meters of an idle machine, of one CPU", looking, 1, "%"),
        Figure("the memory of auditing and meters", kept, 100, "MB"),
    ]


if __name__ == "__main__":  # python -m bench.monitoring [CHECKOUT [ENVIRONMENT]]: of a machine that stands
    where, named = (*sys.argv[1:], *([".", "local"][len(sys.argv) - 1 :]))[:2]
    for figure in monitoring_figures(Path(where), named):
        print(figure.row())
