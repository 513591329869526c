import base64
import json
from collections.abc import Callable
from pathlib import Path

import pydantic
import pytest

from hangar import config, paths
from hangar.config import Config, Connection, Secret
from hangar.errors import ConfigError, Problem
from hangar.ssh import keys

Make = Callable[..., Config]


def refused(env: str = "local", *overrides: str) -> ConfigError:
    with pytest.raises(ConfigError) as error:
        config.load(env, overrides)
    return error.value


def test_an_empty_file_means_the_defaults(make_config: Make) -> None:
    found = make_config()
    assert found.environment == "local"
    assert found.server_name == "hangar-local"
    assert (found.airflow.port, found.users.airflow.uid, found.machine.memory) == (8080, 2001, None)


def test_empty_sections_and_lists_mean_the_defaults(repo: Path, make_config: Make) -> None:
    paths.platform_file("local").write_text(
        "machine:\nairflow:\n  environment:\n  debian_packages:\nusers:\n  airflow:\nmonitoring: {warn: }\n"
    )
    assert make_config() == make_config("airflow.port=8080")


def test_the_file_is_read(repo: Path, make_config: Make) -> None:
    paths.platform_file("local").write_text("machine: {memory: 6.5 GiB, cpus: 2}\nairflow: {port: 8081}\n")
    found = make_config()
    assert (found.machine.memory, found.machine.cpus, found.airflow.port) == (int(6.5 * 2**30), 2, 8081)


def test_an_override_is_stronger_than_the_file(repo: Path, make_config: Make) -> None:
    paths.platform_file("local").write_text("airflow: {port: 8081, parallelism: 4}\n")
    found = make_config("airflow.port=8082", "machine.cpus=3", "access.ssh_sources=[10.0.0.0/8]")
    assert (found.airflow.port, found.airflow.parallelism) == (8082, 4)
    assert (found.machine.cpus, found.access.ssh_sources) == (3, ("10.0.0.0/8",))


def test_nothing_can_be_changed_afterwards(make_config: Make) -> None:
    found = make_config()
    with pytest.raises(pydantic.ValidationError):
        found.airflow.port = 1


@pytest.mark.parametrize("lines", [slice(None), slice(1, 2), slice(1, -1)], ids=["whole", "first", "body"])
@pytest.mark.parametrize("is_list", [False, True], ids=["a text", "a list"])
def test_a_private_key_in_the_place_of_its_path_is_repeated_nowhere(
    repo: Path, tmp_path: Path, lines: slice, is_list: bool
) -> None:
    """`private_key` asks for it nearly by its name"""
    keys.ensure_key(tmp_path / "id", "me")
    whole = (tmp_path / "id").read_text().splitlines()
    given = whole[lines] if is_list else "\n".join(whole[lines])
    document = json.dumps({"access": {"private_key": given}})
    paths.platform_file("local").write_text(document)
    error = refused()
    assert [(one.path, one.message.split(";")[0]) for one in error.problems] == [
        (
            "access.private_key",
            "this is the text of a private key, which belongs into a file of its own",
        )
    ]
    said = f"{error}{error.brief}{error.details}{error.resolution}"
    assert not [line for line in whole[1:-1] if line[:20] in said]


@pytest.mark.parametrize("before", ["", "access.private_key: ", "access.private_key.more=["])
def test_a_private_key_on_the_command_line_is_repeated_nowhere(repo: Path, before: str) -> None:
    body = "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQ"
    error = refused("local", f"{before}{body}")
    assert body not in f"{error}{error.brief}{error.details}{error.resolution}"
    (problem,) = error.problems
    assert str(problem) == "--set: there is a private key, which belongs on its owner's computer alone"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("a" * 300, "this is too long for a path"),
        (
            "~nobody-of-this-name/id",
            '"~nobody-of-this-name/id" begins with the home of somebody who has none here',
        ),
        ("'k\"id'", '"k"id" leads to a path with quotes or line breaks, of which ssh cannot be told'),
    ],
)
def test_what_cannot_be_a_path_is_no_defect_of_ours(repo: Path, given: str, said: str) -> None:
    (problem,) = refused("local", f"access.private_key={given}").problems
    assert problem.message.split(";")[0] == said


