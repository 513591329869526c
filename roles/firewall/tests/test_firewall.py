"""What the rules let through: tried by real connections, under the numbers of real accounts and their sub-ids."""

import json
import re
import shlex

import pytest

UNITS = ("hangar-firewall.service",)

METADATA = ("169.254.169.254", 80)
STRANGER = 1999
"""A number as people have it, of nobody that the machine knows."""

SYSTEM = 33
"""www-data, which Debian brings and nothing here uses."""

BESIDE = {"stranger": "127.0.0.77", "system": "127.0.0.78", "service": "127.0.0.79", "owner": "127.0.0.80"}
"""Who listens on a service's port beside the service, at another address of loopback: the rule looks at the port.
Another service's account does, and the service's own. Contracts of other roles run meanwhile, and see that.
"""

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
def listen_as(uid, address=("127.0.0.1", 0)):
    # Whose a socket is, is decided when it is made.
    os.seteuid(uid)
    try:
        return listen(address)
    finally:
        os.seteuid(0)
def begin(uid, address):
    # All of them at once: what is dropped answers with silence, for seconds.
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.setgroups([]); os.setgid(uid); os.setuid(uid)
        probe = socket.socket(); probe.settimeout(4)
        try:
            probe.connect(tuple(address)); said = "open"
        except OSError as error:
            said = type(error).__name__
        os.write(writer, said.encode()); os._exit(0)
    os.close(writer)
    return reader
def lite(uid, owner):
    # By UDP-Lite, which has ports and answers too. A kernel may know nothing of it.
    ends = []
    try:
        for number in (owner, uid):
            os.seteuid(number)
            ends.append(socket.socket(socket.AF_INET, socket.SOCK_DGRAM, 136))
            os.seteuid(0)
            ends[-1].settimeout(2)
        server, probe = ends
        server.bind(("127.0.0.1", 0))
        probe.sendto(b"?", server.getsockname())
        server.sendto(b"!", server.recvfrom(1)[1])
        probe.recv(1)
        return "open"
    except OSError as error:
        return type(error).__name__
    finally:
        os.seteuid(0)
job = json.load(sys.stdin)
own = {str(uid): listen_as(uid) for uid in job["owners"]}
kept = [listen(address) for address in job["listen"]]
kept += [listen_as(uid, address) for uid, address in job["beside"]]
begun = {
    name: begin(uid, address if isinstance(address, list) else own[str(address)].getsockname())
    for name, (uid, address) in job["attempts"].items()
}
told = {name: lite(*pair) for name, pair in job["lite"].items()}
print(json.dumps(told | {name: os.read(reader, 99).decode() for name, reader in begun.items()}))
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
    uids = {name: uid for name, uid, _ in accounts}
    whose = {int(one["port"]): uids[one["user"]] for one in options["firewall_service_ports"]}
    service = sorted(whose)
    published = {int(port) for port in options["firewall_published_ports"]}
    person = int(host.check_output(f"id --user {options['ansible_user']}"))
    owners = [0, person, STRANGER, SYSTEM, *(uid for _, uid, _ in accounts)]
    attempts = {"root metadata": (0, METADATA), "person metadata": (person, METADATA)}
    attempts |= {"person dns": (person, ("127.0.0.9", 53)), "person ssh": (person, ("127.0.0.1", 22))}
    for name, uid in (("root", 0), ("person", person), ("system", SYSTEM)):
        for owner in owners:
            word = "own" if uid == owner else "foreign"
            attempts[f"{name} {word} listener {owner}"] = (uid, owner)
    for port in service:
        attempts[f"person {'published' if port in published else 'service'} {port}"] = (
            person,
            ("127.0.0.1", port),
        )
    # abctl takes its port at every address, so nobody can stand beside it.
    wide = int(options["airbyte_port"]) if options.get("airbyte_engine") == "abctl" else None
    beside = []
    for port in (one for one in service if one != wide):
        another = next(uid for uid in uids.values() if uid != whose[port])
        listeners = {"stranger": STRANGER, "system": SYSTEM, "service": another, "owner": whose[port]}
        for who, uid in listeners.items():
            beside.append((uid, (BESIDE[who], port)))
            word = "stand-in" if who == "owner" else "impostor"
            attempts[f"root {word} {who} {port}"] = (0, (BESIDE[who], port))
    for name, uid, subid in accounts:
        own = [rule for rule in options["firewall_loopback_rules"] if rule["user"] == name]
        declared = {int(rule["port"]) for rule in own if rule.get("protocol", "tcp") == "tcp"}
        for kind, number in (("user", uid), *([("container", subid)] if subid else [])):
            attempts[f"{kind} {name} free"] = (number, 0)
            attempts[f"{kind} {name} foreign listener"] = (number, person)
            attempts[f"{kind} {name} metadata"] = (number, METADATA)
            attempts[f"{kind} {name} dns"] = (number, ("127.0.0.9", 53))
            for port in sorted({*service, *declared}):
                word = "declared" if port in declared else "undeclared"
                attempts[f"{kind} {name} {word} {port}"] = (number, ("127.0.0.1", port))
    listen = [("127.0.0.9", 53), *(("127.0.0.1", port) for port in service)]
    lite = {"person foreign udplite": (person, STRANGER), "system foreign udplite": (SYSTEM, person)}
    job = {"listen": listen, "beside": beside, "owners": owners, "attempts": attempts, "lite": lite}
    job = shlex.quote(json.dumps(job))
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


