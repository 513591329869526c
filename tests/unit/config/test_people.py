import base64
import json
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from hangar import config, paths
from hangar.config import Config, people
from hangar.config.models import Settings
from hangar.config.public_keys import BadKey, PublicKey, parse
from hangar.errors import ConfigError

Make = Callable[..., Config]

ANA = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINdWUdEcqxzbB1S6s/aEw7p+mJOV0jNf3psGIn12u6RE"
ADA = (
    "sk-ssh-ed25519@openssh.com "
    "AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29tAAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4fAAAABHNzaDo="
)


def write(text: str, newline: str = "\n") -> None:
    paths.platform_file("local").write_text(text, newline=newline)


def test_nobody_works_there_by_default(make_config: Make) -> None:
    assert make_config().people == ()


def test_people_are_read_with_their_keys_roles_and_days(repo: Path) -> None:
    write(f"""
people:
  - {{name: ana, role: developer, keys: ["{ANA} ana@laptop"], expires: 2999-12-31, email: ana@example.org}}
  - name: ada
    role: admin
    keys: {ADA}
    airflow: none
""")
    ana, ada = config.load("local").people
    assert (ana.name, ana.role, ana.keys) == ("ana", "developer", (f"{ANA} ana@laptop",))
    assert (ana.expires, ana.is_expired, ana.email) == (date(2999, 12, 31), False, "ana@example.org")
    assert (ana.airflow_role, ada.airflow_role) == ("Op", "none")
    assert ada.keys == (ADA,)


def test_windows_line_ends_do_no_harm(repo: Path) -> None:
    write(
        f'people:\n- name: ana\n  role: viewer\n  keys:\n  - |\n    {ANA}\n  - "{ADA}\\r\\n"\n',
        newline="\r\n",
    )
    assert config.load("local").people[0].keys == (ANA, ADA)


def test_hardware_keys_satisfy_the_demand_for_them(make_config: Make) -> None:
    make_config("access.admin_keys=hardware", f"people=[{{name: ada, role: admin, keys: ['{ADA}']}}]")
    make_config("access.admin_keys=hardware", f"people=[{{name: ana, role: viewer, keys: ['{ANA}']}}]")


def test_an_admin_of_former_times_needs_no_hardware_key(make_config: Make) -> None:
    """Their row would stop every command on the day on which hardware keys are demanded of the others"""
    row = f"people=[{{name: ana, role: admin, keys: ['{ANA}'], expires: DAY}}]"
    make_config("access.admin_keys=hardware", row.replace("DAY", str(people.today())))
    with pytest.raises(ConfigError) as error:
        make_config("access.admin_keys=hardware", row.replace("DAY", str(people.today() + timedelta(days=1))))
    assert "is no hardware key" in str(error.value.problems[0])


def test_nobody_has_the_name_of_the_account_that_configures_their_machine(make_config: Make) -> None:
    """The day on which they leave would be the operator's last."""
    person = f"people=[{{name: NAME, role: viewer, keys: ['{ANA}']}}]"
    with pytest.raises(ConfigError) as error:
        make_config("existing.user=debian", person.replace("NAME", "debian"))
    (problem,) = error.value.problems
    assert str(problem) == 'people.0.name: "debian" is existing.user too; another name would be right'
    assert make_config("existing.user=debian", person.replace("NAME", "ana")).people[0].name == "ana"


@pytest.mark.parametrize("setting", ["access.admin", "existing.user"])
@pytest.mark.parametrize("name", people.SERVICES)
def test_the_operators_account_is_no_services(make_config: Make, setting: str, name: str) -> None:
    """The service would find it there, and run with its sudo."""
    with pytest.raises(ConfigError) as error:
        make_config(f"{setting}={name}")
    (problem,) = error.value.problems
    assert str(problem).startswith(f'{setting}: "{name}" is taken on the machine; ')


@pytest.mark.parametrize("name", ["root", "www-data", "sudo", "postgres", "hangar-admins", "systemd-network"])
def test_the_operators_account_is_no_account_or_group_of_debians(make_config: Make, name: str) -> None:
    with pytest.raises(ConfigError) as error:
        make_config(f"access.admin={name}")
    (problem,) = error.value.problems
    assert str(problem).startswith(f'access.admin: "{name}" is taken on the machine; ')


@pytest.mark.parametrize("name", ["hangar", "admin", "ops", "debian"])
def test_the_operators_account_may_have_another_name(make_config: Make, name: str) -> None:
    assert make_config(f"access.admin={name}").access.admin == name
    assert make_config(f"existing.user={name}").existing.user == name


def test_the_day_itself_is_the_first_without_access(make_config: Make) -> None:
    for days, expired in ((1, False), (0, True), (-90, True)):
        day = people.today() + timedelta(days=days)
        found = make_config(f"people=[{{name: ana, role: viewer, keys: ['{ANA}'], expires: {day}}}]")
        assert found.people[0].is_expired is expired


def test_a_day_before_anybody_had_one_is_a_slip_of_the_pen(make_config: Make) -> None:
    with pytest.raises(ConfigError) as error:
        make_config(f"people=[{{name: ana, role: viewer, keys: ['{ANA}'], expires: 2017-03-31}}]")
    (problem,) = error.value.problems
    assert (
        str(problem) == "people.0.expires: 2017-03-31 is long past; a date such as 2027-03-31 would be right"
    )


