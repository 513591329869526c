"""The form for Windows, read by the rules of Windows' ssh: its own words on a line, then Microsoft's for a program."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hangar.cloud.base import Server
from hangar.cloud.gcp import iap
from hangar.cloud.gcp.relay.__main__ import _parser
from hangar.cloud.gcp.relay.target import ENDPOINT
from hangar.errors import HangarError
from hangar.ssh import alias, include
from hangar.ssh.login import Login
from hangar.ssh.tunnel import Forward

from .test_proxy import microsoft_words, ssh_expand

FORWARDS = (Forward("airflow", 8080, 8081),)
ANNA = Login("anna", "C:\\Users\\Anna Meier\\.ssh\\id_ed25519")


def words(value: str) -> list[str]:
    """OpenSSH's argv_split: blanks part words, quotes hold them together, a backslash shields a quote, another
    backslash and, outside quotes, a blank; before anything else it is itself.
    """
    found, word, quote, begun, at = [], "", "", False, 0
    while at < len(value):
        char, following = value[at], value[at + 1 : at + 2]
        if char == "\\" and (following in ("'", '"', "\\") or (not quote and following == " ")) and following:
            word, begun, at = word + following, True, at + 1
        elif quote:
            quote, word = ("", word) if char == quote else (quote, word + char)
        elif char in "'\"":
            quote, begun = char, True
        elif char in " \t":
            found += [word] if begun else []
            word, begun = "", False
        else:
            word, begun = word + char, True
        at += 1
    assert not quote, "a quote stays open"
    return found + ([word] if begun else [])


def settings(text: str) -> dict[str, str]:
    """Each setting with its value as it stands; ProxyCommand takes the rest of its line."""
    lines = [line.strip().split(" ", 1) for line in text.splitlines() if line and not line.startswith("#")]
    return dict(lines)


def test_windows_ssh_reads_what_was_meant(server: Server) -> None:
    found = settings(alias.windows_text(server, FORWARDS, ANNA))
    assert words(found["IdentityFile"]) == ["C:/Users/Anna Meier/.ssh/id_ed25519"]
    assert words(found["UserKnownHostsFile"]) == ["~/.ssh/hangar-local.known_hosts"]
    assert words(found["LocalForward"]) == ["127.0.0.1:8081", "127.0.0.1:8080"]
    assert found["User"] == "anna"
    assert found["StrictHostKeyChecking"] == "yes"


def test_what_windows_ssh_does_not_have_is_not_asked_of_it(server: Server) -> None:
    text = alias.windows_text(server, FORWARDS, ANNA)
    for word in ("Control", "Match", "exec", "'", "/dev/fd"):
        assert word not in text


def test_the_tunnel_is_googles_own_program_there(server: Server) -> None:
    """Windows' ssh starts it without a shell, so every word must arrive by Microsoft's rules"""
    relay = (
        "/opt/it's/python", "-I", "/opt/relay", "--project", "my-project", "--zone", "europe-west6-a",
        "--instance", "hangar-sandbox", "--port", "22", "--interface", "nic0",
    )  # fmt: skip
    gcloud = (
        "/usr/bin/gcloud", "compute", "start-iap-tunnel", "hangar-sandbox", "22", "--listen-on-stdin",
        "--project", "my-project", "--zone", "europe-west6-a", "--network-interface", "nic0",
        "--verbosity", "warning",
    )  # fmt: skip
    for argv in (relay, gcloud):
        found = settings(alias.windows_text(replace(server, proxy_command=argv), (), ANNA))
        assert microsoft_words(ssh_expand(found["ProxyCommand"])) == ["gcloud.cmd", *gcloud[1:]]


def test_hangars_relay_stands_in_for_it_where_a_checkout_is_named(server: Server) -> None:
    """With every word by the rules of Windows, and an endpoint of one's own, whichever program leads there from here"""
    folder = "C:\\Users\\Anna Meier\\100% hangar"
    ways = {
        means: iap.proxy_command(
            "my-project", "europe-west6-a", "hangar-sandbox", means=means, endpoint=endpoint
        )
        for means, endpoint in (("gcloud", None), ("relay", None), ("auto", "wss://tunnel.example.org"))
    }  # fmt: skip
    assert Path(ways["gcloud"][0]).name == "gcloud"
    for means, argv in ways.items():
        found = settings(alias.windows_text(replace(server, proxy_command=argv), (), ANNA, folder))
        arrived = microsoft_words(ssh_expand(found["ProxyCommand"]))
        assert arrived[:3] == [
            f"{folder}\\.venv\\Scripts\\python.exe", "-I", f"{folder}\\hangar\\cloud\\gcp\\relay",
        ]  # fmt: skip
        assert vars(_parser().parse_args(arrived[3:])) == {
            "project": "my-project", "zone": "europe-west6-a", "instance": "hangar-sandbox", "port": 22,
            "interface": "nic0", "endpoint": "wss://tunnel.example.org" if means == "auto" else ENDPOINT,
        }  # fmt: skip
    assert Path(alias.__file__).parents[2].joinpath(*alias.RELAY, "__main__.py").is_file()


@pytest.mark.parametrize("folder", ["/mnt/c/hangar", "hangar", "\\hangar"])
def test_a_checkout_is_named_as_windows_names_it(server: Server, folder: str) -> None:
    with pytest.raises(HangarError, match="is no folder as Windows names one"):
        alias.windows_text(
            replace(server, proxy_command=iap.proxy_command("p", "z-a", "vm")), (), ANNA, folder
        )


def test_an_endpoint_of_ones_own_has_no_way_there_by_gcloud(server: Server) -> None:
    argv = iap.proxy_command("p", "z-a", "vm", endpoint="wss://example.org")
    with pytest.raises(HangarError, match="has no way for Windows' ssh by gcloud") as refused:
        alias.windows_text(replace(server, proxy_command=argv), (), ANNA)
    assert "--relay CHECKOUT" in refused.value.resolution


@pytest.mark.parametrize("key", ['C:\\a"b', "C:\\a\nProxyCommand evil"])
def test_a_path_cannot_smuggle_in_a_setting(server: Server, key: str) -> None:
    with pytest.raises(HangarError, match="quotes or line breaks"):
        alias.windows_text(server, (), Login("anna", key))


def test_everything_lies_in_the_accounts_own_folder_and_goes_again(server: Server, tmp_path: Path) -> None:
    at = tmp_path / "windows"
    at.mkdir()
    (at / "config").write_bytes(b"Host a\r\n")
    assert include.write_windows(at, server, FORWARDS, ANNA)
    assert not include.write_windows(at, server, FORWARDS, ANNA)
    include.accept(include.proposal(at)[0], at)
    assert server.host_keys[0] in (at / "hangar-local.known_hosts").read_text()
    assert [path.name for path in (at / "config.d").iterdir()] == ["hangar-local"], (
        "ssh reads all that is there"
    )
    include.remove("local", at)
    assert [path.name for path in at.iterdir()] == ["config"]
    assert (at / "config").read_bytes() == b"Host a\r\n"