def test_nobody_tells_the_machine_other_routes(rules):
    """Nobody tells the machine other routes: redirects are dropped, those about its own connections too"""
    chain = re.search(r"chain input \{(.*?)\n\t\}", rules, re.S)[1]
    first = chain.split("ct state", 1)[0]
    for kind in ("icmp type redirect", "icmpv6 type nd-redirect"):
        assert re.search(rf"{kind} .*drop$", first, re.M), kind
    assert rules.count("redirect") == 2, "none is let in further down"


def test_nothing_but_ssh_listens_beyond_loopback(host, options):
    told = host.check_output("ss -Hlntup").splitlines()
    # A container's own question (to a name server, say) leaves through a UDP socket of slirp4netns. It looks like
    # a listener, but the firewall lets nothing in to it but the answer.
    told = [line for line in told if not (line.startswith("udp") and '"slirp4netns"' in line)]
    beyond = {
        line.split()[4] for line in told if not re.match(r"(127\.|\[::1\]|\[::ffff:127)", line.split()[4])
    }
    dhcp = re.compile(r".*(%\w+)?:(68|546)$")
    # abctl knows no way to bind its port to loopback; its role's contract shows that nobody gets in there.
    shut = {f"0.0.0.0:{options['airbyte_port']}"} if options["airbyte_engine"] == "abctl" else set()
    wide = {address for address in beyond if not address.endswith(":22") and not dhcp.match(address)}
    assert wide - shut == set()


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


def test_a_person_reaches_no_program_of_another(tried):
    """Nobody reaches a program of another account on loopback, only root does; one's own are always in reach"""
    foreign = {name: said for name, said in results(tried, "foreign").items() if not name.startswith("root")}
    assert foreign
    assert [name for name, said in foreign.items() if said == "open"] == []
    assert set(results(tried, "own").values()) == {"open"}
    assert set(results(tried, "root", "foreign").values()) == {"open"}


def test_who_listens_in_a_services_place_does_not_answer_root(tried):
    """Whoever listens on a service's port first, a person or another service, gets no password that root brings"""
    assert results(tried, "root", "impostor")
    assert [name for name, said in results(tried, "root", "impostor").items() if said == "open"] == []
    assert set(results(tried, "root", "stand-in").values()) == {"open"}


def test_an_account_that_comes_later_reaches_its_own_programs(host):
    """The firewall notices accounts that come and go by itself, many within seconds too"""
    watch = "hangar-firewall-accounts"
    told = host.run(f"for n in $(seq 8); do systemctl start {watch}.service || exit 1; done")
    assert told.rc == 0, told.stderr
    assert host.check_output(f"systemctl is-active {watch}.path") == "active"
    # Nobody who can log in, and by number none of the people: whom other contracts count, and whose homes they look at.
    name = "hangar-contract-later"
    listed = 'nft list set inet hangar_firewall same_account | grep -c "[ {]$number [.]"'
    script = f"""
    useradd --shell /usr/sbin/nologin --key UID_MIN=59000 --key UID_MAX=59999 \\
        --key SUB_UID_COUNT=0 --key SUB_GID_COUNT=0 {name}; number=$(id --user {name})
    for n in $(seq 400); do [ "$({listed})" = 0 ] || break; sleep 0.25; done
    {listed}; userdel {name}"""
    assert host.run(script).stdout.strip() == "1"


def test_people_reach_published_services_and_their_own_programs_only(tried):
    """People reach the published services and their own programs, not the services' other ports"""
    assert set(results(tried, "person", "published").values()) <= {"open"}
    assert set(results(tried, "person", "service").values()) <= {"ConnectionRefusedError"}
    assert tried["person ssh"] == "open"


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
