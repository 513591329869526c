"""Who gets in over SSH, how, and how far; as somebody outside sees it wherever that is possible."""

import subprocess

import pytest

UNITS = ("ssh.service",)

MODERN = {
    "ciphers": {"aes256-gcm@openssh.com", "aes128-gcm@openssh.com", "aes256-ctr", "aes128-ctr"},
    "macs": {"hmac-sha2-512-etm@openssh.com", "hmac-sha2-256-etm@openssh.com", "umac-128-etm@openssh.com"},
    "kexalgorithms": {
        "mlkem768x25519-sha256",
        "sntrup761x25519-sha512",
        "sntrup761x25519-sha512@openssh.com",
    },
    "hostkeyalgorithms": {"ssh-ed25519", "rsa-sha2-512", "rsa-sha2-256"},
}
CLASSIC = {"curve25519-sha256", "curve25519-sha256@libssh.org"}


@pytest.fixture(scope="module")
def machine(host):
    """All that has to be asked of the machine itself, in one go."""
    told = host.check_output("""
        sshd -T; echo ==
        cd /etc/ssh/authorized_keys && grep -H . * ; echo ==
        stat -c '%U %a %n' /etc/ssh/authorized_keys /etc/ssh/authorized_keys/* /etc/ssh/sshd_config.d/*; echo ==
        ls /etc/ssh/sshd_config.d; echo ==
        find /etc/ssh -name 'ssh_host_*_key.pub' | xargs -n 1 ssh-keygen -lf
    """)
    effective, keys, files, drop_ins, host_keys = (part.strip().splitlines() for part in told.split("=="))
    settings = dict(line.split(" ", 1) for line in effective if " " in line)
    groups = [line.split()[1] for line in effective if line.startswith("allowgroups ")]
    return {
        "settings": settings,
        "groups": groups,
        "keys": keys,
        "files": files,
        "drop_ins": drop_ins,
        "host_keys": host_keys,
    }


@pytest.fixture(scope="module")
def stranger(client, tmp_path_factory):
    """A connection with a key that nobody has put down."""
    key = tmp_path_factory.mktemp("stranger") / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    known = client.settings["userknownhostsfile"]
    argv = ["ssh", "-F", "none", "-i", str(key), "-p", str(client.port), "-o", "IdentitiesOnly=yes",
            "-o", "BatchMode=yes", "-o", f"UserKnownHostsFile={known}", "-o", "StrictHostKeyChecking=yes",
            "-o", f"HostKeyAlias={client.settings['hostkeyalias']}"]  # fmt: skip
    if "proxycommand" in client.settings:  # the machine has no address; a stranger may come the same way
        argv += ["-o", f"ProxyCommand={client.settings['proxycommand']}"]

    def knock(user):
        command = [*argv, f"{user}@{client.address}", "true"]
        return subprocess.run(command, capture_output=True, text=True, timeout=60)

    return knock


def is_refused(done):
    return done.returncode == 255 and "Permission denied (publickey)" in done.stderr


def test_a_password_opens_nothing(client):
    """A password opens nothing: the server does not even ask for one"""
    asking = ["-o", "PubkeyAuthentication=no", "-o", "PreferredAuthentications=password,keyboard-interactive"]
    assert is_refused(client.ssh(*asking, command="true"))
    assert client.ssh(command="true").returncode == 0


def test_no_other_proof_than_a_key_is_taken(machine):
    """Neither another host's word, a ticket, an empty password nor a user's environment opens anything"""
    settings = machine["settings"]
    assert settings["authenticationmethods"] == "publickey"
    closed = (
        "hostbasedauthentication", "gssapiauthentication", "permitemptypasswords", "permituserenvironment",
        "passwordauthentication", "kbdinteractiveauthentication",
    )  # fmt: skip
    assert {name: settings.get(name, "no") for name in closed} == dict.fromkeys(closed, "no")
    assert settings["ignorerhosts"] == "yes"
    assert settings["usepam"] == "yes"


def test_the_log_names_the_key_that_opened(machine):
    assert machine["settings"]["loglevel"] == "VERBOSE"


def test_root_cannot_log_in_with_any_key(client, machine):
    assert is_refused(client.ssh("-l", "root", command="true"))
    assert machine["settings"]["permitrootlogin"] == "no"
    assert machine["settings"]["authorizedkeysfile"] == "/etc/ssh/authorized_keys/%u"


def test_a_wrong_key_opens_no_account(client, stranger):
    for user in (client.settings["user"], "airflow", "nobody"):
        assert is_refused(stranger(user))


