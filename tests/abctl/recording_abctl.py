#!/usr/bin/python3
"""NOT abctl: a recording stand-in for it, for tests of the role airbyte_abctl.

It writes down every call (arguments, identity, what of the environment matters), refuses what abctl v0.30.4 refuses
(a database of an earlier installation that it may not read), and leaves what abctl leaves: one container on the Docker
daemon, under the same name, with its port bound on every address and its data in the same folder. In the container
runs this program again: as a server that speaks the few paths of Airbyte's public API that the role needs, and as
`kubectl`, which answers the few questions that the role asks. Nothing else of Airbyte or Kubernetes is here.

How it behaves: ~/.airbyte/abctl/behaviour holds `hang` (sleep in the middle), `die` (stop in the middle) or nothing.
"""

import base64
import http.server
import io
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

HOME = Path(os.environ.get("HOME", "/"))
FOLDER = HOME / ".airbyte/abctl"
DATA = FOLDER / "data"
DATABASE = DATA / "airbyte-volume-db/pgdata"
NODE = "airbyte-abctl-control-plane"
IMAGE = "hangar-test/recording-abctl:1"
INSIDE = Path("/state.json")
PASSWORD = "stand-in-password"
ADMINISTRATOR = ("stand-in-admin", "stand-in-admin-secret-0123456789-0123456789")


def record(**what: object) -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (FOLDER / "recorded.jsonl").open("a") as file:
        file.write(json.dumps(what) + "\n")


def docker(*arguments: str, given: bytes | None = None) -> str:
    done = subprocess.run(["docker", *arguments], input=given, check=False, capture_output=True)
    if done.returncode != 0:
        sys.exit(f"docker {arguments[0]}: {done.stderr.decode()}")
    return done.stdout.decode().strip()


def node_is_there() -> bool:
    return bool(docker("ps", "--all", "--quiet", "--filter", f"name=^{NODE}$"))


def root_file_system() -> bytes:
    """This machine's Python and this program, as the one layer of an image."""
    python = Path("/usr/bin/python3").resolve()
    listed = subprocess.run(["ldd", python], check=True, capture_output=True, text=True).stdout
    libraries = [word for word in listed.split() if word.startswith("/")]
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", dereference=True) as archive:
        for path in [str(python), *libraries]:
            archive.add(path)
        archive.add(python, "/usr/bin/python3")
        archive.add(f"/usr/lib/{python.name}", filter=lambda one: None if "/test" in one.name else one)
        for name in ("/abctl", "/usr/bin/kubectl"):
            archive.add(sys.argv[0], name)
    return packed.getvalue()


def install(flags: list[str]) -> None:
    options = dict(itertools.pairwise(flags))
    chart, port = options["--chart-version"], options["--port"]
    try:
        (DATABASE / "PG_VERSION").read_text()
    except FileNotFoundError:
        pass
    except PermissionError as error:  # airbytehq/airbyte#76971
        sys.exit(f"failed to determine if any previous psql version exists: {error}")
    if not node_is_there():
        DATA.mkdir(parents=True, exist_ok=True)
        docker("import", "-", IMAGE, given=root_file_system())
        docker(
            "run", "--detach", "--name", NODE, "--label", "io.x-k8s.kind.cluster=airbyte-abctl",
            "--restart", "on-failure:1", "--publish", f"0.0.0.0:{port}:80",
            "--volume", f"{DATA}:/var/local-path-provisioner", IMAGE, "/usr/bin/python3", "/abctl", "serve",
        )  # fmt: skip
    behaviour = FOLDER / "behaviour"
    match behaviour.read_text().strip() if behaviour.exists() else "":
        case "hang":
            time.sleep(3600)
        case "die":
            sys.exit("unable to install helm: the stand-in was told to die")
    secrets = {
        Path(flag).stem: json.loads(Path(flag).read_text()) for flag in flags if flag.endswith(".json")
    }
    docker("exec", NODE, "/usr/bin/python3", "/abctl", "deploy", chart, ",".join(secrets))
    print("Airbyte installation complete. (This is the recording stand-in for abctl.)")


def uninstall(flags: list[str]) -> None:
    if node_is_there():
        docker("rm", "--force", NODE)
    if "--persisted" in flags:
        shutil.rmtree(DATA, ignore_errors=True)


# In the container


def state() -> dict:
    return json.loads(INSIDE.read_text()) if INSIDE.exists() else {"chart": ""}


def keep(found: dict) -> None:
    INSIDE.write_text(json.dumps(found))


