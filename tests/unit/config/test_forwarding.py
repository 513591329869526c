from pathlib import Path

import pytest

from hangar import config, paths
from hangar.errors import ConfigError

CERTIFICATE = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
KEY = CERTIFICATE.replace("CERTIFICATE", "PRIVATE KEY")


def forwarding(repo: Path, files: dict[str, str], **settings: str) -> config.Config:
    for name, text in files.items():
        (paths.env_dir("local") / name).write_text(text)
    lines = "".join(f"  {name}: {value}\n" for name, value in settings.items())
    paths.platform_file("local").write_text(f"hardening:\n{lines}")
    return config.load("local")


def test_the_receiver_of_logs_and_who_signed_for_it_are_named(repo: Path) -> None:
    wanted = forwarding(
        repo,
        {"ca.pem": f"our authority\n{CERTIFICATE}", "us.pem": CERTIFICATE},
        forward_logs_to="https://logs.example.org",
        forward_authority="ca.pem",
        forward_certificate="us.pem",
    )
    assert wanted.hardening.forward_authority == paths.env_dir("local") / "ca.pem"
    assert wanted.hardening.forward_certificate == paths.env_dir("local") / "us.pem"


def test_what_cannot_be_forwarded_is_refused_all_at_once(repo: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        forwarding(
            repo,
            {"both.pem": CERTIFICATE + KEY, "text.pem": "hello"},
            forward_logs_to="https://logs.example.org",
            forward_authority="text.pem",
            forward_certificate="both.pem",
        )
    folder = paths.env_dir("local")
    assert [f"{problem}" for problem in caught.value.problems] == [
        f"hardening.forward_authority: {folder}/text.pem holds no PEM certificate; "
        "the path of a PEM file, from this file's folder or from ~, or null would be right",
        f"hardening.forward_certificate: {folder}/both.pem holds a private key, which belongs on the machine alone "
        "(docs/hardening.md); a file with the certificate alone would be right",
    ]


def test_an_authority_without_a_receiver_is_refused(repo: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        forwarding(repo, {"ca.pem": CERTIFICATE}, forward_authority="ca.pem")
    (problem,) = caught.value.problems
    assert f"{problem}" == (
        "hardening.forward_authority: means nothing without forward_logs_to; "
        "an address there, or null here would be right"
    )