def test_a_row_that_nobody_took_out_is_refused_on_no_later_day(
    make_config: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would stop every command of the team, on a day on which nobody changed anything"""
    words = f"people=[{{name: ana, role: viewer, keys: ['{ANA}'], expires: 2027-03-31}}]"
    for day in (date(2027, 3, 31), date(2027, 6, 30), date(2050, 1, 1)):
        monkeypatch.setattr(people, "today", lambda day=day: day)
        assert make_config(words).people[0].is_expired, day


def test_a_private_key_is_repeated_nowhere(repo: Path) -> None:
    body = "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQ"
    for field in ("name: {}", "keys: [{}]", "keys: {}", "email: {}", "{}: 1", "keys: {{a: {}}}"):
        write(f"people:\n- {{role: viewer, {field.format(body)}}}\n")
        with pytest.raises(ConfigError) as error:
            config.load("local")
        assert body not in f"{error.value.details}{error.value.brief}{error.value.resolution}", field


@pytest.mark.parametrize(
    "wrong",
    [{"people": [{"name": "X", "keys": "X"}]}, {"airflow": {"port": "X"}}, {"backup": {"folder": ["X"]}}],
    ids=str,
)
def test_nor_by_the_library_that_judges_the_settings(wrong: dict[str, object]) -> None:
    """Its words stand in a traceback, where reading them ends in a defect of ours."""
    body = "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQ"
    given = json.loads(json.dumps(wrong).replace("X", body))
    with pytest.raises(ValidationError) as refused:
        Settings.model_validate(given)
    assert "for Hangar's platform.yml" in str(refused.value)
    assert body not in str(refused.value)


def test_a_key_is_read_in_its_one_form() -> None:
    key = parse(f"  {ANA}   ana's  laptop\x07 \r\n")
    assert str(key) == f"{ANA} ana's  laptop"
    assert not key.is_hardware
    assert parse(ADA).is_hardware
    assert key.fingerprint.startswith("SHA256:")
    assert parse(str(key)) == key


def line_of(kind: str, *fields: bytes, name: str = "") -> str:
    """A public key's line with these fields; `name` is the type that stands within, where it is another."""
    raw = b"".join(len(one).to_bytes(4, "big") + one for one in ((name or kind).encode(), *fields))
    return f"{kind} {base64.b64encode(raw).decode()}"


def rsa(bits: int) -> str:
    number = 1 << (bits - 1)
    return line_of("ssh-rsa", b"\1\0\1", number.to_bytes(bits // 8 + 1, "big"))


SK = "sk-ssh-ed25519@openssh.com"
CUT = "the {} key was cut short or changed"


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("", "this is no public key"),
        ("ssh-ed25519", CUT.format("ssh-ed25519")),
        ("ssh-ed25519 AAAA", CUT.format("ssh-ed25519")),
        (f"{SK} {ANA.split()[1]}", CUT.format(SK)),
        (f"{ANA[:40]}!{ANA[40:]}", CUT.format("ssh-ed25519")),
        (line_of("ssh-ed25519", bytes(31)), CUT.format("ssh-ed25519")),
        (line_of("ssh-ed25519", bytes(32), name="ssh-ed25518"), CUT.format("ssh-ed25519")),
        (line_of(SK, bytes(31), b"ssh:"), CUT.format(SK)),
        (line_of(SK, bytes(32), b"ssh:", name="ssh-ed25519"), CUT.format(SK)),
        (rsa(3064), "an RSA key of 3064 bits is too short"),
        (rsa(16392), "an RSA key of 16392 bits is too long"),
        (f"{ANA}\n{ADA}", "this is more than one line"),
        ("ssh-dss AAAA", "ssh-dss is a type that the machine does not accept"),
        (f'command="x" {ANA}', "there is something before the key, and options are not taken"),
        (
            "PuTTY-User-Key-File-3: ssh-ed25519",
            "this is a private key, which belongs on its owner's computer alone",
        ),
        ("b3BlbnNzaC1rZXktdjEAAAAA", "this is a private key, which belongs on its owner's computer alone"),
        (
            f"-----BEGIN {'PRIVATE'} KEY-----",
            "this is a private key, which belongs on its owner's computer alone",
        ),
    ],
)
def test_what_is_no_key_is_refused(line: str, why: str) -> None:
    with pytest.raises(BadKey) as refused:
        parse(line)
    assert str(refused.value) == why


@pytest.mark.parametrize(
    "line", [ANA, ADA, line_of(SK, bytes(32), b"ssh:"), rsa(3072), rsa(16384)], ids=lambda line: line[:24]
)
def test_what_is_a_key_is_taken(line: str) -> None:
    assert str(parse(line)) == line


def test_a_fingerprint_is_openssh_s() -> None:
    assert PublicKey("ssh-ed25519", b"").fingerprint == "SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU"


def test_whoever_is_back_under_another_name_keeps_their_address(make_config: Make) -> None:
    text = f"""people:
  - {{name: ana, role: viewer, keys: ["{ANA}"], email: ana@example.org, expires: {people.today()}}}
  - {{name: anna, role: viewer, keys: ["{ADA}"], email: Ana@example.org}}
"""
    write(text)
    assert [person.email for person in make_config().people] == ["ana@example.org", "Ana@example.org"]
    write(text.replace(f", expires: {people.today()}", ""))
    with pytest.raises(ConfigError) as refused:
        make_config()
    assert [str(problem) for problem in refused.value.problems] == [
        "people.1.email: is people.0's address too; an address of their own would be right"
    ]
