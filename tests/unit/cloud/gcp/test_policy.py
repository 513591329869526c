"""The project's policy is other people's too: what of it is changed, and what never."""

from __future__ import annotations

from hangar.cloud.gcp.policy import roles_in, with_roles

EMAIL = "hangar-production@acme-data-1.iam.gserviceaccount.com"
MEMBER = f"serviceAccount:{EMAIL}"
CONDITION = {"title": "office hours", "expression": "request.time.getHours() < 18"}


def test_others_keep_their_roles_and_their_conditions() -> None:
    before = {
        "etag": "abc", "version": 3, "auditConfigs": [{"service": "allServices"}],
        "bindings": [
            {"role": "roles/owner", "members": ["user:ada@example.org"]},
            {"role": "roles/logging.logWriter", "members": ["user:bo@example.org"], "condition": CONDITION},
        ],
    }  # fmt: skip
    after = with_roles(before, EMAIL, ["roles/logging.logWriter"])
    assert after["bindings"] == [
        *before["bindings"],
        {"role": "roles/logging.logWriter", "members": [MEMBER]},
    ]  # type: ignore[misc]
    assert (after["etag"], after["auditConfigs"]) == ("abc", [{"service": "allServices"}])


def test_a_role_too_many_goes_also_under_a_condition() -> None:
    before = {
        "bindings": [
            {"role": "roles/editor", "members": [MEMBER, "user:ada@example.org"]},
            {"role": "roles/storage.admin", "members": [MEMBER], "condition": CONDITION},
            {"role": "roles/logging.logWriter", "members": [MEMBER]},
        ]
    }
    assert with_roles(before, EMAIL, ["roles/logging.logWriter"])["bindings"] == [
        {"role": "roles/editor", "members": ["user:ada@example.org"]},
        {"role": "roles/logging.logWriter", "members": [MEMBER]},
    ]
    assert roles_in(before, EMAIL) == ("roles/editor", "roles/logging.logWriter", "roles/storage.admin")
    assert roles_in(before, EMAIL, apart=True) == (
        "roles/editor", "roles/logging.logWriter", "roles/storage.admin under a condition",
    )  # fmt: skip


def test_what_is_left_of_a_deleted_account_of_the_name_goes() -> None:
    others = f"deleted:serviceAccount:other-{EMAIL}?uid=1"
    before = {"bindings": [{"role": "roles/x", "members": [f"deleted:{MEMBER}?uid=123", others]}]}
    assert with_roles(before, EMAIL, [])["bindings"] == [{"role": "roles/x", "members": [others]}]


def test_all_roles_can_be_taken_away() -> None:
    before = {"bindings": [{"role": "roles/x", "members": [MEMBER]}]}
    assert with_roles(before, EMAIL, [])["bindings"] == []
