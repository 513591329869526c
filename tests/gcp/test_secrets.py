"""Secret Manager: the machine reads exactly what is named, and a plan says so before anything is changed."""

from __future__ import annotations

import base64

import pytest
import yaml

from hangar import given, paths
from hangar.checks import google as doctor
from hangar.checks.finding import Finding
from hangar.cloud.gcp import policy, secrets
from hangar.errors import CloudError
from hangar.plan import Change
from tests.gcp.conftest import Environment

PROJECT = "hangar-test"
MACHINE = f"serviceAccount:hangar-production@{PROJECT}.iam.gserviceaccount.com"
ROLE = "roles/secretmanager.secretAccessor"
READ = "read by the machine"
WANTED = {
    "airflow": {
        "connections": {"erp": {"conn_type": "http", "password": {"secret": "erp"}}},
        "variables": {"token": {"secret": "token"}},
    },
    "monitoring": {"alerts": {"team": {"kind": "slack", "secret": "slack"}}},
    "secrets": {"source": "secret_manager"},
}
NAMES = ("erp", "slack", "token")


def resource(name: str) -> str:
    return f"projects/{PROJECT}/secrets/hangar-production-{name}"


def say(**changed: object) -> None:
    """Writes platform.yml: what the environment has, and what is asked for here."""
    path = paths.platform_file("production")
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | WANTED | changed))


def make(environment: Environment, *names: str, version: bool = True) -> None:
    rest = environment.cloud("secrets.source=machine").api.rest
    for name in names:
        asked = {"secretId": f"hangar-production-{name}"}
        rest.call(
            "POST",
            "secretmanager",
            f"v1/projects/{PROJECT}/secrets",
            {"replication": {"automatic": {}}},
            asked,
        )
        if version:
            body = {"payload": {"data": base64.b64encode(b"hunter2").decode()}}
            rest.call("POST", "secretmanager", f"v1/{resource(name)}:addVersion", body)


def readers(environment: Environment) -> dict[str, list[str]]:
    """Secret → who has the role on it; the project's own policy gives it to nobody."""
    found = environment.google.table("iamPolicies")
    assert ROLE not in {one["role"] for one in found[f"projects/{PROJECT}"]["bindings"]}
    return {
        path.rpartition("-")[2]: one["members"]
        for path, kept in found.items()
        for one in kept["bindings"]
        if one["role"] == ROLE
    }


def of_secrets(changes: tuple[Change, ...]) -> list[Change]:
    return [one for one in changes if one.resource.startswith(secrets.KIND)]


def test_the_plan_names_each_secret_and_up_gives_the_right_on_it_alone(environment: Environment) -> None:
    say()
    make(environment, *NAMES, "other")
    before = environment.calls()
    plan = environment.plan()
    assert of_secrets(plan.changes) == [
        Change(f"secret {resource(name)}", "update", "", ((READ, "no", "yes"),)) for name in NAMES
    ]
    assert environment.writes(before) == []
    environment.up()
    assert readers(environment) == {name: [MACHINE] for name in NAMES}
    assert not environment.plan().has_changes
    assert environment.plan().drift == ()


def test_no_value_is_read_here(environment: Environment) -> None:
    say()
    make(environment, *NAMES)
    environment.up()
    assert environment.google.journal("secretmanager.projects.secrets.versions.access") == []


def test_what_is_not_ready_is_said_before_anything_is_changed(environment: Environment) -> None:
    say()
    make(environment, "slack")
    make(environment, "token", version=False)
    before = environment.calls()
    with pytest.raises(CloudError) as refused:
        environment.up()
    assert refused.value.brief == "2 secrets are not ready in Secret Manager; nothing was changed."
    assert refused.value.details == (
        f"* erp: {resource('erp')} is not there, or has no version\n"
        f"* token: {resource('token')} is not there, or has no version"
    )
    create = f"gcloud secrets create hangar-production-erp --project {PROJECT} --data-file FILE\n"
    assert refused.value.resolution.startswith(create)
    assert refused.value.resolution.endswith("\nThen: ./provision.py up production")
    assert environment.writes(before) == []


def test_a_version_that_is_off_is_said_to_be(environment: Environment) -> None:
    say()
    make(environment, *NAMES)
    environment.cloud().api.rest.call("POST", "secretmanager", f"v1/{resource('erp')}/versions/1:disable", {})
    with pytest.raises(CloudError) as refused:
        environment.plan()
    assert refused.value.details == f"* erp: {resource('erp')}: version 1 is disabled"
    assert refused.value.resolution.startswith(
        f"gcloud secrets versions enable 1 --secret hangar-production-erp --project {PROJECT}\n"
    )


