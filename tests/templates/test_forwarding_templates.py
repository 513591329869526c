"""Where a copy of the journal goes. systemd-journal-upload sends nothing where a file is not named."""

from tests.templates.render import render, settings, value

ADDRESS = "https://logs.example.org:19532"
PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
FILE = "_forward/etc/systemd/journal-upload.conf.d/50-hangar.conf"
UNIT = "_forward/etc/systemd/system/systemd-journal-upload.service.d/50-hangar.conf"


def told(authority: str = "", certificate: str = "") -> dict[str, str]:
    text = render(
        "hardening_audit",
        FILE,
        hardening_audit_forward_to=ADDRESS,
        hardening_audit_forward_authority=authority,
        hardening_audit_forward_certificate=certificate,
    )
    return dict(settings(text))


def test_the_receiver_is_judged_by_what_the_machine_trusts_and_asked_for_nothing_more() -> None:
    assert told() == {
        "URL": ADDRESS,
        "TrustedCertificateFile": "/etc/ssl/certs/ca-certificates.crt",
        "ServerCertificateFile": "-",
        "ServerKeyFile": "-",
    }


def test_an_authority_that_is_named_is_the_only_one() -> None:
    assert told(authority=PEM)["TrustedCertificateFile"] == "/etc/hangar/forwarding/authority.pem"


def test_the_machine_shows_its_certificate_where_it_has_one() -> None:
    shown = told(certificate=PEM)
    assert shown["ServerCertificateFile"] == "/etc/hangar/forwarding/certificate.pem"
    assert shown["ServerKeyFile"] == "/srv/forwarding/secrets/key"
    unit = render("hardening_audit", UNIT, hardening_audit_forward_certificate=PEM)
    assert "SupplementaryGroups=hangar-forwarding" in unit
    assert "SupplementaryGroups" not in render("hardening_audit", UNIT)


def test_no_receiver_is_trusted_unseen() -> None:
    """`-` and `all` would switch the check of its certificate off."""
    for authority in ("", PEM):
        assert told(authority)["TrustedCertificateFile"].startswith("/etc/")


def test_sending_is_tried_for_ever() -> None:
    assert settings(render("hardening_audit", UNIT))["StartLimitIntervalSec"] == "0"


def test_only_what_was_given_is_written_and_the_rest_goes() -> None:
    given = value("hardening_audit", "__hardening_audit_forward_pems", hardening_audit_forward_authority=PEM)
    assert given == {"/etc/hangar/forwarding/authority.pem": {"content": PEM}}
    absent = value(
        "hardening_audit",
        "__hardening_audit_forward_given | difference(__hardening_audit_forward_pems) | list",
        hardening_audit_forward_authority=PEM,
    )
    assert absent == ["/etc/hangar/forwarding/certificate.pem"]