@pytest.mark.parametrize("is_link", [False, True])
def test_a_file_whose_name_is_settings_for_ssh_is_no_key(
    repo: Path, make_config: Make, is_link: bool
) -> None:
    """Whoever sends platform.yml with files beside it names them, and ssh would run a ProxyCommand on this computer."""
    strange = paths.env_dir("local") / 'id"\n  ProxyCommand touch ran # "'
    strange.touch()
    (paths.env_dir("local") / "id").symlink_to(strange)
    given = "id" if is_link else json.dumps(strange.name)
    (problem,) = refused("local", f"access.private_key={given}").problems
    assert "leads to a path with quotes or line breaks, of which ssh cannot be told" in problem.message
    (repo / "it's mine 50%").touch()
    named = json.dumps(str(repo / "it's mine 50%"))
    assert make_config(f"access.private_key={named}").access.private_key == repo / "it's mine 50%"


def test_paths_start_at_the_files_folder_or_at_home(
    repo: Path, make_config: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(repo))
    (repo / "key").touch()
    (paths.env_dir("local") / "plugins").mkdir()
    found = make_config("access.private_key=~/key", "airflow.plugins=plugins")
    assert found.access.private_key == repo / "key"
    assert found.airflow.plugins == paths.env_dir("local") / "plugins"


def test_environment_variables_are_text(make_config: Make) -> None:
    found = make_config("airflow.environment={A: 60, B: true, C: x}")
    assert found.airflow.environment == {"A": "60", "B": "True", "C": "x"}


def test_a_connection_is_a_uri_or_its_parts(make_config: Make) -> None:
    found = make_config(
        "airflow.connections.api=https://api.example.org",
        "airflow.connections.dwh={conn_type: postgres, schema: dwh, password: {secret: DWH}}",
    )
    assert found.airflow.connections == {
        "api": Connection(uri="https://api.example.org"),
        "dwh": Connection(conn_type="postgres", schema="dwh", password=Secret(secret="DWH")),
    }


def test_a_file_that_is_not_there_says_how_to_write_it(repo: Path) -> None:
    error = refused("sandbox")
    assert error.brief == "inventory/sandbox/platform.yml has a problem; nothing was touched."
    assert error.problems == (Problem("", "there is no such file"),)
    assert error.resolution == "Write it: ./provision.py init sandbox\nThere are: local"


@pytest.mark.parametrize("typed", ["prodution", "prod", "productoin"])
def test_a_misspelt_environment_is_not_to_be_written(repo: Path, typed: str) -> None:
    paths.env_dir("production").mkdir()
    paths.platform_file("production").touch()
    assert refused(typed).resolution == (
        f"Did you mean production? If not, write it: ./provision.py init {typed}\nThere are: local, production"
    )


@pytest.mark.parametrize(
    "name", ["", "..", "a/b", "Local", "1st", "-x", "a" * 31, "a b", "ä", "a\n", "cache"]
)
def test_a_name_that_is_no_folder_and_no_host_is_refused(repo: Path, name: str) -> None:
    error = refused(name)
    (problem,) = error.problems
    assert str(problem) == (
        f'ENV: "{name}" cannot name an environment; '
        "a lower-case name such as sandbox (letters, digits and -, at most 30) would be right"
    )


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("airflow.port", "--set airflow.port: it names no value; --set airflow.port=8081 would be right"),
        ("=5", "--set =5: it names no setting; --set airflow.port=8081 would be right"),
        ("airflow.port.x=5", '--set airflow.port.x=5: "airflow.port" has no keys below it'),
        ("airflow.prot=1", 'airflow.prot: there is no such key; did you mean "port"?'),
        ("airflow.port=[1", '--set airflow.port=[1: the value is not YAML; quotes around it would be right'),
    ],
)  # fmt: skip
def test_a_bad_override_is_a_problem_like_any_other(repo: Path, override: str, words: str) -> None:
    paths.platform_file("local").write_text("airflow: {port: 8080}\n")
    assert [str(problem) for problem in refused("local", override).problems] == [words]


