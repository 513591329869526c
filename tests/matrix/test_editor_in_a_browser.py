"""A developer's day in a real editor: its server runs on the hardened machine as the developer, a browser opens it
through the forward.
"""

from __future__ import annotations

import contextlib
import secrets
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.e2e.airflow import Airflow
from tests.e2e.conftest import LOGS, Checkout
from tests.e2e.test_people import DAGS, Person, add
from tests.runtime import free_port

from .browser import image as editor_image
from .browser.devtools import CONTROL, Page, browser

STARTS = 120
"""Seconds for the editor's server, and for its page."""

TRIED = 240
"""Seconds for a DAG in the terminal; the first makes the person's own database."""

FILE = "seen.py"
DAG = """from airflow.sdk import dag, task


def seen(name):
    @dag(dag_id=name, schedule=None)
    def once():
        @task
        def look():
            print("looked")

        look()

    return once()


before = seen("seen_before")
"""
OWN = '{"files.autoSave": "off", "workbench.startupEditor": "none", "chat.disableAIFeatures": true}'
"""The person's own settings: in a browser the editor saves by itself, and what is shown here is the saving."""

EDIT = 'after = seen("seen_after")\n'


@dataclass(frozen=True)
class Editor:
    """The editor's server of somebody, and where its page is on this computer."""

    person: Person
    url: str
    password: str
    image: str


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> str:
    if shutil.which("docker") is None:
        pytest.skip("the editor's server and the browser come from an image: there is no docker command here")
    return editor_image.ensure(tmp_path_factory.mktemp("editor"))


@pytest.fixture(scope="module")
def dora(machine: Checkout, image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Person]:
    """A developer who has unpacked an editor's server in her home, as VS Code does by itself."""
    person = Person(machine, tmp_path_factory.mktemp("keys"), "dora")
    add(person, "developer")
    leave = ["--exclude=obj.target", "--exclude=*.map"]  # what was only needed to build it
    pack = ["docker", "run", "--rm", "--entrypoint", "tar", image, "-cf", "-", *leave, "-C", "/opt", "editor"]
    with subprocess.Popen(pack, stdout=subprocess.PIPE) as packed:
        subprocess.run(person.argv("tar -xf - -C ~"), stdin=packed.stdout, check=True, timeout=900)
    yield person
    machine.ssh(f"sudo rm -rf {DAGS}/{FILE} {DAGS}/__pycache__")
    person.people("remove", check=False)


@pytest.fixture(scope="module")
def editor(dora: Person, image: str) -> Iterator[Editor]:
    there, here, password = 18080, free_port(), secrets.token_urlsafe(12)
    settings = f"bind-addr: 127.0.0.1:{there}\nauth: password\npassword: {password}\ncert: false\n"
    own = "~/.local/share/code-server/User"
    subprocess.run(
        dora.argv(f"mkdir -p {own} && cat > {own}/settings.json"),
        input=OWN,
        text=True,
        check=True,
        timeout=60,
    )
    subprocess.run(
        dora.argv("umask 077; mkdir -p ~/.config/code-server && cat > ~/.config/code-server/config.yaml"),
        input=settings, text=True, check=True, timeout=60,
    )  # fmt: skip
    quiet = "--disable-telemetry --disable-update-check --disable-workspace-trust"
    start = f"exec ~/editor/node ~/editor/node_modules/code-server/out/node/entry.js {quiet}"
    ssh, *options = dora.argv(start)
    forward = ["-o", "ExitOnForwardFailure=yes", "-L", f"127.0.0.1:{here}:127.0.0.1:{there}"]
    server = subprocess.Popen(
        [ssh, "-tt", *forward, *options], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    )
    try:
        url = f"http://127.0.0.1:{here}"
        deadline = time.monotonic() + STARTS
        while (
            subprocess.run(["curl", "-sf", "-o", "/dev/null", f"{url}/healthz"], check=False).returncode != 0
        ):
            assert server.poll() is None, server.communicate()[0].decode(errors="replace")
            assert time.monotonic() < deadline, "the editor's server did not start"
            time.sleep(0.5)  # between two looks at the condition
        yield Editor(dora, url, password, image)
    finally:
        server.terminate()
        server.communicate(timeout=30)


@pytest.fixture(scope="module")
def page(editor: Editor) -> Iterator[Page]:
    """The editor's window with the folder of live DAGs, after its own log-in."""
    subprocess.run(editor.person.argv(f"cat > {DAGS}/{FILE}"), input=DAG, text=True, check=True, timeout=60)
    with browser(editor.image, free_port()) as opened:
        opened.open(f"{editor.url}/?folder={DAGS}")
        opened.wait("document.querySelector('input.password')", STARTS)
        opened.find("document.querySelector('input.password').focus()")
        opened.paste(editor.password)
        opened.press("Enter")
        try:
            yield opened
        finally:
            LOGS.mkdir(exist_ok=True)
            with contextlib.suppress(OSError, TimeoutError):  # a window that is gone has no picture
                opened.picture(LOGS / "editor.png")


def test_the_editor_shows_the_folder_of_the_dags(page: Page) -> None:
    page.shows(FILE, ".explorer-folders-view", STARTS)


def test_a_change_that_is_saved_is_picked_up_by_airflow(
    page: Page, editor: Editor, machine: Checkout
) -> None:
    airflow = Airflow.of(machine)
    airflow.wait_for_dag("seen_before")
    page.press("p", CONTROL)
    page.has_focus(".quick-input-widget input")
    page.paste(FILE)
    page.shows(FILE, ".quick-input-list")
    page.press("Enter")
    page.wait("[...document.querySelectorAll('.view-line')].some(one => one.innerText.includes('before'))")
    page.press("End", CONTROL)
    page.paste(EDIT)
    page.wait("document.querySelector('.tab.dirty')")
    page.press("s", CONTROL)
    page.wait("!document.querySelector('.tab.dirty')")
    saved = time.monotonic()
    assert editor.person.run(f"tail -n 1 {DAGS}/{FILE}").stdout == EDIT
    airflow.wait_for_dag("seen_after")
    print(f"saved in the editor, in Airflow after {time.monotonic() - saved:.1f} s")


SECRET = "/srv/airflow/secrets/fernet_key"


def test_the_terminal_is_the_developers_own_and_opens_no_secret(page: Page, editor: Editor) -> None:
    page.press("`", CONTROL)
    page.has_focus(".xterm-helper-textarea")
    page.type(f"id -un; cat {SECRET}; try-dag {FILE} seen_after 2>&1 | tail -n 1 | tee ~/seen.txt\r")
    deadline = time.monotonic() + TRIED
    while not (said := editor.person.run("cat ~/seen.txt").stdout):
        assert time.monotonic() < deadline, page.text()
        time.sleep(1)  # between two looks at the condition
    assert said == "seen_after: success\n"
    assert not editor.person.can(f"cat {SECRET}")
    page.type("id -un > ~/seen.txt\r")
    while (said := editor.person.run("cat ~/seen.txt").stdout) != "dora\n":
        assert time.monotonic() < deadline, said
        time.sleep(1)  # between two looks at the condition
