"""The profiles of services: what AppArmor's own parser says of them, whether they fit their units, when they count."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from hangar.paths import REPO
from tests.templates.render import render, value

ROLE = "hardening_system"
CONFINED: dict[str, str] = value(ROLE, "__hardening_system_confined")
WRITTEN_BY = {
    "airbyte-filter.service": ("airbyte_abctl", "/etc/systemd/system/airbyte-filter.service"),
    "airflow-live.service": ("airflow", "/etc/systemd/system/airflow-live.service"),
    "hangar-measure.service": ("monitoring", "/etc/systemd/system/hangar-measure.service"),
    "prometheus-alertmanager.service": (
        "monitoring",
        "/etc/systemd/system/prometheus-alertmanager.service.d/50-hangar.conf",
    ),
    "prometheus-node-exporter.service": (
        "monitoring",
        "/etc/systemd/system/prometheus-node-exporter.service.d/50-hangar.conf",
    ),
    "prometheus.service": ("monitoring", "/etc/systemd/system/prometheus.service.d/50-hangar.conf"),
    "warehouse.service": ("warehouse", "/etc/systemd/system/warehouse.service"),
}
CONTROL = "system.apparmor_services"
ABSTRACTIONS = Path("/etc/apparmor.d/abstractions/base")

each_profile = pytest.mark.parametrize("profile", sorted(CONFINED))


def text(profile: str) -> str:
    return render(ROLE, f"/etc/apparmor.d/{profile}")


def unit(profile: str) -> str:
    role, path = WRITTEN_BY[CONFINED[profile]]
    return render(role, path, role_path=str(REPO / "roles" / role), __warehouse_version="17")


def judged(profile_text: str) -> subprocess.CompletedProcess[str]:
    """What the parser says; it asks no kernel and keeps nothing."""
    program = shutil.which("apparmor_parser", path="/usr/sbin:/sbin:/usr/bin")
    if not program or not ABSTRACTIONS.exists():
        pytest.skip("this computer has no apparmor_parser (package apparmor)")
    argv = [program, "--skip-kernel-load", "--skip-cache"]
    return subprocess.run(argv, input=profile_text, capture_output=True, text=True, timeout=120)


def allows(profile: str, path: str, right: str) -> bool:
    """Whether a rule of the profile's own gives this right to the path."""
    rules = re.findall(r'^  (?:owner )?"?([/@][^\s"]*)"? ([a-zA-Z]+),$', text(profile), re.M)
    return any(right in rights and re.fullmatch(pattern(glob), path) for glob, rights in rules)


def pattern(glob: str) -> str:
    """A rule's path as a regular expression."""
    glob = glob.replace("@{run}", "/run").replace("@{PROC}", "/proc").replace("@{sys}", "/sys")
    words = {"**": ".+", "*": "[^/]*", "{": "(?:", "}": ")", ",": "|", "?": "[^/]"}
    return re.sub(r"\*\*|[*{},?]|[^*{},?]+", lambda one: words.get(one[0], re.escape(one[0])), glob)


@each_profile
def test_apparmors_own_parser_takes_it(profile: str) -> None:
    said = judged(text(profile))
    # Of a computer whose kernel has no AppArmor.
    warnings = [line for line in said.stderr.splitlines() if not line.startswith("Cache read/write disabled")]
    assert (said.returncode, warnings) == (0, [])


def test_the_parser_notices_what_is_wrong() -> None:
    right = text("hangar.prometheus")
    for wrong in (
        right.replace("mr,", "mr", 1),
        right.replace("abstractions/base", "abstractions/nothing"),
        right.replace("rwk,", "rwz,"),
    ):
        assert wrong != right
        assert judged(wrong).returncode != 0


@each_profile
def test_it_is_enforced_for_its_unit_and_attached_to_no_program(profile: str) -> None:
    """Who runs the program by hand, or only asks it for its version, is not confined by it."""
    [head] = re.findall(r"^profile .*$", text(profile), re.M)
    assert head == f"profile {profile} flags=(attach_disconnected) {{"
    assert f"include if exists <local/{profile}>" in text(profile)
    assert CONFINED[profile] in WRITTEN_BY


@each_profile
def test_its_unit_finds_what_it_starts_reads_and_writes(profile: str) -> None:
    lines = unit(profile).replace("\\\n", " ")
    commands = re.findall(r"^Exec\w+=(/.*)$", lines, re.M)
    assert commands
    for command in commands:
        assert allows(profile, command.split()[0], "r"), command
    for path in set(re.findall(r"(?<![\w-])/etc/hangar/[\w./-]+\w", lines)) | set(
        re.findall(r"^Exec.*web\.config\.file=(\S+)", lines, re.M)
    ):
        assert allows(profile, path, "r"), path
    for line in re.findall(r"^ReadWritePaths=(.*)$", lines, re.M):
        for path in line.split():
            assert allows(profile, f"{path.lstrip('-')}/a/b", "w"), path
    for name in re.findall(r"^RuntimeDirectory=(\S+)", lines, re.M):
        assert allows(profile, f"/run/{name}/a", "w"), name


