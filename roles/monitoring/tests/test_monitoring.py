UNITS = ("prometheus-node-exporter.service",)


def test_the_machines_figures_can_be_read_on_loopback(host, options):
    """CPU, memory and disk of the machine can be read on its loopback"""
    figures = host.check_output(f"curl --silent --fail --max-time 5 http://127.0.0.1:{options['monitoring_port']}/metrics")
    names = ("node_cpu_seconds_total", "node_memory_MemAvailable_bytes", "node_filesystem_avail_bytes", "node_load1")
    assert [name for name in names if f"\n{name}" not in figures] == []


def test_the_figures_are_offered_on_loopback_only(host, options):
    """The figures are offered on loopback only"""
    port = options["monitoring_port"]
    listening = host.check_output(f"ss --no-header --listening --tcp --numeric 'sport = :{port}'")
    assert [line.split()[3] for line in listening.splitlines()] == [f"127.0.0.1:{port}"]


def test_the_exporter_has_no_rights_beyond_reading(host):
    shown = host.check_output(
        "systemctl show prometheus-node-exporter --property User,NoNewPrivileges,ProtectSystem,ProtectHome,CapabilityBoundingSet"
    )
    assert sorted(shown.splitlines()) == [
        "CapabilityBoundingSet=",
        "NoNewPrivileges=yes",
        "ProtectHome=yes",
        "ProtectSystem=strict",
        "User=prometheus",
    ]


def test_the_exporter_comes_back_by_itself(host):
    shown = host.check_output("systemctl show prometheus-node-exporter --property UnitFileState,Restart,ActiveState --value")
    assert sorted(shown.split()) == ["active", "always", "enabled"]