def test_one_version_may_be_meant_and_the_secret_called_otherwise(environment: Environment) -> None:
    say(secrets={"source": "secret_manager", "prefix": "", "named": {
        "erp": f"{resource('erp')}/versions/1", "slack": resource("slack"), "token": resource("token"),
    }})  # fmt: skip
    make(environment, *NAMES)
    environment.up()
    found = {one.name: (one.resource, one.version) for one in given.given(environment.settings())}
    assert found["erp"] == (resource("erp"), "1")
    say(secrets={"source": "secret_manager", "named": {"erp": f"{resource('erp')}/versions/7"}})
    with pytest.raises(CloudError) as refused:
        environment.plan()
    assert refused.value.details == f"* erp: {resource('erp')} has no version 7"


def test_who_may_not_look_is_told_the_permission_and_the_command(environment: Environment) -> None:
    say()
    make(environment, *NAMES)
    environment.google.deny("secretmanager.secrets.getIamPolicy")
    with pytest.raises(CloudError) as refused:
        environment.plan()
    first = refused.value.details.splitlines()
    assert first[0] == f"* erp: you may not look at {resource('erp')}"
    assert "secretmanager.secrets.getIamPolicy" in first[1]
    operator = f"serviceAccount:operator@{PROJECT}.iam.gserviceaccount.com"
    assert refused.value.resolution.startswith(
        f"gcloud secrets add-iam-policy-binding hangar-production-erp --project {PROJECT} "
        f"--member {operator} --role roles/secretmanager.admin\n"
    )


def test_who_may_not_give_the_right_is_told_what_to_ask_for(environment: Environment) -> None:
    say()
    make(environment, *NAMES)
    environment.google.deny("secretmanager.secrets.setIamPolicy")
    with pytest.raises(secrets.NotYours) as refused:
        environment.up()
    asked = (
        "Ask whoever may (secretmanager.secrets.setIamPolicy) for this, then run the same command again:\n"
    )
    commands = "\n".join(
        f"gcloud secrets add-iam-policy-binding hangar-production-{name} --project {PROJECT} --member {MACHINE} "
        f"--role {ROLE}"
        for name in NAMES
    )
    assert refused.value.resolution.startswith(
        asked + commands + "\nThen go on: ./provision.py up production"
    )


def test_a_right_that_somebody_else_gave_is_enough(environment: Environment) -> None:
    say(airflow={}, monitoring={})
    environment.up()
    make(environment, *NAMES)
    cloud = environment.cloud()
    for name in NAMES:
        secrets.ensure(cloud.api, cloud.names, resource(name), readable=True)
    environment.google.deny("secretmanager.secrets.setIamPolicy")
    say()
    environment.up()
    assert not environment.plan().has_changes


def test_what_is_no_longer_named_is_no_longer_readable(environment: Environment) -> None:
    say()
    make(environment, *NAMES)
    environment.up()
    say(monitoring={})
    plan = environment.plan()
    assert [one for one in plan.changes if one.action != "nothing"] == [
        Change(f"secret {resource('slack')}", "update", "", ((READ, "yes", "no"),))
    ]
    environment.up()
    assert readers(environment) == {"erp": [MACHINE], "token": [MACHINE]}
    say(secrets={"source": "machine"})
    environment.up()
    assert readers(environment) == {}
    assert not environment.plan().has_changes


def test_a_right_that_cannot_be_looked_at_is_told_and_not_forgotten(environment: Environment) -> None:
    """Whoever may, later, takes it back by their `up`; meanwhile it keeps nobody from theirs."""
    say()
    make(environment, *NAMES)
    environment.up()
    say(airflow={}, monitoring={})
    environment.google.deny("secretmanager.*")
    take = f"--project {PROJECT} --member {MACHINE} --role {ROLE}"
    told = tuple(
        f"secret {resource(name)}: the machine may still read it, and you may not look"
        f" (whoever may: gcloud secrets remove-iam-policy-binding hangar-production-{name} {take})"
        for name in NAMES
    )
    for _ in range(2):
        assert environment.plan().drift == told
        environment.up()
    assert not environment.plan().has_changes
    environment.google.deny()
    assert [one.fields for one in of_secrets(environment.plan().changes)] == [((READ, "yes", "no"),)] * 3
    environment.up()
    assert readers(environment) == {}
    plan = environment.plan()
    assert (plan.has_changes, plan.drift) == (False, ())


def test_a_right_that_a_hand_took_away_is_drift_and_comes_back(environment: Environment) -> None:
    say()
    make(environment, *NAMES)
    environment.up()
    cloud = environment.cloud()
    secrets.ensure(cloud.api, cloud.names, resource("erp"), readable=False)
    assert environment.plan().drift == (f"secret {resource('erp')}: {READ}: yes → no",)
    environment.up()
    assert readers(environment)["erp"] == [MACHINE]


