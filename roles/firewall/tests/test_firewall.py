"""What the rules let through: tried by real connections, under the numbers of real accounts and their sub-ids."""

import json
import re
import shlex

import pytest

UNITS = ("hangar-firewall.service",)

METADATA = ("169.254.169.254", 80)
PERSON = 1999
"""A number as people have it; whether the account exists is all the same to the rules."""

# Runs on the machine as root: each attempt in a process of its own that has become somebody else.
PROBE = """
import json, os, socket, sys
def listen(address):
    server = socket.socket()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        server.bind(tuple(address)); server.listen(50)
    except OSError:
        pass  # a service is there already, which answers as well
    return server
def attempt(uid, address):
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.setgroups([]); os.setgid(uid); os.setuid(uid)
        probe = socket.socket(); probe.settimeout(0.5)
        try:
            probe.connect(tuple(address)); said = "open"
        except OSError as error:
            said = type(error).__name__
        os.write(writer, said.encode()); os._exit(0)
    os.wait()
    return os.read(reader, 99).decode()
job = json.load(sys.stdin)
free = listen(("127.0.0.1", 0))
kept = [listen(address) for address in job["listen"]]
answer = {}
for name, (uid, address) in job["attempts"].items():
    answer[name] = attempt(uid, address or free.getsockname())
print(json.dumps(answer))
"""

COUNTERS = "nft -j list counters table inet hangar_firewall"


@pytest.fixture(scope="module")
def rules(host):
    return host.check_output(
        "nft list table inet hangar_firewall; systemctl is-enabled hangar-firewall.service"
    )


@pytest.fixture(scope="module")
def accounts(options):
    """The service users: name, uid and the number of a process in one of their containers, if they have any."""
    return [
        (user["name"], int(user["uid"]), int(user["subids"]) + 999 if "subids" in user else None)
        for user in options["firewall_service_users"]
    ]


@pytest.fixture(scope="module")
def tried(host, options, accounts):
    """What each account gets where: name of the attempt -> open, ConnectionRefusedError, …, and the counters."""
    service = sorted({int(port) for port in options["firewall_service_ports"]})
    published = {int(port) for port in options["firewall_published_ports"]}
    attempts = {"root free": (0, None), "person free": (PERSON, None), "root metadata": (0, METADATA)}
    attempts |= {"person metadata": (PERSON, METADATA), "person dns": (PERSON, ("127.0.0.9", 53))}
    for port in service:
        attempts[f"person {'published' if port in published else 'service'} {port}"] = (
            PERSON,
            ("127.0.0.1", port),
        )
    for name, uid, subid in accounts:
        own = [rule for rule in options["firewall_loopback_rules"] if rule["user"] == name]
        declared = {int(rule["port"]) for rule in own if rule.get("protocol", "tcp") == "tcp"}
        for kind, number in (("user", uid), *([("container", subid)] if subid else [])):
            attempts[f"{kind} {name} free"] = (number, None)
            attempts[f"{kind} {name} metadata"] = (number, METADATA)
            attempts[f"{kind} {name} dns"] = (number, ("127.0.0.9", 53))
            for port in sorted({*service, *declared}):
                word = "declared" if port in declared else "undeclared"
                attempts[f"{kind} {name} {word} {port}"] = (number, ("127.0.0.1", port))
    listen = [("127.0.0.9", 53), *(("127.0.0.1", port) for port in service)]
    job = shlex.quote(json.dumps({"listen": listen, "attempts": attempts}))
    told = host.check_output(
        f"{COUNTERS}; echo {job} | python3 -c {shlex.quote(PROBE)}; {COUNTERS}"
    ).splitlines()
    return {"before": counters(told[0]), "after": counters(told[2]), **json.loads(told[1])}


def counters(text):
    return {
        entry["counter"]["name"]: entry["counter"]["packets"]
        for entry in json.loads(text)["nftables"]
        if "counter" in entry
    }


