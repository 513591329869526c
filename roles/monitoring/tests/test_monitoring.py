UNITS = ("prometheus-node-exporter.service",)


ASK = (
    "sed 's/.*/user = \"prometheus:&\"/' /srv/monitoring/secrets/password"
    " | curl --silent --fail --max-time 5 --config - http://127.0.0.1:{port}/metrics"
)
"""By root, who alone can read the password; it goes by standard input and stands in no list of processes."""


def test_the_machines_figures_can_be_read_on_loopback(host, options):
    """CPU, memory and disk of the machine can be read on its loopback"""
    figures = host.check_output(ASK.format(port=options["monitoring_port"]))
    names = (
        "node_cpu_seconds_total",
        "node_memory_MemAvailable_bytes",
        "node_filesystem_avail_bytes",
        "node_load1",
    )
    assert [name for name in names if f"\n{name}" not in figures] == []


def test_the_figures_are_offered_on_loopback_only(host, options):
    """The figures are offered on loopback only"""
    port = options["monitoring_port"]
    listening = host.check_output(f"ss --no-header --listening --tcp --numeric 'sport = :{port}'")
    assert [line.split()[3] for line in listening.splitlines()] == [f"127.0.0.1:{port}"]


def test_the_exporter_has_no_rights_beyond_reading(host):
    rights = "User,NoNewPrivileges,ProtectSystem,ProtectHome,CapabilityBoundingSet"
    shown = host.check_output(f"systemctl show {UNITS[0]} --property {rights}")
    assert sorted(shown.splitlines()) == [
        "CapabilityBoundingSet=",
        "NoNewPrivileges=yes",
        "ProtectHome=yes",
        "ProtectSystem=strict",
        "User=prometheus",
    ]


def test_the_exporter_comes_back_by_itself(host):
    shown = host.check_output(
        f"systemctl show {UNITS[0]} --property UnitFileState,Restart,ActiveState --value"
    )
    assert sorted(shown.split()) == ["active", "always", "enabled"]


def test_nobody_reads_the_figures_without_the_password(attempt, options):
    """Nobody reads the machine's figures without their password, not even root; and services do not get that far"""
    ask = f"curl --silent --fail --max-time 3 http://127.0.0.1:{options['monitoring_port']}/metrics"
    accounts = [account["name"] for account in options["service_users_accounts"]] + [options["ansible_user"]]
    tries = {"root with the password": ASK.format(port=options["monitoring_port"]), "root": ask}
    tries |= {"root with another": f"{ask} --user prometheus:guessed"}
    tries |= {account: f"runuser -u {account} -- {ask}" for account in accounts}
    read = attempt(tries)
    assert [who for who, status in read.items() if status == 0] == ["root with the password"]


def test_only_root_knows_the_password_of_the_figures(host, options):
    for path in ("/srv/monitoring/secrets", "/etc/hangar/monitoring"):
        found = host.file(path)
        assert (found.user, found.mode) == ("root", 0o700)
    user = options["service_users_accounts"][0]["name"]
    assert host.run(f"runuser -u {user} -- cat /srv/monitoring/secrets/password").rc != 0
