import hashlib
import http.server
import io
import ssl
import sys
import threading
from collections.abc import Iterator
from http.client import HTTPMessage
from pathlib import Path
from typing import ClassVar
from urllib.request import Request

import pytest

from hangar import installers

WHEEL = b"a wheel"


class Index(http.server.BaseHTTPRequestHandler):
    """A company's package index: one page, one file, a password if one is set."""

    page = f'<a href="../../files/{installers.PIP_WHEEL}#sha256=00">{installers.PIP_WHEEL}</a>'
    login = ""
    sends_to: ClassVar[dict[str, str]] = {}
    heard: ClassVar[list[tuple[str, str | None]]] = []
    """Who was asked, and with which login."""

    def do_GET(self) -> None:
        self.heard.append((self.headers["Host"], self.headers.get("Authorization")))
        if self.path in self.sends_to:
            self.send_response(302)
            self.send_header("Location", self.sends_to[self.path])
            self.end_headers()
            return
        if self.login and self.headers.get("Authorization") != self.login:
            self.send_error(401)
            return
        answers = {"/simple/pip/": self.page.encode(), f"/files/{installers.PIP_WHEEL}": WHEEL}
        if self.path not in answers:
            self.send_error(404)
            return
        self.send_response(200)
        self.end_headers()
        self.wfile.write(answers[self.path])

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Index)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"127.0.0.1:{server.server_address[1]}"
    monkeypatch.setenv("PIP_INDEX_URL", f"http://{address}/simple/")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(installers, "PIP_SHA256", hashlib.sha256(WHEEL).hexdigest())
    yield address
    server.shutdown()


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What would be run, in order."""
    made: list[list[str]] = []
    monkeypatch.setattr(installers, "_run", lambda argv, env=None, check=True: made.append(argv))
    return made


def without_uv(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installers.shutil, "which", lambda name: None)


def test_uv_is_used_where_there_is_one(
    calls: list[list[str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(installers.shutil, "which", lambda name: "/usr/bin/uv")
    installers.install(tmp_path / "v", tmp_path / "lock", "/usr/bin/python3")
    assert calls[0] == ["/usr/bin/python3", "-m", "venv", "--without-pip", str(tmp_path / "v")]
    assert calls[1][:3] == ["/usr/bin/uv", "pip", "install"]
    assert "--require-hashes" in calls[1]


def test_the_login_of_an_index_stands_in_no_argument_of_uv(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Whoever else has an account on this computer sees the arguments of its programs."""
    told = tmp_path / "told"
    uv = tmp_path / "uv"
    uv.write_text(f'#!/bin/sh\nprintf "%s\\n" "$UV_DEFAULT_INDEX" "$*" > {told}\n')
    uv.chmod(0o755)
    monkeypatch.setattr(installers.shutil, "which", lambda name: str(uv))
    monkeypatch.setenv("PIP_INDEX_URL", "https://user:hush@pypi.example.org/simple")
    for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_INDEX"):
        monkeypatch.delenv(name, raising=False)
    installers.install(tmp_path / "v", tmp_path / "lock", sys.executable)
    index, arguments = told.read_text().splitlines()
    assert index == "https://user:hush@pypi.example.org/simple"
    assert arguments.startswith("pip install")
    assert "hush" not in arguments


def test_an_index_that_was_chosen_for_uv_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "https://pypi.example.org/simple")
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://uv.example.org/simple")
    assert "UV_DEFAULT_INDEX" not in installers._uv_environment()


