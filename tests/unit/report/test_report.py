import importlib
import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import pytest

from hangar import cli, paths, report
from hangar.cloud.base import Server
from hangar.config import Config
from hangar.config.gcp import Gcp
from hangar.config.people import today
from hangar.console import Timing
from hangar.elt.records import Gold, Table
from hangar.report import words
from hangar.report.files import html
from hangar.report.limits import limits
from hangar.report.listening import services
from hangar.report.terminal import summary
from hangar.ssh.tunnel import Forward
from hangar.verification import Promise

HELD = Promise("ssh_server", "Root cannot log in", "held", "", 0.1)
BROKEN = Promise("firewall", "Only 22 answers", "broken", "assert <8080> & 22", 0.2)
UNCHECKED = Promise("base", "The clock follows time servers", "unchecked", "needs a kernel of its own", 0.0)


def make(*promises: Promise, environment: str = "local", **settings: object) -> report.Report:
    server = Server(
        name=f"hangar-{environment}", environment=environment, cloud="container", id="1", address="127.0.0.1",
        port=2222, admin="hangar", host_keys=(), ssh_sources=(), limits=("vm",),
    )  # fmt: skip
    return report.Report(
        Config.model_validate({"environment": environment, **settings}),
        server,
        datetime(2026, 11, 21, 3, 0, tzinfo=UTC),
        promises,
        (Forward("airflow", 8080, 8081),),
        (Timing("Machine", 4.0), Timing("Playbook", 90.25)),
        changed=3,
        roles={"base": 2.5, "hardening_system": 1.25},
    )


def test_nothing_broken_is_exit_0_also_when_something_cannot_be_checked() -> None:
    assert make(HELD, UNCHECKED).exit_code == 0
    assert make(HELD, BROKEN, UNCHECKED).exit_code == 3


def test_what_cannot_be_checked_is_never_counted_as_held() -> None:
    assert summary(make(HELD, UNCHECKED)) == (
        "1 promise holds, 0 broken, 1 cannot be checked on a container on this computer."
    )
    data = report.as_dict(make(HELD, UNCHECKED))
    assert (data["held"], data["broken"], data["unchecked"]) == (1, 0, 1)
    assert [role for role, _ in make(HELD, UNCHECKED).by_role] == ["ssh_server"]


def test_the_report_for_programs() -> None:
    data = report.as_dict(make(HELD))
    assert data["airflow"] == {
        "address": "http://127.0.0.1:8081",
        "user": "admin",
        "password": "./provision.py ssh sudo cat /srv/airflow/secrets/admin_password",
    }
    assert data["changed"] == 3
    assert data["finished"] == "2026-11-21T03:00:00+00:00"
    assert data["stages"] == [{"name": "Machine", "seconds": 4.0}, {"name": "Playbook", "seconds": 90.25}]
    assert data["roles"] == [{"name": "base", "seconds": 2.5}, {"name": "hardening_system", "seconds": 1.25}]
    assert json.loads(json.dumps(data)) == data


GOLD = Gold(
    (
        Table("best_products", ("place", "model"), 100, (("1", "<b>Corvair</b>"), ("2", None))),
        Table("customers", ("user_id", "email"), 10_000),
    ),
    "first_run__2026-11-21T02:59:00",
    "2026-11-21T03:59:58+01:00",
)


def test_the_gold_tables_with_their_rows_and_who_made_them(capsys: pytest.CaptureFixture[str]) -> None:
    run = replace(make(HELD), gold=GOLD)
    report.show(run)
    said = capsys.readouterr().out
    assert "  gold.best_products      100 rows  place, model\n" in said
    assert "  gold.customers       10,000 rows  user_id, email\n" in said
    assert (
        "  Made by the DAG elt, 21 November 2026, 02:59:58 UTC, run first_run__2026-11-21T02:59:00.\n" in said
    )
    page = html(run)
    assert "&lt;b&gt;Corvair&lt;/b&gt;" in page
    assert "10,000 rows" in page
    data = report.as_dict(run)["gold"]
    assert (data["run"], data["tables"][1]["rows"]) == (GOLD.run, 10_000)