def test_only_members_of_the_named_groups_may_log_in(machine, options):
    assert machine["groups"] == [*options["ssh_server_allowed_groups"]]


def test_the_keys_that_open_are_exactly_those_of_the_settings(machine, options):
    """The keys that open are exactly those of the settings, and only root can add one"""
    wanted = options["ssh_server_authorized_keys"]
    people = {person["name"] for person in options["people_accounts"]}
    if wanted is not None:
        # The people's own stand in the contract of the role people.
        lines = [line for line in machine["keys"] if line.split(":", 1)[0] not in people]
        keys = {line for line in lines if ":#" not in line}
        assert keys == {f"{account}:{key.strip()}" for account, given in wanted.items() for key in given}
        assert {line.split(":", 1)[0] for line in lines} == {
            account for account, given in wanted.items() if given
        }
    assert machine["settings"]["authorizedkeyscommand"] == machine["settings"]["trustedusercakeys"] == "none"
    for line in machine["files"]:
        owner, mode, path = line.split(maxsplit=2)
        assert owner == "root", f"{path} belongs to {owner}"
        assert int(mode, 8) & 0o022 == 0, f"{path} can be written by others"


def test_only_modern_algorithms_are_offered(client, machine, options):
    """Only modern algorithms are offered, and an old one is refused"""
    for setting, modern in MODERN.items():
        extra = (
            CLASSIC if setting == "kexalgorithms" and options["ssh_server_classic_key_exchange"] else set()
        )
        assert set(machine["settings"][setting].split(",")) <= modern | extra, setting
    for old in ("KexAlgorithms=diffie-hellman-group14-sha256", "Ciphers=aes256-cbc", "MACs=hmac-sha1"):
        plain = ["-o", "Ciphers=aes256-ctr"] if old.startswith("MACs") else []  # gcm needs no MAC at all
        assert "no matching" in client.ssh(*plain, "-o", old, command="true").stderr.lower(), old


def test_the_host_keys_are_the_machines_own_and_strong(machine):
    """The host keys that were there from the first start are still in use, and strong"""
    assert machine["host_keys"]
    offered = [line for line in machine["host_keys"] if "(ED25519)" in line or "(RSA)" in line]
    assert all(int(line.split()[0]) >= 3072 for line in offered if "(RSA)" in line)
    assert any("(ED25519)" in line for line in offered)


def test_nothing_is_forwarded_but_ports_on_loopback(client, machine):
    """Local forwards to loopback pass; remote forwards, the agent, tunnels, sockets and X11 do not"""
    settings = machine["settings"]
    assert settings["allowtcpforwarding"] == "local"
    assert {
        settings[name] for name in ("allowagentforwarding", "permittunnel", "x11forwarding", "gatewayports")
    } == {"no"}
    assert settings["allowstreamlocalforwarding"] == "no"
    remote = client.ssh("-o", "ExitOnForwardFailure=yes", "-R", "0:127.0.0.1:22", command="true")
    assert "remote port forwarding failed" in remote.stderr
    assert client.ssh("-W", "127.0.0.1:22", input="\n").stdout.startswith("SSH-2.0-")


def test_a_connection_gets_few_tries_and_little_time(machine, options):
    settings = machine["settings"]
    assert int(settings["maxauthtries"]) == options["ssh_server_max_auth_tries"] <= 6
    assert 0 < int(settings["logingracetime"]) == options["ssh_server_login_grace_time"] <= 120
    assert settings["maxstartups"] == options["ssh_server_max_startups"]
    gives_up = int(settings["clientaliveinterval"]) * int(settings["clientalivecountmax"])
    assert 0 < gives_up <= 300, f"a connection that answers no more is held for {gives_up} seconds"
    assert settings["tcpkeepalive"] == "no", "signs of life that are not encrypted keep a connection"


def test_whoever_keeps_failing_is_shut_out_and_a_shared_address_is_not(machine, options):
    """A source that keeps failing is shut out for a while; one that everybody comes from is not"""
    assert "authfail:" in machine["settings"]["persourcepenalties"]
    exempt = machine["settings"]["persourcepenaltyexemptlist"]
    assert exempt == (",".join(options["ssh_server_penalty_exempt"]) or "none")


def test_the_rules_of_the_first_start_are_gone(machine):
    """The rules of the first start are gone, so that one file has the word"""
    assert "10-hangar.conf" in machine["drop_ins"]
    assert "10-hangar-first-boot.conf" not in machine["drop_ins"]
