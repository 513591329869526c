"""What the role backup refuses before it touches the machine."""

from __future__ import annotations

import pytest

from tests.templates.render import value

AGE = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"
SSH = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINdWUdEcqxzbB1S6s/aEw7p+mJOV0jNf3psGIn12u6RE"
SECRET = "AGE-SECRET-KEY-1QQ"


@pytest.mark.parametrize(
    ("named", "offered", "refused"),
    [
        ([AGE, f"{SSH} ana@laptop"], [], []),
        ([], [f"{SSH} backups of hangar-local"], []),
        ([AGE], [SSH], []),
        ([AGE, SECRET], [], [SECRET]),
        ([], [SECRET], [SECRET]),
    ],
)
def test_only_public_keys_are_encrypted_to(named: list[str], offered: list[str], refused: list[str]) -> None:
    found = value("backup", "__backup_refused", backup_recipients=named, backup_recipients_offered=offered)
    assert found == [f"backup_recipients: {key[:20]}… is no public key of age or SSH" for key in refused]