@each_profile
def test_what_its_unit_hides_it_does_not_open(profile: str) -> None:
    for line in re.findall(r"^InaccessiblePaths=(.*)$", unit(profile), re.M):
        for path in line.split():
            assert not allows(profile, f"{path.lstrip('-')}/a", "w"), path


SECRET = (
    "/etc/shadow", "/etc/sudoers", "/etc/ssh/ssh_host_ed25519_key", "/etc/ssl/private/key.pem", "/root/.ssh/id_ed25519",
    "/home/ana/.ssh/id_ed25519", "/srv/airflow/secrets/fernet_key", "/srv/backup/secrets/sent",
    "/srv/people/passwords/ana", "/srv/monitoring/secrets/admin_password", "/srv/warehouse/secrets/dbt",
    "/srv/airbyte/secrets/key",
)  # fmt: skip


@each_profile
def test_it_opens_no_secret_of_another_and_leads_out_of_no_profile(profile: str) -> None:
    denied = set(re.findall(r"^  deny (\S+) r,$", text(profile), re.M))
    readable = [
        path
        for path in SECRET
        if allows(profile, path, "r") and not any(re.fullmatch(pattern(glob), path) for glob in denied)
    ]
    assert readable == []
    assert re.findall(r" [mr]*[uUpPcC]+[iu]?x,|change_profile|capability (sys_|mac_|setpcap)|^  (file|capability),",
                      text(profile), re.M) == []  # fmt: skip
    assert not any(allows(profile, shell, "x") for shell in ("/bin/sh", "/usr/bin/dash", "/usr/bin/bash"))


def started(module: Path) -> set[str]:
    """The programs that a part of the measuring daemon asks: what stands first in a list for `answer`."""
    found = set()
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) in ("argv", "looked", "FORM"):
            first = node.value
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "answer":
            first = node.args[0]
        else:
            continue
        if isinstance(first, ast.List) and isinstance(first.elts[0], ast.Constant):
            found.add(str(first.elts[0].value))
    return found


def test_the_measuring_daemon_may_start_what_it_asks() -> None:
    folder = REPO / "roles/monitoring/templates/usr/local/lib/hangar/hangar_monitoring"
    found = {name for part in ("containers", "services", "system") for name in started(folder / f"{part}.py")}
    assert found >= {"apt-get", "curl", "docker", "find", "journalctl", "openssl", "systemctl"}
    assert [name for name in found if not allows("hangar.measure", f"/usr/bin/{name}", "x")] == []
    assert allows("hangar.measure", "/usr/lib/postgresql/17/bin/psql", "x")


@each_profile
def test_who_may_read_resolv_conf_may_read_it_where_resolved_keeps_it(profile: str) -> None:
    """There /etc/resolv.conf is a link, and AppArmor looks at the file that it leads to."""
    if allows(profile, "/etc/resolv.conf", "r"):
        assert allows(profile, "/run/systemd/resolve/stub-resolv.conf", "r")
        assert allows(profile, "/run/systemd/resolve/resolv.conf", "r")


def test_these_tests_read_rules_as_apparmor_does() -> None:
    assert allows("hangar.prometheus", "/srv/monitoring/prometheus/wal/1", "w")
    assert not allows("hangar.prometheus", "/srv/monitoring/alertmanager/1", "r")
    assert allows("hangar.warehouse", "/usr/lib/postgresql/17/bin/postgres", "x")
    assert not allows("hangar.warehouse", "/usr/lib/postgresql/17/bin/psql", "x")
    assert allows("hangar.alertmanager", "/srv/monitoring/secrets/HOOK", "r")


def test_a_unit_starts_without_apparmor_as_before() -> None:
    """The dash: systemd passes over a profile that the kernel does not have."""
    found = value(ROLE, "__hardening_system_dropins")
    assert set(found) == {
        f"/etc/systemd/system/{name}.d/60-hangar-apparmor.conf" for name in CONFINED.values()
    }
    for profile, name in CONFINED.items():
        [managed, *lines] = found[f"/etc/systemd/system/{name}.d/60-hangar-apparmor.conf"][
            "content"
        ].splitlines()
        assert managed.startswith("# Written by Hangar (role hardening_system).")
        assert lines == ["[Service]", f"AppArmorProfile=-{profile}"]