def test_problems_of_file_and_overrides_come_together(repo: Path) -> None:
    paths.platform_file("local").write_text("airflow: {port: eighty}\n")
    error = refused("local", "machine.cpus=none")
    assert error.brief == "inventory/local/platform.yml has 2 problems; nothing was touched."
    assert [problem.path for problem in error.problems] == ["machine.cpus", "airflow.port"]


NO_KEY = (
    "a list or a mapping cannot be a key "
    "({{ … }} of Ansible's templates means nothing here; the value itself would be right)"
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("airflow:\n  port: {{ port }}\n", f"line 2, column 10: {NO_KEY}"),
        ("? [a, b]\n: 1\n", f"line 1, column 3: {NO_KEY}"),
        (
            "airflow: {port: !vault x}\n",
            "line 1, column 17: this is not YAML (could not determine a constructor for the tag '!vault'); "
            "two spaces a level and `key: value` would be right",
        ),
    ],
)
def test_what_ansible_users_write_is_a_problem_with_its_place(repo: Path, text: str, words: str) -> None:
    paths.platform_file("local").write_text(text)
    assert [str(problem) for problem in refused().problems] == [words]


@pytest.mark.parametrize("value", ["2026-02-30", "0b_", "{{ zone }}", "{a: 1, a: 2}"])
def test_a_value_that_yaml_stumbles_over_is_a_problem_in_file_and_override(repo: Path, value: str) -> None:
    paths.platform_file("local").write_text("{}\n")
    assert len(refused("local", f"machine.timezone={value}").problems) == 1
    paths.platform_file("local").write_text(f"machine:\n  timezone: {value}\n")
    assert refused().problems


NOT_UTF_8 = "is not UTF-8; save the file as UTF-8 (your editor calls it an encoding)"
NO_TEXT = (
    "here is what no text holds (the character {}); a file that your editor has saved as UTF-8 would be right"
)


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        # A value of Latin-1 reached the machine as `Z?rich`.
        ("airflow:\n  variables: {city: Zürich}\n".encode("latin-1"), f"line 2: {NOT_UTF_8}"),
        ("cloud: container\n".encode("utf-16"), f"line 1: {NOT_UTF_8}"),  # PowerShell's `>`
        ("cloud: container\n".encode("utf-16-le"), f"line 1: {NO_TEXT.format('0x0000')}"),
        (b"# settings\ncloud: \x13container\n", f"line 2: {NO_TEXT.format('0x0013')}"),
    ],
)
def test_a_file_in_another_encoding_is_a_problem_with_its_line(repo: Path, raw: bytes, words: str) -> None:
    paths.platform_file("local").write_bytes(raw)
    assert [str(problem) for problem in refused().problems] == [words]


@pytest.mark.parametrize(
    "raw", [b"\xef\xbb\xbfairflow:\n  port: 8081\n", b"airflow:\r\n  port: 8081\r\n"], ids=["mark", "windows"]
)
def test_what_windows_editors_write_is_read(repo: Path, make_config: Make, raw: bytes) -> None:
    paths.platform_file("local").write_bytes(raw)
    assert make_config().airflow.port == 8081


BOMB = "\n".join([
    "airflow:\n  variables:", "    v0: &v0 [x, x, x, x, x, x, x, x, x]",
    *(f"    v{n}: &v{n} [{', '.join([f'*v{n - 1}'] * 9)}]" for n in range(1, 9)),
])  # fmt: skip


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "airflow: &a {variables: *a}\n",
            "a value holds itself, or has no end of levels; one that ends would be right",
        ),
        (
            f"airflow: {{variables: {{x: {'[' * 600}{']' * 600}}}}}\n",
            "a value holds itself, or has no end of levels; one that ends would be right",
        ),
        (BOMB, "its anchors (`&` and `*`) mean 490329068 values; 1000000 at most would be right"),
    ],
    ids=["circle", "depth", "bomb"],
)
def test_what_has_no_end_is_refused_at_once(repo: Path, text: str, words: str) -> None:
    paths.platform_file("local").write_text(text)
    assert [str(problem) for problem in refused().problems] == [words]


