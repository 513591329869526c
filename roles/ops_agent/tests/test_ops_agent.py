"""Google's agent is the version that is pinned, has few rights, and is reached by nobody."""

from pathlib import Path

import pytest

UNITS = (
    "google-cloud-ops-agent.service",
    "google-cloud-ops-agent-fluent-bit.service",
    "google-cloud-ops-agent-opentelemetry-collector.service",
)
LOGS, FIGURES = UNITS[1:]
OWN_PORTS = (20201, 20202)
KEY = Path(__file__).resolve().parents[1] / "files/google-cloud.asc"


@pytest.fixture(autouse=True)
def wanted(options):
    """Where figures and logs stay on the machine, there is nothing to promise of the agent."""
    if not options["ops_agent_wanted"]:
        pytest.skip("figures and logs are not sent to Google Cloud")


def pid(host, unit):
    return host.check_output(f"systemctl show --property=MainPID --value {unit}")


def test_the_agent_is_the_version_that_is_pinned(host, options):
    assert host.package("google-cloud-ops-agent").version == f"{options['ops_agent_version']}~debian13"


def test_googles_packages_are_believed_by_one_key_and_nothing_else_comes_from_there(host):
    sources = host.file("/etc/apt/sources.list.d/hangar-google-cloud.sources").content_string
    (signed,) = [line.split()[1] for line in sources.splitlines() if line.startswith("Signed-By:")]
    assert host.file(signed).content_string.strip() == KEY.read_text().strip()
    assert host.run("ls /etc/apt/trusted.gpg.d/ | grep -i google").stdout == ""
    pins = host.file("/etc/apt/preferences.d/hangar-ops-agent").content_string
    assert "Package: *\nPin: origin packages.cloud.google.com\nPin-Priority: -1" in pins


@pytest.mark.parametrize("unit", UNITS)
def test_every_part_runs_and_comes_back_with_the_machine(host, unit):
    assert host.service(unit).is_running
    assert host.service(UNITS[0]).is_enabled


@pytest.mark.parametrize("unit", [LOGS, FIGURES])
def test_a_part_runs_under_an_account_of_its_own(host, unit):
    owner = host.check_output(f"stat --format %U /proc/{pid(host, unit)}")
    assert owner == "ops-agent"
    assert host.user("ops-agent").shell == "/usr/sbin/nologin"


def test_what_reads_figures_has_no_right_and_what_reads_logs_has_one(host):
    rights = {
        unit: int(host.check_output(f"sed -n 's/^CapEff:\\s*//p' /proc/{pid(host, unit)}/status"), 16)
        for unit in (LOGS, FIGURES)
    }
    assert rights == {LOGS: 1 << 2, FIGURES: 0}  # CAP_DAC_READ_SEARCH


def test_it_sees_of_the_services_nothing_but_their_logs(host, options):
    for unit in (LOGS, FIGURES):
        inside = f"nsenter --target {pid(host, unit)} --mount"
        assert host.run(f"{inside} ls /srv").rc == 0
        assert host.run(f"{inside} ls /srv/monitoring/secrets").rc != 0
        assert host.run(f"{inside} ls /srv/airflow/connections").rc != 0
    assert host.run(f"nsenter --target {pid(host, LOGS)} --mount ls /run/hangar-secrets").rc != 0


def test_nothing_of_it_listens_beyond_loopback(host):
    told = host.check_output("ss --no-header --listening --numeric --tcp --udp --processes")
    mine = {pid(host, unit) for unit in (LOGS, FIGURES)}
    places = [line.split()[4] for line in told.splitlines() if any(f"pid={one}," in line for one in mine)]
    assert len(places) >= len(mine)
    assert [place for place in places if not place.startswith(("127.0.0.1:", "[::1]:"))] == []


@pytest.mark.vm
def test_no_service_and_no_person_reaches_its_own_figures(attempt):
    tried = {
        (user, port): f"runuser -u {user} -- timeout 3 bash -c 'exec 3<>/dev/tcp/127.0.0.1/{port}'"
        for user in ("airflow", "airbyte", "nobody")
        for port in OWN_PORTS
    }
    tried["root"] = f"timeout 3 bash -c 'exec 3<>/dev/tcp/127.0.0.1/{OWN_PORTS[0]}'"
    told = attempt(tried)
    assert told.pop("root") == 0
    assert [what for what, status in told.items() if status == 0] == []


@pytest.mark.parametrize("unit", [LOGS, FIGURES])
def test_its_memory_is_bounded(host, options, unit):
    told = host.check_output(f"systemctl show --property=MemoryMax --value {unit}")
    assert told == str(int(options["ops_agent_memory"].removesuffix("M")) * 2**20)


def test_no_password_stands_in_its_settings_or_on_its_command_line(host, options):
    password = options["ops_agent_password"]
    for place in ("/etc/google-cloud-ops-agent", "/run/google-cloud-ops-agent-opentelemetry-collector"):
        assert host.run(f"grep -rqFf {password} {place}").rc == 1
    assert host.run(f"ps axeww -o args= | grep -qFf {password}").rc == 1