def test_without_uv_the_systems_pip_installs_into_the_environment(
    calls: list[list[str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    without_uv(monkeypatch)
    monkeypatch.setattr(installers, "_knows_foreign_environments", lambda pip: True)
    installers.install(tmp_path / "v", tmp_path / "lock", "/usr/bin/python3")
    assert calls[1][:5] == ["/usr/bin/python3", "-m", "pip", "--python", str(tmp_path / "v/bin/python")]
    assert "--require-hashes" in calls[1]
    assert calls[2][1:3] == ["-m", "compileall"]


def test_without_pip_the_one_that_came_with_python_is_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bundle = tmp_path / "ensurepip" / "_bundled"
    bundle.mkdir(parents=True)
    (bundle / "pip-24.0-py3-none-any.whl").touch()
    (tmp_path / "ensurepip" / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "ensurepip", raising=False)
    monkeypatch.setattr(installers, "_knows_foreign_environments", lambda pip: False)
    command, origin = installers._pip("python3", tmp_path)
    assert command == ["python3", f"{bundle}/pip-24.0-py3-none-any.whl/pip"]
    assert origin == "the pip that came with Python"


def test_without_either_the_pinned_pip_is_fetched(
    index: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Debian's python3 without python3-venv and python3-pip."""
    monkeypatch.setattr(installers, "_knows_foreign_environments", lambda pip: False)
    monkeypatch.setattr(installers.importlib.util, "find_spec", lambda name: None)
    command, _ = installers._pip("python3", tmp_path)
    assert command == ["python3", f"{tmp_path}/{installers.PIP_WHEEL}/pip"]
    assert (tmp_path / installers.PIP_WHEEL).read_bytes() == WHEEL


def test_a_pip_with_another_content_is_refused(
    index: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(installers, "PIP_SHA256", "0" * 64)
    with pytest.raises(installers.Failed, match="has another content than the pinned one"):
        installers.fetch_pip(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_index_without_it_is_named(index: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(Index, "page", "nothing")
    with pytest.raises(
        installers.Failed, match=rf"http://{index}/simple/pip/ does not offer {installers.PIP_WHEEL}"
    ):
        installers.fetch_pip(tmp_path)


def test_a_login_in_the_address_is_used_and_never_shown(
    index: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Index, "login", "Basic dXNlcjpwYXNzIHdvcmQ=")
    monkeypatch.setenv("PIP_INDEX_URL", f"http://user:pass%20word@{index}/simple")
    installers.fetch_pip(tmp_path)
    assert "pass" not in capsys.readouterr().err
    monkeypatch.setenv("PIP_INDEX_URL", f"http://user:wrong@{index}/simple")
    with pytest.raises(installers.Failed) as failed:
        installers.fetch_pip(tmp_path)
    assert "wrong" not in str(failed.value)


@pytest.mark.parametrize("place", ["127.0.0.1", "localhost"])
def test_a_server_that_an_index_sends_to_is_not_told_its_login(
    place: str, index: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Many keep files in a bucket of somebody else's; the index's own pages ask for the login again."""
    port = index.rpartition(":")[2]
    wheel = f"/files/{installers.PIP_WHEEL}"
    monkeypatch.setattr(Index, "page", f'<a href="/old/{installers.PIP_WHEEL}">x</a>')
    monkeypatch.setattr(Index, "sends_to", {f"/old/{installers.PIP_WHEEL}": f"http://{place}:{port}{wheel}"})
    monkeypatch.setattr(Index, "heard", [])
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")
    monkeypatch.setenv("PIP_INDEX_URL", f"http://user:pass%20word@{index}/simple")
    installers.fetch_pip(tmp_path)
    login = "Basic dXNlcjpwYXNzIHdvcmQ="
    last = login if place == "127.0.0.1" else None
    assert Index.heard == [(index, login), (index, login), (f"{place}:{port}", last)]


@pytest.mark.parametrize(
    ("asked", "sent_to", "told"),
    [
        ("http://index.example.org/a", "http://index.example.org/b", True),
        ("http://index.example.org/a", "https://index.example.org/b", True),
        ("http://index.example.org/a", "https://index.example.org:8443/b", False),
        ("https://index.example.org/a", "https://files.example.org/a", False),
        ("https://index.example.org/a", "http://index.example.org/a", False),
    ],
)
def test_a_login_goes_along_to_the_same_server_and_never_out_of_encryption(
    asked: str, sent_to: str, told: bool
) -> None:
    first = Request(asked, headers={"Authorization": "Basic x"})
    second = installers._LoginStays().redirect_request(first, io.BytesIO(), 302, "", HTTPMessage(), sent_to)
    assert second is not None
    assert second.has_header("Authorization") is told


def test_an_old_pip_does_not_know_other_environments(tmp_path: Path) -> None:
    pip = tmp_path / "pip"
    for version, knows in (("22.2.2", False), ("22.3", True), ("26.3", True), ("9.0.1", False)):
        pip.write_text(f"#!/bin/sh\necho 'pip {version} from /usr/lib (python 3.11)'\n")
        pip.chmod(0o755)
        assert installers._knows_foreign_environments([str(pip)]) is knows


@pytest.fixture
def no_certificates(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    for name in ("PIP_CERT", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "PIP_CONFIG_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(installers, "GLOBAL_PIP_CONFIG", tmp_path / "nothing")
    bundle = tmp_path / "ca.pem"
    bundle.touch()
    return bundle


@pytest.mark.parametrize("name", ["PIP_CERT", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"])
def test_a_companys_authorities_reach_pip_and_uv(
    no_certificates: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, str(no_certificates))
    assert installers._certificates() == {"PIP_CERT": str(no_certificates)}
    expected = (
        {"UV_SYSTEM_CERTS": "true"} if name == "SSL_CERT_FILE" else {"SSL_CERT_FILE": str(no_certificates)}
    )
    assert installers._uv_environment() == expected


def test_pips_own_settings_count_too(
    no_certificates: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = tmp_path / ".config/pip/pip.conf"
    settings.parent.mkdir(parents=True)
    settings.write_text(
        f"[global]\ncert = {no_certificates}\nindex-url = https://a/simple\n[install]\nindex-url = https://b\n"
    )
    assert installers._certificates() == {"PIP_CERT": str(no_certificates)}
    assert installers.pip_setting("index-url") == "https://b"


def test_else_the_systems_authorities_are_used(no_certificates: Path) -> None:
    system = ssl.get_default_verify_paths().cafile
    assert installers._certificates() == ({"PIP_CERT": system} if system else {})


def test_a_failing_tool_shows_its_last_words(tmp_path: Path) -> None:
    with pytest.raises(installers.Failed) as failed:
        installers._run(["sh", "-c", "echo no route to host >&2; exit 1"])
    assert str(failed.value) == "sh -c echo no route to host >&2; exit 1 … failed:\n    no route to host"