def test_anchors_that_spare_writing_are_read(repo: Path, make_config: Make) -> None:
    paths.platform_file("local").write_text(
        "airflow: {variables: {a: &a {x: [1, 2]}, b: *a, c: {<<: *a, y: 1}}}\n"
    )
    found = make_config().airflow.variables
    assert (found["b"], found["c"]) == ({"x": [1, 2]}, {"x": [1, 2], "y": 1})


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ("{conn_type: http, extra: {API_Key: abc}}", "airflow.connections.c.extra.API_Key"),
        (
            "{conn_type: http, extra: {a: {client_secret: abc}}}",
            "airflow.connections.c.extra.a.client_secret",
        ),
        ("{conn_type: http, extra: {hosts: [{passwd: 1234}]}}", "airflow.connections.c.extra.hosts.0.passwd"),
    ],
)
def test_a_secret_in_clear_among_the_options_is_refused(repo: Path, given: str, problem: str) -> None:
    (found,) = refused("local", f"airflow.connections.c={given}").problems
    assert str(found) == (
        f"{problem}: a secret in clear has no place in this file; {{secret: NAME}} would be right"
    )


def test_a_secret_in_a_uris_query_is_refused(repo: Path) -> None:
    (found,) = refused("local", "airflow.connections.c=https://u@example.org/?a=b&access_token=abc").problems
    assert found.message == (
        '"https://u@example.org/?access_token=…" holds a secret in clear; '
        "{secret: NAME} in the connection's extra would be right"
    )


def test_options_may_say_where_a_secret_is(make_config: Make) -> None:
    options = (
        "{token: {secret: TOKEN}, token_url: https://x, private_key_file: /k, verify_token: true,"
        " a: {password: {secret: P}}}"
    )
    connection = make_config(
        f"airflow.connections.c={{conn_type: http, extra: {options}}}"
    ).airflow.connections["c"]
    assert connection.extra is not None
    assert connection.extra["token"] == {"secret": "TOKEN"}
    assert connection.extra["a"] == {"password": {"secret": "P"}}


def test_a_machines_keys_are_pinned_without_what_is_said_of_them(make_config: Make) -> None:
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINdWUdEcqxzbB1S6s/aEw7p+mJOV0jNf3psGIn12u6RE"
    assert make_config(f"existing.host_key=['{key} root@vm, the old one']").existing.host_key == (key,)


@pytest.mark.parametrize(
    "blob",
    [
        b"\0\0\0\x0bssh-ed25518" + b"\0\0\0\x20" + bytes(32),
        b"\0\0\0\x0bssh-ed25519" + b"\0\0\0\x10" + bytes(16),
    ],
)
def test_a_host_key_that_is_none_is_not_pinned(make_config: Make, blob: bytes) -> None:
    """No machine could ever show it: each login would be refused as a stranger's."""
    line = f"ssh-ed25519 {base64.b64encode(blob).decode()}"
    with pytest.raises(ConfigError) as refused:
        make_config(f"existing.host_key=['{line}']")
    (problem,) = refused.value.problems
    assert f'"{line[:39]}…" was cut short or changed' in str(problem)


def test_what_two_accounts_own_touches_and_does_not_overlap(make_config: Make) -> None:
    """One number more, and a container of the one is root over a file of the other's"""
    start = make_config().users.airflow.subids
    assert make_config(f"users.airbyte.subids={start + 65536}").users.airbyte.subids == start + 65536
    with pytest.raises(ConfigError) as refused:
        make_config(f"users.airbyte.subids={start + 65535}")
    assert "overlaps airflow's" in str(refused.value.problems[0])


def test_a_services_number_is_no_persons(make_config: Make) -> None:
    assert make_config("users.airflow.uid=19999").users.airflow.uid == 19999
    with pytest.raises(ConfigError) as refused:
        make_config("users.airflow.uid=20000")
    assert [str(problem) for problem in refused.value.problems] == [
        "users.airflow.uid: 20000 is too large; a number from 1001 to 19999 would be right"
    ]
