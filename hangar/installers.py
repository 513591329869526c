"""Fills a new virtual environment from a lock: with uv where there is one, else with a pip from wherever
one can be had. Standard library only. Hashes are always checked.
"""

import base64
import hashlib
import importlib.util
import os
import re
import shutil
import ssl
import subprocess
import sys
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from configparser import ConfigParser
from configparser import Error as ConfigParserError
from http.client import HTTPMessage
from pathlib import Path
from typing import IO

PIP_WHEEL = "pip-26.3-py3-none-any.whl"
PIP_SHA256 = "f3b60b20ffaadd4415ed7957212a38ac63fa4c5fa375bd0f4a797777940fad13"
"""The pip that is fetched when the system's Python has none."""

GLOBAL_PIP_CONFIG = Path("/etc/pip.conf")


class Failed(Exception):
    """The environment cannot be made; the text says why and what would help."""


def install(venv: Path, lock: Path, python: str) -> None:
    """Makes the virtual environment `venv` of the interpreter `python` hold what `lock` says.

    Raises:
        Failed: with what the tool said.
    """
    _run([python, "-m", "venv", "--without-pip", str(venv)])
    target = str(venv / "bin/python")
    uv = shutil.which("uv")
    if uv:
        _say(f"  installing with {uv}")
        _run([uv, "pip", "install", "--quiet", "--python", target, "--require-hashes", "--no-deps",
              "--compile-bytecode", "--requirement", str(lock)], _uv_environment())  # fmt: skip
        return
    with tempfile.TemporaryDirectory(prefix="hangar-pip-") as folder:
        pip, origin = _pip(python, Path(folder))
        _say(f"  installing with {origin} (10 to 20 s)")
        _run([*pip, "--python", target, "install", "--quiet", "--require-hashes", "--no-deps", "--no-compile",
              "--disable-pip-version-check", "--no-input", "--requirement", str(lock)], _certificates())  # fmt: skip
    # On all processors at once; pip would do it on one.
    _run([target, "-m", "compileall", "-q", "-j", "0", str(venv / "lib")], check=False)


def _pip(python: str, folder: Path) -> tuple[list[str], str]:
    """A pip that can install into another environment, as the start of a command, and where it is from."""
    if _knows_foreign_environments([python, "-m", "pip"]):
        return [python, "-m", "pip"], "the system's pip"
    bundled = importlib.util.find_spec("ensurepip")
    if bundled and bundled.origin:
        for wheel in sorted((Path(bundled.origin).parent / "_bundled").glob("pip-*.whl")):
            return [python, f"{wheel}/pip"], "the pip that came with Python"
    wheel = fetch_pip(folder)
    return [python, f"{wheel}/pip"], f"{PIP_WHEEL}, fetched and checked"


def _knows_foreign_environments(pip: list[str]) -> bool:
    """`--python` is known from pip 22.3 on."""
    done = subprocess.run([*pip, "--version"], capture_output=True, text=True, check=False)
    version = re.match(r"pip (\d+)\.(\d+)", done.stdout)
    return version is not None and (int(version[1]), int(version[2])) >= (22, 3)


def fetch_pip(folder: Path) -> Path:
    """Downloads the pinned pip from the configured package index and checks its hash."""
    index = (os.environ.get("PIP_INDEX_URL") or pip_setting("index-url") or "https://pypi.org/simple").rstrip(
        "/"
    )
    page = f"{index}/pip/"
    _say(f"  this Python has no pip; fetching {PIP_WHEEL} from {_without_login(index)}")
    listing = _read(page).decode("utf-8", "replace")
    link = re.search(rf'href="([^"]*/)?{re.escape(PIP_WHEEL)}(#[^"]*)?"', listing)
    if link is None:
        raise Failed(f"{_without_login(page)} does not offer {PIP_WHEEL}.")
    content = _read(urllib.parse.urljoin(page, link[0][6:-1].replace("&amp;", "&").partition("#")[0]))
    if hashlib.sha256(content).hexdigest() != PIP_SHA256:
        raise Failed(f"{PIP_WHEEL} from {_without_login(index)} has another content than the pinned one.")
    wheel = folder / PIP_WHEEL
    wheel.write_bytes(content)
    return wheel