def deploy(chart: str, secrets: str) -> None:
    """The platform is there: its database on the volume, which only its own account may read."""
    pgdata = Path("/var/local-path-provisioner/airbyte-volume-db/pgdata")
    pgdata.mkdir(parents=True, exist_ok=True)
    (pgdata / "PG_VERSION").write_text("17\n")
    os.chown(pgdata, 70, 70)
    pgdata.chmod(0o700)
    keep({**state(), "chart": chart, "secrets": secrets})


def kubectl(words: list[str]) -> None:
    """The answers to the role's questions."""
    found, text = state(), " ".join(words)
    encoded = {
        key: base64.b64encode(value.encode()).decode()
        for key, value in {
            "instance-admin-password": PASSWORD,
            "instance-admin-client-id": ADMINISTRATOR[0],
            "instance-admin-client-secret": ADMINISTRATOR[1],
        }.items()
    }
    if "get secret airbyte-auth-secrets" in text:
        print(json.dumps({"data": encoded}))
    elif "get secrets" in text and "owner=helm" in text:
        print("deployed" if found["chart"] else "pending-install", end="")
    elif "get deployment airbyte-abctl-server" in text:
        print(f"airbyte-{found['chart']}", end="")
    elif "get configmap coredns" in text:
        usual = ".:53 {\n    errors\n    forward . /etc/resolv.conf\n    cache 30\n}\n"
        print(json.dumps({"data": {"Corefile": found.get("corefile", usual)}}))
    elif "patch configmap coredns" in text:
        keep({**found, "corefile": json.loads(words[-1])["data"]["Corefile"]})
    elif "pg_dumpall" in text:
        print(f"-- a dump of Airbyte {found['chart']}, by the stand-in")
    else:
        sys.exit(f"the stand-in for kubectl does not know: {text}")


class Platform(http.server.BaseHTTPRequestHandler):
    """A few paths of Airbyte's public API. Every client may do everything, as with the real one."""

    def answer(self, status: int, content: object) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def body(self) -> bytes:
        """The proxy's own requests come in pieces."""
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        found = b""
        while size := int(self.rfile.readline(), 16):
            found += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return found

    def handle_any(self) -> None:
        try:
            body = json.loads(self.body() or b"{}")
        except ValueError:
            body = {}
        path, found = self.path.split("?")[0].removeprefix("/api/public/v1"), state()
        if path == "/health":
            self.answer(
                200 if found["chart"] else 503, "Successful operation (a stand-in for Airbyte's platform)"
            )
        elif path == "/applications/token":
            self.token(body)
        elif not self.known():
            self.answer(401, {"status": 401, "title": "unauthorized"})
        elif path == "/applications" and self.command == "POST":
            # Airbyte Core has its administrator's application and makes no others.
            self.answer(500, {"status": 500, "title": "unexpected-problem"})
        else:
            self.answer(200, {"method": self.command, "path": self.path, "host": self.headers.get("Host"), "data": [],
                              "upgrade": self.headers.get("Upgrade")})  # fmt: skip

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any

    def token(self, body: dict) -> None:
        if (body.get("client_id"), body.get("client_secret")) == ADMINISTRATOR:
            self.answer(200, {"access_token": "token.stand-in", "token_type": "Bearer", "expires_in": 900})
        else:
            self.answer(400, {"status": 400, "title": "bad-request"})

    def known(self) -> bool:
        return self.headers.get("Authorization") == "Bearer token.stand-in"

    def log_message(self, *_: object) -> None:
        pass


def main() -> None:
    if Path(sys.argv[0]).name == "kubectl":
        kubectl(sys.argv[1:])
        return
    match sys.argv[1:]:
        case ["serve"]:
            # The first process of a container ends by no signal that it does not take.
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
            http.server.ThreadingHTTPServer(("", 80), Platform).serve_forever()
        case ["deploy", chart, secrets]:
            deploy(chart, secrets)
        case ["local", verb, *flags]:
            record(
                verb=verb, flags=flags, uid=os.geteuid(), home=str(HOME), quiet="DO_NOT_TRACK" in os.environ,
                own_loopback=len(Path("/proc/net/dev").read_text().splitlines()),
                uid_map=Path("/proc/self/uid_map").read_text().split(),
            )  # fmt: skip
            if verb == "install":
                install(flags)
            elif verb == "uninstall":
                uninstall(flags)
        case ["version"]:
            print("version: recording stand-in, not abctl")
        case _:
            sys.exit("the recording stand-in for abctl does not know this")


main()