@pytest.mark.parametrize(("gold", "sentence"), [
    (Gold(), "There are none yet: the DAG elt makes them."),
    (Gold(GOLD.tables), "No run of the DAG elt has come to a good end yet."),
    (Gold(problem="It is off."), "They could not be read. It is off."),
])  # fmt: skip
def test_gold_that_is_not_as_it_should_be(gold: Gold, sentence: str) -> None:
    assert words.gold_made(gold) == sentence
    assert sentence in html(replace(make(HELD), gold=gold))


def test_a_machine_without_a_warehouse_has_no_word_of_gold(capsys: pytest.CaptureFixture[str]) -> None:
    report.show(make(HELD))
    assert "Gold" not in capsys.readouterr().out
    assert "gold" not in html(make(HELD))
    assert report.as_dict(make(HELD))["gold"] is None


def test_another_environment_is_named_in_every_command() -> None:
    steps = words.next_steps(make(HELD, environment="sandbox").config, holds=True)
    commands = [step.how for step in steps if step.how.startswith("./")]
    assert commands
    assert all(" sandbox" in command for command in commands)


@pytest.mark.parametrize("environment", ["local", "other"])
def test_every_command_that_is_named_can_be_typed(environment: str) -> None:
    steps = words.next_steps(make(HELD, environment=environment).config, holds=False)
    named = [part for step in steps for part in re.findall(r"\./provision\.py (.+?)(?= and |$)", step.how)]
    assert {words.split()[0] for words in named} >= {
        "ssh",
        "ssh-config",
        "status",
        "logs",
        "plan",
        "up",
        "destroy",
    }
    for verb, *rest in map(str.split, named):
        command = importlib.import_module(f"hangar.commands.{verb.replace('-', '_')}")
        args = cli.parse(verb, command, rest)
        if verb != "ssh":  # which finds out by itself whether its first word is an environment
            assert args.environment == environment
        if verb == "logs":
            assert args.service == "airflow"


def test_the_limits_name_the_admins_and_whose_day_has_come() -> None:
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINdWUdEcqxzbB1S6s/aEw7p+mJOV0jNf3psGIn12u6RE"
    other = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGM8zvTmJmlfKmp6jsQpimZRaqLZSLBJDNoYSdhIXK1+"
    people = [
        {"name": "ada", "role": "admin", "keys": [key]},
        {"name": "vic", "role": "viewer", "keys": [other], "expires": str(today())},
    ]
    found = limits(make(HELD, people=people).config, make(HELD).server)
    assert "Admins are root too, and may be the operator: ada." in found
    assert any(line.startswith(f"The day of vic ({today()}) has come: no key opens") for line in found)
    assert not any("Admins" in line or "The day of" in line for line in limits(make().config, make().server))


def test_the_limits_are_said_in_words() -> None:
    said = " ".join(report.as_dict(make(HELD))["limits"])
    assert "The local container is a place to work, not a security boundary" in said
    assert "Whoever can write a DAG holds everything that the user airflow holds" in said
    assert "“live”" in said
    closed = make(HELD, airflow={"live_dags": False})
    assert "“live”" not in " ".join(report.as_dict(closed)["limits"])


