"""Which engine a machine gets, and what is said to one that is too small for the platform."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from hangar.config import Config, sizes
from hangar.errors import ConfigError

Make = Callable[..., Config]
ROLES = Path(__file__).resolve().parents[3] / "roles"
DEFAULTS = ROLES / "airbyte_abctl/defaults/main.yml"
DISK = "GiB of disk at /srv (40 free beside 20 for images, logs and the warehouse)"
SUM = "a" * 64
VOUCHED = f"airbyte.abctl.sha256={SUM}"
GOOGLE = ("cloud=gcp", "gcp.project=acme-data-1", "gcp.zone=europe-west6-a")
OWN = (
    "cloud=existing", "existing.address=203.0.113.7", "existing.user=debian", "access.private_key=key",
    "existing.host_key=ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINdWUdEcqxzbB1S6s/aEw7p+mJOV0jNf3psGIn12u6RE",
)  # fmt: skip


@pytest.mark.parametrize(
    ("settings", "engine"),
    [
        ((), "embedded"),
        (("machine.cpus=16", "machine.memory=64GiB", VOUCHED), "embedded"),
        ((*GOOGLE, "gcp.machine_type=e2-standard-8", VOUCHED), "abctl"),
        ((*GOOGLE, "gcp.machine_type=e2-standard-8"), "embedded"),
        ((*GOOGLE, "gcp.machine_type=e2-standard-4", VOUCHED), "embedded"),
        ((*GOOGLE, "gcp.machine_type=e2-highcpu-16", VOUCHED), "embedded"),
        ((*GOOGLE, "gcp.machine_type=n2-custom-4-20480", VOUCHED), "abctl"),
        ((*GOOGLE, "gcp.machine_type=z9-standard-8", VOUCHED), "embedded"),
        ((*GOOGLE, "gcp.machine_type=e2-standard-8", "gcp.data_disk.size_gb=50", VOUCHED), "embedded"),
        ((*GOOGLE, "gcp.machine_type=e2-standard-8", "airbyte.engine=embedded", VOUCHED), "embedded"),
        ((*OWN, VOUCHED), "embedded"),
        ((*OWN, VOUCHED, "airbyte.engine=abctl"), "abctl"),
    ],
)
def test_nobody_gets_airbytes_platform_by_accident(
    make_config: Make, repo: Path, settings: tuple[str, ...], engine: str
) -> None:
    """Only a machine that is known to be large, and where a checksum says which abctl may be run, gets it unasked."""
    (repo / "inventory/local/key").touch()
    assert make_config(*settings).airbyte_engine == engine


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ((), "the platform is taken unasked only on Google Cloud"),
        (("airbyte.engine=embedded",), "as airbyte.engine says"),
        ((*GOOGLE, "gcp.machine_type=e2-standard-8"),
         "large enough for the platform, but airbyte.abctl.sha256 vouches for no abctl"),
        ((*GOOGLE, "gcp.machine_type=e2-standard-8", VOUCHED),
         "large enough, and airbyte.abctl.sha256 says which abctl may be run"),
        ((*GOOGLE, "gcp.machine_type=e2-standard-4", VOUCHED),
         "the platform is taken unasked from 19 GiB of memory (16 beside Airflow's 3), and the machine has 16"),
        ((*GOOGLE, "gcp.machine_type=z9-standard-8", VOUCHED),
         "how large a machine of gcp.machine_type is, is not known"),
        ((*GOOGLE, "gcp.machine_type=e2-standard-8", "gcp.data_disk.size_gb=50", VOUCHED),
         f"the platform is taken unasked from 60 {DISK}, and the machine has 50"),
    ],
)  # fmt: skip
def test_the_choice_says_why(make_config: Make, settings: tuple[str, ...], why: str) -> None:
    assert make_config(*settings).airbyte_choice == why


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (("machine.cpus=2", "machine.memory=8GiB"), [
            "airbyte.engine: abctl needs 4 CPUs, and the machine has 2; embedded, or a larger machine would be right",
            "airbyte.engine: abctl needs 19 GiB of memory (16 beside Airflow's 3), and the machine has 8;"
            " embedded, or a larger machine would be right",
        ]),
        ((*GOOGLE, "gcp.machine_type=e2-standard-4", "gcp.data_disk.size_gb=30"), [
            "airbyte.engine: abctl needs 19 GiB of memory (16 beside Airflow's 3), and the machine has 16;"
            " embedded, or a larger machine would be right",
            f"airbyte.engine: abctl needs 60 {DISK}, and the machine has 30;"
            " embedded, or a larger machine would be right",
        ]),
        ((*GOOGLE, "gcp.machine_type=e2-standard-8", "gcp.data_disk.size_gb=40"), [
            f"airbyte.engine: abctl needs 60 {DISK}, and the machine has 40;"
            " embedded, or a larger machine would be right",
        ]),
        (("cloud=vm", "machine.cpus=2", "machine.memory=8GiB", "vm.data_disk_gb=59"), [
            "airbyte.engine: abctl needs 4 CPUs, and the machine has 2; embedded, or a larger machine would be right",
            "airbyte.engine: abctl needs 19 GiB of memory (16 beside Airflow's 3), and the machine has 8;"
            " embedded, or a larger machine would be right",
            f"airbyte.engine: abctl needs 60 {DISK}, and the machine has 59;"
            " embedded, or a larger machine would be right",
        ]),
    ],
)  # fmt: skip
def test_a_machine_that_is_too_small_is_refused_with_the_figures(
    make_config: Make, settings: tuple[str, ...], said: list[str]
) -> None:
    with pytest.raises(ConfigError) as refused:
        make_config("airbyte.engine=abctl", VOUCHED, *settings)
    assert [str(problem) for problem in refused.value.problems] == said


@pytest.mark.parametrize(
    "settings",
    [
        (*GOOGLE, "gcp.machine_type=e2-standard-8", "gcp.data_disk.size_gb=60"),
        ("cloud=vm", "machine.cpus=4", "machine.memory=19GiB", "vm.data_disk_gb=60"),
        ("cloud=vm",),  # all of this computer's CPUs and memory, which the role will ask
    ],
)
def test_a_machine_that_leaves_the_platform_its_room_may_have_it(
    make_config: Make, settings: tuple[str, ...]
) -> None:
    assert make_config("airbyte.engine=abctl", VOUCHED, *settings).airbyte_engine == "abctl"


def test_without_a_checksum_the_platform_is_refused_with_the_way_to_one(make_config: Make) -> None:
    with pytest.raises(ConfigError) as refused:
        make_config("airbyte.engine=abctl")
    assert [str(problem) for problem in refused.value.problems] == [
        "airbyte.abctl.sha256: is missing; the line of abctl-v0.30.4-linux-amd64.tar.gz in https://github.com/airbytehq/"
        "abctl/releases/download/v0.30.4/abctl_0.30.4_checksums.txt would be right"
    ]


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("airbyte.abctl.chart=2.3.9", "chart: 2.3.9 is too old: below 2.4 one workspace can read another's"
         " (CVE-2026-80049); a release such as 2.4.0 would be right"),
        ("airbyte.abctl.archive=nowhere.tar.gz", "archive: there is no file FOLDER/nowhere.tar.gz; an address such as"
         " https://mirror.example.org/abctl.tar.gz, the path of a file, or null would be right"),
        ("airbyte.abctl.filter_port=8000", "filter_port: 8000 is Airbyte's own port; a port of its own would be right"),
        ("airflow.port=8001", "filter_port: 8001 is Airflow's port too; a port of its own would be right"),
    ],
)  # fmt: skip
def test_what_abctl_is_told_is_judged(make_config: Make, repo: Path, setting: str, said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        make_config("airbyte.engine=abctl", VOUCHED, setting)
    (problem,) = refused.value.problems
    assert str(problem).replace(str(repo / "inventory/local"), "FOLDER") == f"airbyte.abctl.{said}"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("global: [1\n b", ' is no file of Helm values (line 2, column 3: this is not YAML (expected \',\' or \']\', '
         "but got '<stream end>')); YAML"),
        ("[1, 2]", " is no file of Helm values (line 1: this is not a list of settings); YAML"),
        ("a: 1\na: 2", ' is no file of Helm values (line 2: "a" is given twice, first on line 1); YAML'),
        ("global: yes", " has a `global` that is none of Airbyte's chart; global: {…: {…}}"),
        ("global: {auth: }", " has a `global` that is none of Airbyte's chart; global: {…: {…}}"),
        ("global: {auth: {enabled: false}}",
         " switches the log-in off (global.auth.enabled); leaving it on"),
        ("global: {tracking: {enabled: true}}",
         " sends what Airbyte does to its maker (global.tracking); leaving it off"),
        ("global: {tracking: {strategy: segment}}",
         " sends what Airbyte does to its maker (global.tracking); leaving it off"),
    ],
)  # fmt: skip
def test_values_that_the_role_would_refuse_are_refused_before_anything_is_touched(
    make_config: Make, repo: Path, content: str, said: str
) -> None:
    file = repo / "inventory/local/values.yaml"
    file.write_text(content)
    with pytest.raises(ConfigError) as refused:
        make_config("airbyte.engine=abctl", VOUCHED, "airbyte.abctl.values=values.yaml")
    assert [str(problem) for problem in refused.value.problems] == [
        f"airbyte.abctl.values: {file}{said} would be right"
    ]


@pytest.mark.parametrize(
    "content",
    ["", "# nothing yet", "webapp: {replicaCount: 2}", "global: {auth: {enabled: true}, edition: community}",
     "global: {tracking: {enabled: false, strategy: logging}, jobs: {resources: {limits: {cpu: 1}}}}"],
)  # fmt: skip
def test_values_of_ones_own_are_taken(make_config: Make, repo: Path, content: str) -> None:
    file = repo / "inventory/local/values.yaml"
    file.write_text(content)
    taken = make_config("airbyte.engine=abctl", VOUCHED, "airbyte.abctl.values=values.yaml")
    assert taken.airbyte.abctl.values == file


@pytest.mark.parametrize("section", ["warehouse", "monitoring"])
def test_a_service_that_takes_the_filters_port_is_told(make_config: Make, section: str) -> None:
    with pytest.raises(ConfigError) as refused:
        make_config("airbyte.engine=abctl", VOUCHED, f"{section}.port=8001")
    assert [str(problem) for problem in refused.value.problems] == [
        f"{section}.port: 8001 is airbyte.abctl.filter_port too; a port of its own would be right"
    ]


def test_the_filters_port_is_free_where_there_is_no_filter(make_config: Make) -> None:
    assert make_config("airflow.port=8001").airflow.port == 8001


def test_an_archive_is_an_address_or_a_file_beside_platform_yml(make_config: Make, repo: Path) -> None:
    (repo / "inventory/local/abctl.tar.gz").touch()
    found = make_config("airbyte.abctl.archive=abctl.tar.gz").airbyte.abctl.archive
    assert found == str(repo / "inventory/local/abctl.tar.gz")
    there = "https://mirror.example.org/abctl.tar.gz"
    assert make_config(f"airbyte.abctl.archive={there}").airbyte.abctl.archive == there


def test_the_role_asks_the_machine_for_the_same_figures() -> None:
    role = yaml.safe_load(DEFAULTS.read_text())
    figures = [role[f"airbyte_abctl_least_{name}"] for name in ("cpus", "memory_gib", "disk_gib")]
    assert figures == [sizes.NEEDED.cpus, sizes.NEEDED.memory, sizes.FREE]


def test_the_rest_of_the_disk_holds_what_the_other_roles_may_take() -> None:
    """In GB, which are a little less than the GiB that are set aside for them."""
    warehouse, monitoring = (
        yaml.safe_load((ROLES / name / "defaults/main.yml").read_text())
        for name in ("warehouse", "monitoring")
    )
    daemon = yaml.safe_load((ROLES / "docker_host/vars/main.yml").read_text())["__docker_host_daemon"]
    bounds = (
        warehouse["warehouse_temp_file_limit"], warehouse["warehouse_max_wal_size"],
        monitoring["monitoring_disk_budget"], daemon["builder"]["gc"]["defaultKeepStorage"],
    )  # fmt: skip
    images_logs_and_first_data = 5
    assert sum(int(bound.removesuffix("GB")) for bound in bounds) + images_logs_and_first_data == sizes.REST


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("e2-standard-4", (4, 16)), ("n2-highmem-8", (8, 64)), ("n1-standard-4", (4, 15)), ("c3-highcpu-8", (8, 16)),
        ("custom-6-12288", (6, 12)), ("e2-custom-4-20480", (4, 20)), ("e2-micro", (None, None)), ("x", (None, None)),
    ],
)  # fmt: skip
def test_a_machine_types_name_tells_its_size(name: str, size: tuple[float | None, float | None]) -> None:
    assert sizes.of_type(name) == size


@pytest.fixture
def registry(repo: Path) -> Callable[[str], Path]:
    """Writes pipelines/connectors/registry.json."""
    folder = repo / "pipelines/connectors"
    folder.mkdir(parents=True)

    def write(text: str) -> Path:
        (folder / "registry.json").write_text(text)
        return folder

    return write


OWN_CONNECTORS = "airbyte.connectors=../../pipelines/connectors"


def test_a_folder_of_connectors_is_found_from_platform_yml(
    make_config: Make, registry: Callable[[str], Path]
) -> None:
    folder = registry(
        '{"weather": {"manifest": "weather.yaml"}, "toy": {"command": ["python3", "/opt/airbyte/connectors/toy.py"]},'
        ' "hubspot": {"lock": "hubspot.lock", "executable": "source-hubspot"}}'
    )
    (folder / "weather.yaml").touch()
    (folder / "hubspot.lock").touch()
    assert make_config(OWN_CONNECTORS).airbyte.connectors == folder
    assert make_config().airbyte.connectors is None


def test_a_registry_with_which_the_engine_would_not_start_is_refused_at_once(
    make_config: Make, registry: Callable[[str], Path]
) -> None:
    folder = registry(
        '{"Weather": {"manifest": "no.yaml"}, "two": {"lock": "a", "manifest": "b"}, "half": {"lock": "a"},'
        ' "none": 1, "outside": {"manifest": "../weather.yaml"}, "said": {"command": "run"}}'
    )
    (folder.parent / "weather.yaml").touch()
    way = "says not how it is run; exactly one of manifest, command, and lock with executable, would be right"
    inside = "the path of a file in that folder would be right"
    with pytest.raises(ConfigError) as refused:
        make_config(OWN_CONNECTORS)
    assert [str(problem) for problem in refused.value.problems] == [
        'airbyte.connectors.Weather: "Weather" is no name of a connector; small letters, digits and dashes would be'
        " right",
        f"airbyte.connectors.Weather.manifest: there is no file {folder}/no.yaml; {inside}",
        f"airbyte.connectors.two: {way}",
        f"airbyte.connectors.half: {way}",
        f"airbyte.connectors.none: {way}",
        f"airbyte.connectors.outside.manifest: {folder}/../weather.yaml is outside of the folder; {inside}",
        "airbyte.connectors.said.command: is no command; a list such as [python3, /opt/airbyte/connectors/source.py]"
        " would be right",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "is not JSON: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
        ("[]", "is no list of names"),
    ],
)
def test_a_registry_that_is_none_is_refused(
    make_config: Make, registry: Callable[[str], Path], text: str, said: str
) -> None:
    folder = registry(text)
    with pytest.raises(ConfigError) as refused:
        make_config(OWN_CONNECTORS)
    assert [str(problem) for problem in refused.value.problems] == [
        f"airbyte.connectors: {folder}/registry.json {said};"
        ' names such as {"weather": {"manifest": …}} would be right'
    ]


def test_a_folder_without_a_registry_is_refused(make_config: Make, registry: Callable[[str], Path]) -> None:
    folder = registry("{}")
    (folder / "registry.json").unlink()
    with pytest.raises(ConfigError) as refused:
        make_config(OWN_CONNECTORS)
    assert [str(problem) for problem in refused.value.problems] == [
        f"airbyte.connectors: {folder}/registry.json cannot be read: No such file or directory;"
        " a folder with a registry.json would be right"
    ]


def test_connectors_for_an_engine_that_would_not_read_them_are_refused(
    make_config: Make, registry: Callable[[str], Path]
) -> None:
    registry("{}")
    for settings in (
        (*GOOGLE, "gcp.machine_type=e2-standard-8", VOUCHED), ("airbyte.engine=abctl", VOUCHED),
    ):  # fmt: skip
        with pytest.raises(ConfigError) as refused:
            make_config(OWN_CONNECTORS, *settings)
        assert (
            "airbyte.connectors: is for the embedded engine; the platform has connectors of its own; null, or"
            in (refused.value.details)
        )