def _read(url: str) -> bytes:
    parts = urllib.parse.urlsplit(url)
    request = urllib.request.Request(_without_login(url))
    if parts.username:
        login = f"{urllib.parse.unquote(parts.username)}:{urllib.parse.unquote(parts.password or '')}"
        request.add_header("Authorization", "Basic " + base64.b64encode(login.encode()).decode())
    context = ssl.create_default_context()
    bundle = authorities()
    if bundle:
        context.load_verify_locations(bundle)
    opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=context), _LoginStays())
    try:
        with opener.open(request, timeout=60) as answer:
            return bytes(answer.read())
    except (urllib.error.URLError, OSError) as error:
        raise Failed(f"{_without_login(url)}: {getattr(error, 'reason', error)}") from error


class _LoginStays(urllib.request.HTTPRedirectHandler):
    """Another server that an index sends us to is not told the index's login, as urllib alone would."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        request = super().redirect_request(req, fp, code, msg, headers, newurl)
        if request and _server(newurl) not in (_server(req.full_url), _encrypted(req.full_url)):
            request.remove_header("Authorization")
        return request


def _server(url: str) -> tuple[str, str | None, int | None]:
    parts = urllib.parse.urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def _encrypted(url: str) -> tuple[str, str | None, int | None]:
    """The same server over TLS, at the usual ports of both."""
    scheme, host, port = _server(url)
    return ("https", host, 443) if (scheme, port) == ("http", 80) else (scheme, host, port)


def _without_login(url: str) -> str:
    parts = urllib.parse.urlsplit(url)
    return urllib.parse.urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def pip_setting(name: str) -> str:
    """A setting of pip's configuration files (the nearest to the user wins), or nothing."""
    home = Path.home()
    files = [GLOBAL_PIP_CONFIG, home / ".pip/pip.conf", home / ".config/pip/pip.conf"]
    if os.environ.get("PIP_CONFIG_FILE"):
        files.append(Path(os.environ["PIP_CONFIG_FILE"]))
    parser = ConfigParser(interpolation=None)
    try:
        parser.read(files, encoding="utf-8")
    except ConfigParserError:
        return ""  # pip itself will complain, and better
    found = (parser.get(part, name, fallback="") for part in ("install", "global"))
    return next((value for value in found if value), "")


def authorities() -> str:
    """The certificate authorities that the user or company chose for packages, or nothing."""
    names = ("PIP_CERT", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")
    chosen = next((os.environ[name] for name in names if os.environ.get(name)), "") or pip_setting("cert")
    return chosen if Path(chosen).is_file() else ""


def _certificates() -> dict[str, str]:
    """A pip that brings its own authorities would not know the company's: point it at the system's."""
    system = ssl.get_default_verify_paths().cafile or ""
    bundle = authorities() or system
    return {"PIP_CERT": bundle} if bundle else {}


def _uv_environment() -> dict[str, str]:
    bundle = authorities()
    known = "SSL_CERT_FILE" in os.environ or not bundle
    return ({"UV_SYSTEM_CERTS": "true"} if known else {"SSL_CERT_FILE": bundle}) | _uv_index()


def _uv_index() -> dict[str, str]:
    """Uv does not read pip's settings; a company's index is usually written there. No argument: everybody on this
    computer reads those, and the address may have a login.
    """
    if any(name in os.environ for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_INDEX")):
        return {}
    index = os.environ.get("PIP_INDEX_URL") or pip_setting("index-url")
    return {"UV_DEFAULT_INDEX": index} if index else {}


def _run(argv: list[str], env: dict[str, str] | None = None, *, check: bool = True) -> None:
    done = subprocess.run(
        argv,
        env={**os.environ, **(env or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        close_fds=False,  # the environment's lock goes along
        check=False,
    )
    if check and done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()[-15:]
        raise Failed("\n".join([f"{' '.join(argv[:4])} … failed:", *(f"    {line}" for line in said)]))


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()