class Page(HTMLParser):
    """Collects what a page would load, and its text."""

    def __init__(self) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.text: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.loads += [value or "" for name, value in attrs if name in ("src", "srcset") or (tag == "link")]
        if tag not in ("meta", "br", "link"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_the_page_needs_nothing_but_itself_and_says_everything() -> None:
    source = html(make(HELD, BROKEN, UNCHECKED))
    page = Page()
    page.feed(source)
    text = re.sub(r"\s+", " ", " ".join(page.text))
    assert page.loads == []
    assert page.open == []
    assert "url(" not in source
    assert "<script" not in source
    for sentence in (HELD.sentence, BROKEN.sentence, BROKEN.reason, UNCHECKED.sentence):
        assert sentence in text
    for part in (
        "http://127.0.0.1:8081",
        "admin_password",
        "not a security boundary",
        "90.2 s",
        "does not keep all",
    ):
        assert part in text


def test_a_page_without_a_tunnel_or_stages_is_whole() -> None:
    run = make(HELD)
    bare = report.Report(run.config, run.server, run.finished, run.promises)
    text = html(bare)
    assert "no forward is open now" in text
    assert "How long it took" not in text


def test_both_files_are_written_for_their_owner_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(paths, "state_dir", lambda env: tmp_path / env)
    page = report.write(make(HELD))
    assert page == tmp_path / "local" / "report.html"
    data = tmp_path / "local" / "report.json"
    assert json.loads(data.read_text())["held"] == 1
    assert [path.stat().st_mode & 0o777 for path in (page, data)] == [0o600, 0o600]


def test_the_terminal_lists_each_promise(capsys: pytest.CaptureFixture[str]) -> None:
    report.show(make(HELD, BROKEN, UNCHECKED), Path("report.html"))
    lines = capsys.readouterr().out.splitlines()
    assert "  ✓ Root cannot log in" in lines
    assert "  ✗ Only 22 answers" in lines
    assert "      assert <8080> & 22" in lines
    assert "  – The clock follows time servers: needs a kernel of its own" in lines
    assert "Airflow   http://127.0.0.1:8081   user admin" in lines
    assert "Report    report.html" in lines


def test_the_terminal_says_the_limits_and_what_to_do_next(capsys: pytest.CaptureFixture[str]) -> None:
    report.show(make(HELD))
    lines = capsys.readouterr().out.splitlines()
    address = lines.index("Airflow   http://127.0.0.1:8081   user admin")
    limits, following = lines.index("What it does not protect from"), lines.index("What to do next")
    assert address < limits < following
    assert "  The operator's account hangar is root by sudo: who holds its key holds the machine." in lines
    assert "  See how the machine is: ./provision.py status" in lines
    assert "".join(lines).count("admin_password") == 1


def test_a_machine_on_google_cloud_has_limits_and_next_steps_of_its_own() -> None:
    gcp = {"project": "acme-data-1", "zone": "europe-west6-a"}
    settings = Config(environment="production", cloud="gcp", gcp=Gcp(**gcp))
    server = replace(make(HELD).server, cloud="gcp", environment="production")
    said = " ".join(limits(settings, server))
    assert "a start-up script runs as root at the next start" in said
    assert "not a security boundary" not in said
    assert "not Google's own address" not in said
    elsewhere = settings.model_copy(update={"gcp": Gcp(**gcp, api_endpoint="http://127.0.0.1:1")})
    assert "Google's APIs were reached at http://127.0.0.1:1, which is not Google's own address" in " ".join(
        limits(elsewhere, server)
    )
    steps = [step.how for step in words.next_steps(settings, holds=True)]
    assert steps[-2:] == [
        "./provision.py stop production, then ./provision.py start production", "./provision.py destroy production",
    ]  # fmt: skip


def test_the_report_says_which_airbyte_it_is() -> None:
    embedded = [service.name for service in services(make(HELD).config, make(HELD).server, ())]
    assert "Airbyte API (embedded engine, not the Airbyte platform)" in embedded
    platform = make(HELD, airbyte={"engine": "abctl", "abctl": {"sha256": "a" * 64}})
    found = {service.name: service for service in services(platform.config, platform.server, ())}
    assert found["Airbyte"].machine == "127.0.0.1:8000"
    assert found["Airbyte's filter"].who == "Airflow: tokens, reads and jobs, nothing else"