def test_left_open_it_leaves_nothing_behind() -> None:
    left = {f"{ROLE}_off": [CONTROL]}
    files = {f"/etc/apparmor.d/{profile}" for profile in CONFINED}
    dropins = set(value(ROLE, "__hardening_system_dropins"))
    assert files | dropins <= set(value(ROLE, "__hardening_system_absent", **left))
    assert files <= set(value(ROLE, "__hardening_system_skip", **left))
    assert dropins.isdisjoint(value(ROLE, "__hardening_system_tree", **left))
    assert (files | dropins).isdisjoint(value(ROLE, "__hardening_system_absent"))
    assert dropins <= set(value(ROLE, "__hardening_system_tree"))


class Machine:
    """What the program sees of a kernel and of systemd, in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.profiles, self.written = folder / "profiles", folder / "apparmor.d"
        self.written.mkdir()
        (folder / "proc").mkdir()
        places = {
            "/sys/kernel/security/apparmor/profiles": self.profiles,
            "/etc/apparmor.d": self.written,
            "/usr/lib/apparmor/profile-load": folder / "profile-load",
            "/proc/": f"{folder}/proc/",
        }
        program = render(ROLE, "/usr/local/lib/hangar/hardening-apparmor")
        for there, here in places.items():
            assert there in program
            program = program.replace(there, str(here))
        self.program = folder / "program"
        self.program.write_text(program)
        tool = folder / "systemctl"
        tool.write_text(
            f'#!/bin/sh\necho "$*" >> {folder}/asked\n[ "$1" = show ] || exit 0\nshift 4\n'
            f'for unit; do cat {folder}/"$unit" 2>/dev/null || echo 0; echo; done\n'
        )
        loader = folder / "profile-load"
        loader.write_text(f'#!/bin/sh\necho "$1" >> {folder}/loaded\n')
        for one in (tool, loader, self.program):
            one.chmod(0o755)

    def runs(self, unit: str, process: int, label: str) -> None:
        (self.folder / unit).write_text(f"{process}\n")
        place = self.folder / "proc" / str(process) / "attr"
        place.mkdir(parents=True)
        (place / "current").write_text(label)

    def knows(self, *profiles: str) -> None:
        self.profiles.write_text("".join(f"{one}\n" for one in profiles))

    def says(self, *words: str) -> list[str]:
        surroundings = {"PATH": f"{self.folder}:/usr/bin:/bin"}
        done = subprocess.run(
            ["/bin/sh", str(self.program), *words],
            env=surroundings,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout.splitlines()

    def told(self, name: str) -> list[str]:
        path = self.folder / name
        return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def write(machine: Machine) -> None:
    for profile in CONFINED:
        (machine.written / profile).write_text("")


def test_where_the_kernel_has_no_apparmor_nothing_is_done(machine: Machine) -> None:
    write(machine)
    machine.runs("prometheus.service", 7, "unconfined\n")
    assert machine.says("look") == []
    assert machine.says("apply") == []
    assert not [line for line in machine.told("asked") if "restart" in line]


def test_a_service_that_runs_without_its_profile_is_named_and_started_anew(machine: Machine) -> None:
    write(machine)
    machine.knows("hangar.prometheus (enforce)", "hangar.warehouse (enforce)", "hangar.measure (enforce)")
    machine.runs("prometheus.service", 7, "unconfined\n")
    machine.runs("warehouse.service", 8, "hangar.warehouse (enforce)\n")
    machine.runs("airflow-live.service", 9, "unconfined\n")  # whose profile the kernel does not have
    assert machine.says("look") == ["service prometheus.service"]
    assert machine.says("apply") == ["restarted prometheus.service"]
    assert [line for line in machine.told("asked") if "restart" in line] == ["try-restart prometheus.service"]
    assert machine.told("loaded") == sorted(CONFINED)


def test_a_profile_that_only_complains_is_no_confinement(machine: Machine) -> None:
    write(machine)
    machine.knows("hangar.prometheus (complain)")
    machine.runs("prometheus.service", 7, "hangar.prometheus (complain)\n")
    assert machine.says("look") == ["service prometheus.service"]


def test_left_open_a_service_is_let_out_once(machine: Machine) -> None:
    machine.knows("hangar.prometheus (enforce)", "hangar.warehouse (enforce)")
    machine.runs("prometheus.service", 7, "hangar.prometheus (enforce)\n")
    machine.runs("warehouse.service", 8, "unconfined\n")
    assert machine.says("look") == ["service prometheus.service"]
    assert machine.says("load") == []
    assert machine.told("loaded") == []


def test_the_contract_knows_a_file_of_each_profile() -> None:
    source = (REPO / "roles" / ROLE / "tests/test_hardening_system.py").read_text()
    [table] = re.findall(r"^OWN = (\{.*?^\})$", source, re.M | re.S)
    own = ast.literal_eval(table)
    assert set(own) == set(CONFINED)
    assert [path for profile, path in own.items() if not allows(profile, path, "r")] == []