def results(tried, *words):
    return {name: said for name, said in tried.items() if set(words) <= set(name.split())}


def test_ssh_is_the_only_open_port_and_only_for_the_configured_networks(rules, options, host):
    """SSH is the only open port, and only for the configured networks; the rest is dropped"""
    chain = re.search(r"chain input \{(.*?)\n\t\}", rules, re.S)[1]
    assert "policy drop" in chain
    opened = [line.strip() for line in chain.splitlines() if "dport" in line]
    assert sorted(opened) == [
        "ip6 saddr fe80::/10 udp sport 547 udp dport 546 accept",
        "tcp dport 22 ip saddr @ssh_sources_ipv4 accept",
        "tcp dport 22 ip6 saddr @ssh_sources_ipv6 accept",
    ]
    written = host.file("/etc/hangar/firewall.nft").content_string
    assert all(source in written for source in options["firewall_ssh_sources"])


def test_nothing_but_ssh_listens_beyond_loopback(host):
    told = host.check_output("ss -Hlntup").splitlines()
    # A container's own question (to a name server, say) leaves through a UDP socket of slirp4netns. It looks like
    # a listener, but the firewall lets nothing in to it but the answer.
    told = [line for line in told if not (line.startswith("udp") and '"slirp4netns"' in line)]
    beyond = {
        line.split()[4] for line in told if not re.match(r"(127\.|\[::1\]|\[::ffff:127)", line.split()[4])
    }
    dhcp = re.compile(r".*(%\w+)?:(68|546)$")
    assert {address for address in beyond if not address.endswith(":22") and not dhcp.match(address)} == set()


def test_the_rules_stand_after_a_restart_of_the_machine(rules, host):
    """The rules come before the network at every start, and no other unit flushes them"""
    assert rules.rstrip().endswith("enabled")
    assert host.run("systemctl is-enabled nftables.service").stdout.strip() == "masked"
    before = host.check_output("systemctl show -p Before --value hangar-firewall.service")
    assert "network-pre.target" in before.split()


def test_the_metadata_server_answers_no_service_and_no_person(tried, options):
    """The metadata server, which hands out the machine's identity, answers no service, no container and no person"""
    allowed = set(options["firewall_metadata_accounts"])
    for name, said in results(tried, "metadata").items():
        if name.split()[0] != "root" and name.split()[1] not in allowed:
            assert said == "ConnectionRefusedError", name
    assert tried["root metadata"] != "ConnectionRefusedError"


def test_a_service_reaches_no_other_service(tried, accounts):
    """A service user and its containers reach on loopback the declared ports and nothing else"""
    assert accounts
    for word in ("undeclared", "free"):
        for name, said in {**results(tried, "user", word), **results(tried, "container", word)}.items():
            assert said == "ConnectionRefusedError", name
    assert set(results(tried, "declared").values()) <= {"open"}
    assert tried["root free"] == "open"


def test_people_reach_published_services_and_their_own_programs_only(tried):
    """People reach the published services and their own programs, not the services' other ports"""
    assert set(results(tried, "person", "published").values()) <= {"open"}
    assert set(results(tried, "person", "service").values()) <= {"ConnectionRefusedError"}
    assert tried["person free"] == "open"


def test_names_are_resolved_for_everybody(tried):
    assert set(results(tried, "dns").values()) == {"open"}


def test_what_is_refused_is_counted(tried):
    for name in ("metadata_refused", "loopback_refused"):
        assert tried["after"][name] > tried["before"][name], name


def test_a_reload_replaces_our_table_and_no_other(host):
    """A reload replaces our table, leaves others alone and cuts no connection"""
    other = "table inet hangar_test_of_a_reload"
    told = host.check_output(
        f"nft add {other}; systemctl reload hangar-firewall.service; nft list tables; nft delete {other}"
    )
    assert other in told
    assert told.count("table inet hangar_firewall") == 1