def test_others_in_a_secrets_policy_stay(environment: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    say()
    make(environment, *NAMES)
    theirs = {"role": ROLE, "members": ["user:ada@example.org"]}
    cloud, read = environment.cloud(), secrets._policy
    path = f"v1/{resource('erp')}:setIamPolicy"

    def overtaken(api: object, place: str) -> policy.Policy:
        """Somebody writes it between our reading and our writing, once."""
        found = read(cloud.api, place)
        if place == resource("erp") and environment.writes():
            monkeypatch.setattr(secrets, "_policy", read)
            wanted = {**found, "bindings": [*found.get("bindings", ()), theirs]}
            cloud.api.rest.call("POST", "secretmanager", path, {"policy": wanted})
        return found

    monkeypatch.setattr(secrets, "_policy", overtaken)
    environment.up()
    assert sorted(readers(environment)["erp"]) == [MACHINE, "user:ada@example.org"]


def test_destroy_takes_the_rights_along_and_leaves_the_secrets(environment: Environment) -> None:
    say()
    make(environment, *NAMES)
    environment.up()
    cloud = environment.cloud()
    gone = f"the machine's right to read {resource('erp')} (the secret itself stays)"
    assert gone in cloud.removal(with_data=True).goes
    assert gone in cloud.destroy(environment.said.append, with_data=True)
    assert readers(environment) == {}
    assert set(environment.google.table("secrets")) == {resource(name) for name in NAMES}


def test_destroy_goes_on_where_somebody_else_decides_about_a_secret(environment: Environment) -> None:
    say()
    make(environment, *NAMES)
    environment.up()
    environment.google.deny("secretmanager.*")
    environment.cloud().destroy(environment.said.append, with_data=True)
    assert environment.google.resources("instances") == {}


def test_doctor_looks_at_the_secrets_and_their_api(environment: Environment) -> None:
    say()
    make(environment, *NAMES)
    found = {one.name: one for one in doctor.look(environment.settings())}
    assert (found["Secrets"].state, found["Secrets"].detail) == ("ok", "3 in Secret Manager")
    environment.google.disable("secretmanager.googleapis.com")
    found = {one.name: one for one in doctor.look(environment.settings())}
    assert (
        found["Google APIs"].cure
        == f"gcloud services enable secretmanager.googleapis.com --project {PROJECT}"
    )


def test_doctor_tests_the_rights_before_up_needs_them(environment: Environment) -> None:
    """`setIamPolicy` is the one that no look needs: without this it fails in `up` alone."""
    say()
    make(environment, *NAMES)

    def found() -> Finding:
        return next(one for one in doctor.look(environment.settings()) if one.name == "Secrets")

    environment.google.deny("secretmanager.secrets.setIamPolicy")
    right = "secretmanager.secrets.setIamPolicy"
    assert (found().state, found().detail) == (
        "missing", f"missing: {'; '.join(f'{right} on {resource(name)}' for name in NAMES)}",
    )  # fmt: skip
    bind = f"gcloud secrets add-iam-policy-binding hangar-production-erp --project {PROJECT} --member"
    me = f"serviceAccount:operator@{PROJECT}.iam.gserviceaccount.com"
    assert found().cure.splitlines()[:2] == [
        f"{bind} {me} --role roles/secretmanager.admin",
        f"or, after the first `up`, by whoever decides who reads it: {bind} {MACHINE} --role {ROLE}",
    ]
    environment.google.deny()
    environment.up()
    environment.google.deny("secretmanager.secrets.setIamPolicy")
    assert found().state == "ok", "what the machine reads already has to be given by nobody"


def test_doctor_tells_of_rights_and_of_secrets_that_are_not_there_at_once(environment: Environment) -> None:
    say()
    make(environment, "slack", "token")
    environment.google.deny("secretmanager.secrets.*")
    (found,) = [one for one in doctor.look(environment.settings()) if one.name == "Secrets"]
    assert f"erp: {resource('erp')} is not there, or has no version" in found.detail
    assert (
        "missing: secretmanager.secrets.getIamPolicy, secretmanager.secrets.setIamPolicy on"
        f" {resource('slack')}" in found.detail
    )
    assert f"gcloud secrets create hangar-production-erp --project {PROJECT}" in found.cure


def test_every_permission_that_is_used_on_a_secret_is_one_that_the_guide_names(
    environment: Environment,
) -> None:
    from hangar.cloud.gcp.permissions import FOR_SECRETS

    say()
    make(environment, *NAMES)
    before = environment.calls()
    environment.up()
    say(secrets={"source": "machine"})
    environment.up()
    used = {one for call in environment.google.journal(since=before) for one in call["permissions"]}
    assert {one for one in used if one.startswith("secretmanager.")} == set(FOR_SECRETS)
