"""A proxy command passes through ssh's tokens and a shell, or Windows' rules, and arrives as it was meant."""

from __future__ import annotations

import shlex
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from hangar.cloud.base import Server
from hangar.errors import HangarError
from hangar.ssh import alias, client_config, proxy

AWKWARD = [
    ("/usr/bin/python3", "-I", "/opt/hangar/relay", "--zone", "z-a"),
    ("/home/me/100% mine/.venv/bin/python", "/home/me/100% mine/relay", "%h", "%%p", "100%"),
    ("/opt/it's here/python", 'a "quoted" word', "$HOME", "`id`", "a\\b", "", "#no comment", "*", "~", "a;b&c|d"),
    ("C:\\Program Files\\Python\\python.exe", "C:\\a folder\\", 'say "hi"', "50%PATH%", "\\\\server\\share\\"),
]  # fmt: skip


def ssh_expand(text: str) -> str:
    """OpenSSH's percent_expand for ProxyCommand, where only a doubled % is a plain one."""
    result, rest = "", text
    while rest:
        before, percent, rest = rest.partition("%")
        result += before
        if percent:
            result += {"%": "%", "h": "HOST", "n": "NAME", "p": "PORT", "r": "USER", "k": "ALIAS"}[rest[0]]
            rest = rest[1:]
    return result


def microsoft_words(line: str) -> list[str]:
    """CommandLineToArgvW and the C library: 2n backslashes before a quote are n, 2n+1 are n and a plain quote."""
    words, word, quoted, begun, at = [], "", False, False, 0
    while at < len(line):
        slashes = len(line) - at - len(line[at:].lstrip("\\"))
        at += slashes
        char = line[at : at + 1]
        if char == '"':
            word += "\\" * (slashes // 2)
            begun = True
            if slashes % 2:
                word += '"'
            else:
                quoted = not quoted
        else:
            word += "\\" * slashes
            begun = begun or slashes > 0
            if char in (" ", "\t", "") and not quoted:
                if begun:
                    words.append(word)
                word, begun = "", False
            else:
                word, begun = word + char, True
        at += 1
    if begun:
        words.append(word)
    return words


@pytest.mark.parametrize("argv", AWKWARD)
def test_every_word_arrives_on_linux_and_macos(argv: tuple[str, ...], tmp_path: Path) -> None:
    """ssh gives the line to the user's shell after `exec`; the real one is asked."""
    expanded = ssh_expand(proxy.text(argv, windows=False))
    shown = subprocess.run(
        ["/bin/sh", "-c", "exec printf '%s\\0' " + expanded], capture_output=True, text=True, check=True
    ).stdout
    assert tuple(shown.split("\0")[:-1]) == argv
    assert proxy.words(proxy.text(argv, windows=False)) == argv


@pytest.mark.parametrize("argv", AWKWARD)
def test_every_word_arrives_on_windows(argv: tuple[str, ...]) -> None:
    """Windows' ssh starts the line as it is, without a shell."""
    assert tuple(microsoft_words(ssh_expand(proxy.text(argv, windows=True)))) == argv


def test_a_line_break_cannot_smuggle_in_a_setting() -> None:
    with pytest.raises(HangarError, match="cannot be written down for ssh"):
        proxy.text(["/a\nProxyCommand evil"])


@pytest.fixture
def tunnelled(server: Server, tmp_path: Path) -> tuple[Server, Path]:
    """A machine behind a program that notes its words in a file, in a folder with an awkward name."""
    folder = tmp_path / "50% of %h's files"
    folder.mkdir()
    program = folder / "the way"
    program.write_text(f"#!/bin/sh\nprintf '%s\\n' \"$@\" > {shlex.quote(str(folder / 'words'))}\n")
    program.chmod(0o755)
    return replace(server, proxy_command=(str(program), "--zone", "z a", "100%")), folder / "words"


def test_ssh_itself_starts_it_from_the_environments_configuration(
    tunnelled: tuple[Server, Path], tmp_path: Path
) -> None:
    server, words = tunnelled
    path = client_config.write(server, tmp_path / "id")
    done = subprocess.run(["ssh", "-F", str(path), server.name, "true"], capture_output=True)
    assert done.returncode == 255
    assert words.read_text() == "--zone\nz a\n100%\n"


def test_ssh_itself_starts_it_from_the_include_file(tunnelled: tuple[Server, Path], tmp_path: Path) -> None:
    server, words = tunnelled
    config = tmp_path / "config"
    config.write_text(alias.text(server, tmp_path / "id", (), None))
    subprocess.run(["ssh", "-F", str(config), server.name, "true"], capture_output=True)
    assert words.read_text() == "--zone\nz a\n100%\n"


def test_without_one_the_address_is_dialled(server: Server, tmp_path: Path) -> None:
    assert "ProxyCommand" not in client_config.render(server, tmp_path / "id")
