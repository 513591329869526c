"""What the rules of SSH and the firewall say under odd values; nft and sshd judge the text where they are there."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from .render import render

RULES = "/etc/hangar/firewall.nft"
DROP_IN = "/etc/ssh/sshd_config.d/10-hangar.conf"
USERS = [
    {"name": "airflow", "uid": 2001, "subids": 200000},
    {"name": "air-byte", "uid": 2002, "subids": 300000},
]
PORTS = [{"port": 8080, "user": "airflow"}, {"port": 8000, "user": "air-byte"}]


def rules(**values: object) -> str:
    return render(
        "firewall", RULES, **{"firewall_service_users": USERS, "firewall_service_ports": PORTS, **values}
    )


def chain(text: str, name: str) -> list[str]:
    found = re.search(rf"chain {name} \{{\n(.*?)\n    \}}", text, re.DOTALL)
    assert found is not None, f"no chain {name}"
    return [line.strip() for line in found[1].splitlines() if not line.strip().startswith("#")]


def test_only_our_table_is_replaced_and_in_one_transaction() -> None:
    lines = [line for line in rules().splitlines() if line and not line.startswith("#")]
    assert lines[:3] == [
        "table inet hangar_firewall",
        "delete table inet hangar_firewall",
        "table inet hangar_firewall {",
    ]
    assert "flush" not in "".join(lines)


def test_sources_of_both_families_find_their_set() -> None:
    text = rules(firewall_ssh_sources=["10.0.0.0/8", "2001:db8::/32", "192.0.2.7"])
    sets = dict(re.findall(r"set ssh_sources_(ipv[46]) \{(.*?)\n    \}", text, re.DOTALL))
    assert "elements = { 10.0.0.0/8, 192.0.2.7 }" in sets["ipv4"]
    assert "elements = { 2001:db8::/32 }" in sets["ipv6"]


def test_redirects_are_dropped_before_anything_is_let_in() -> None:
    """One about a connection of the machine's own counts as related to it, and systemd-networkd follows those of IPv6
    whatever the kernel's parameters say.
    """
    lines = chain(rules(), "input")
    assert lines[1:3] == [
        "icmp type redirect counter name dropped drop",
        "icmpv6 type nd-redirect counter name dropped drop",
    ]
    assert rules().count("redirect ") == 2


def test_without_sources_nobody_reaches_ssh_rather_than_everybody() -> None:
    assert "elements" not in rules(firewall_ssh_sources=[])


@pytest.mark.parametrize("user", USERS, ids=lambda user: str(user["name"]))
def test_a_service_user_is_its_uid_and_all_its_sub_ids(user: dict[str, int]) -> None:
    numbers = f"{{ {user['uid']}, {user['subids']}-{user['subids'] + 65535} }}"
    name = str(user["name"]).replace("-", "_")
    assert f"meta skuid {numbers} goto loopback_{name}" in chain(rules(), "loopback")
    opened = rules(firewall_metadata_accounts=[user["name"]])
    assert f"meta skuid {numbers} accept" in chain(opened, "metadata")


def test_each_service_user_gets_its_declared_ports_only() -> None:
    declared = [
        {"user": "airflow", "port": 8000},
        {"user": "airflow", "port": 5432},
        {"user": "air-byte", "port": 1},
    ]
    text = rules(firewall_loopback_rules=declared)
    assert chain(text, "loopback_airflow") == ["tcp dport { 8000, 5432 } accept", "goto refuse"]
    assert chain(text, "loopback_air_byte") == ["tcp dport { 1 } accept", "goto refuse"]
    assert chain(rules(firewall_loopback_rules=[]), "loopback_airflow") == ["goto refuse"]


def test_a_port_is_open_for_its_own_protocol_only() -> None:
    text = rules(firewall_loopback_rules=[{"user": "airflow", "port": 9125, "protocol": "udp"}])
    assert chain(text, "loopback_airflow") == ["udp dport { 9125 } accept", "goto refuse"]


def test_metadata_ends_in_a_refusal_that_is_counted() -> None:
    lines = chain(rules(firewall_metadata_accounts=["_chrony"]), "metadata")
    assert 'meta skuid "_chrony" accept' in lines
    assert lines[-3] == "counter name metadata_refused"
    assert all("reject" in line for line in lines[-2:])


def test_a_listener_answers_only_whom_it_may() -> None:
    """Itself, root, and a declared service of its own account; everybody else waits in vain and is counted."""
    lines = chain(rules(), "answer")
    assert lines[-1] == "goto unheard"
    assert not any("th sport" in line for line in chain(rules(firewall_service_ports=[]), "answer"))


def test_what_answers_by_a_protocol_that_nobody_looks_into_is_not_asked() -> None:
    """UDP-Lite and SCTP have ports and answers as well, and another account behind them; root may ask."""
    text = rules()
    lines = chain(text, "loopback")
    looked_at = [line for line in chain(text, "acquaintance") if "jump answer" in line]
    assert [line.split("jump")[0].split()[3] for line in looked_at] == ["tcp", "meta"]
    assert "l4proto udp" in looked_at[1]
    assert lines[-3:] == [
        "meta skuid 1-59999 meta l4proto { tcp, udp } th dport { 8080, 8000 } goto refuse",
        "meta skuid 1-59999 meta l4proto { tcp, udp } accept",
        "meta skuid 1-4294967294 goto refuse",
    ]
    assert lines.index("meta skuid 0 accept") < len(lines) - 3


def test_who_may_listen_in_a_services_place_is_decided_before_root_is_answered() -> None:
    """Root brings passwords to these ports: who listens there first, a person or another service, does not get them."""
    lines = chain(rules(), "answer")
    assert lines[:3] == [
        "th sport 8080 meta skuid { 0, 2001 } return",
        "th sport 8000 meta skuid { 0, 2002 } return",
        "th sport { 8080, 8000 } goto unheard",
    ]
    assert lines[3].startswith("ct mark 0 ")


def test_an_answer_without_an_owner_is_none() -> None:
    """A listener whose queue is full answers by SYN cookies, which have no owner; anybody can fill their own queue."""
    text = rules()
    assert "ct mark 0 meta skuid 0-4294967294 return" in chain(text, "answer")
    assert chain(text, "unheard") == [
        "meta skuid 0-4294967294 ct mark set 0xffffffff counter name loopback_refused drop",
        "meta l4proto tcp counter name loopback_refused drop",
    ]


def test_keys_and_groups_stand_on_lines_of_their_own() -> None:
    text = render(
        "ssh_server", DROP_IN, ssh_server_allowed_groups=["a", "b"], ssh_server_host_keys=["ed25519", "rsa"]
    )
    assert "AllowGroups a b\n" in text
    assert text.count("\nHostKey ") == 2
    assert "HostKeyAlgorithms ssh-ed25519,rsa-sha2-512,rsa-sha2-256\n" in text
    assert "PerSourcePenaltyExemptList" not in render("ssh_server", DROP_IN, ssh_server_penalty_exempt=[])
    exempt = render(
        "ssh_server", DROP_IN, ssh_server_penalty_exempt=["35.235.240.0/20", "2600:2d00:1:7::/64"]
    )
    assert "\nPerSourcePenaltyExemptList 35.235.240.0/20,2600:2d00:1:7::/64\n" in exempt


def test_what_an_editor_needs_passes_and_what_it_does_not_is_refused() -> None:
    """VS Code dies silently where local forwards are refused; all else stays shut"""
    text = render("ssh_server", DROP_IN)
    said = dict(line.split(" ", 1) for line in text.splitlines() if line and not line.startswith("#"))
    assert said["AllowTcpForwarding"] == "local"
    assert said["PermitOpen"] == "127.0.0.1:* localhost:* [::1]:*"
    refused = (
        "AllowStreamLocalForwarding",
        "AllowAgentForwarding",
        "GatewayPorts",
        "PermitTunnel",
        "X11Forwarding",
    )
    assert {said[name] for name in refused} == {"no"}
    assert said["PermitListen"] == "none"


@pytest.mark.parametrize("classic", [True, False])
def test_classic_key_exchange_comes_last_and_on_demand_only(classic: bool) -> None:
    text = render("ssh_server", DROP_IN, ssh_server_classic_key_exchange=classic)
    (offered,) = re.findall(r"^KexAlgorithms (.*)$", text, re.MULTILINE)
    assert ("curve25519-sha256" in offered.split(",")) is classic
    assert offered.startswith("mlkem768x25519-sha256,sntrup761x25519-sha512")


def understands_accounts_as_marks() -> bool:
    """Debian 13's nft does; that of Debian 12 takes an account for no mark."""
    if shutil.which("nft") is None:
        return False
    told = subprocess.run(["nft", "--version"], capture_output=True, text=True, check=True).stdout
    return [int(part) for part in re.findall(r"\d+", told)[:2]] >= [1, 1]


@pytest.mark.skipif(not understands_accounts_as_marks(), reason="there is no nft of Debian 13 here")
def test_nft_understands_the_rules(tmp_path: Path) -> None:
    path = tmp_path / "rules.nft"
    path.write_text(rules(firewall_metadata_accounts=["airflow"], firewall_published_ports=[8080]))
    argv = ["unshare", "--map-root-user", "--net", "nft", "-c", "-f", str(path)]
    done = subprocess.run(argv, capture_output=True, text=True)
    if "unshare" in done.stderr:
        pytest.skip("no namespaces here")
    assert done.returncode == 0, done.stderr
