import json
import re

import pytest

UNITS = ("user@2001.service", "user@2002.service")


@pytest.fixture(scope="module")
def users(options):
    return options["docker_host_users"]


@pytest.fixture(scope="module")
def processes(host):
    """The uid of every process with its name and arguments."""
    lines = host.check_output("ps -eo uid=,comm=,args=").splitlines()
    return [line.split(None, 2) for line in lines]


def as_service(host, user, command):
    return host.run(f"as-service {user} {command}")


def test_each_service_user_has_a_docker_daemon_of_its_own(host, users):
    for user in users:
        asked = as_service(host, user["name"], "docker info --format '{{json .}}'")
        info = json.loads(asked.stdout)
        assert info["DockerRootDir"] == f"/srv/{user['name']}/docker"
        assert "name=rootless" in info["SecurityOptions"]


def test_no_docker_daemon_runs_as_root(processes):
    uids = {int(uid) for uid, name, *_ in processes if name in ("dockerd", "containerd", "rootlesskit")}
    assert uids
    assert 0 not in uids


def test_the_docker_daemon_of_root_cannot_be_started(host):
    shown = host.check_output(
        "systemctl show --property LoadState --value docker.service docker.socket containerd.service"
    )
    assert shown.split() == ["masked"] * 3
    assert host.run("systemctl start docker.service").rc != 0
    assert not host.file("/var/run/docker.sock").exists


def test_nobody_is_in_the_group_docker(host):
    entry = host.check_output("getent group docker")
    gid, members = entry.split(":")[2:]
    assert members == ""
    assert not [line for line in host.check_output("getent passwd").splitlines() if line.split(":")[3] == gid]


def test_a_service_user_cannot_talk_to_the_docker_of_another(host, users):
    for user in users:
        for other in users:
            socket = f"unix:///run/user/{other['uid']}/docker.sock"
            asked = host.run(
                f"runuser -u {user['name']} -- docker --host {socket} version --format '{{{{.Server.Version}}}}'"
            )
            assert (asked.rc == 0) == (user == other), f"{user['name']} asks {other['name']}'s Docker"


def test_people_cannot_talk_to_the_docker_of_a_service(host, users):
    for user in users:
        socket = f"unix:///run/user/{user['uid']}/docker.sock"
        assert host.run(f"runuser -u nobody -- docker --host {socket} version").rc != 0


def test_a_containers_root_is_a_service_user_on_the_machine(host, users):
    """What runs in containers runs as the service user or one of its sub-ids, never as the machine's root"""
    for user in users:
        daemon = host.check_output(f"pgrep --uid {user['uid']} --exact dockerd")
        inside, outside, _ = host.check_output(f"head -1 /proc/{daemon}/uid_map").split()
        assert (inside, outside) == ("0", str(user["uid"]))
        ranges = host.check_output(f"tail -n +2 /proc/{daemon}/uid_map").split()
        assert ranges == ["1", str(user["subids"]), "65536"]


def test_a_container_cannot_use_a_setuid_program_to_become_root(host, users):
    for user in users:
        assert (
            "no-new-privileges"
            in as_service(host, user["name"], "docker info --format '{{.SecurityOptions}}'").stdout
        )


@pytest.fixture(scope="module")
def containers(host, users):
    """The settings of every container that runs to stay, by its name: one that goes with its command is an errand of
    root's or of another test's.
    """
    ask = "docker ps --quiet | xargs --no-run-if-empty docker inspect"
    told = [as_service(host, user["name"], f"sh -c '{ask}'").stdout or "[]" for user in users]
    settings = {one["Name"]: one["HostConfig"] for text in told for one in json.loads(text)}
    found = {name: one for name, one in settings.items() if not one["AutoRemove"]}
    if not found:
        pytest.skip("no container runs on this machine")
    return found


def test_containers_are_confined(containers):
    """Containers have no capabilities, write no file of their system, and are never in the machine's own network"""
    for name, settings in containers.items():
        assert not settings["Privileged"], name
        assert settings["CapDrop"] == ["ALL"], name
        assert not settings["CapAdd"], name
        assert settings["ReadonlyRootfs"], name
        assert "no-new-privileges:true" in settings["SecurityOpt"], name
        assert "host" not in (settings["NetworkMode"], settings["PidMode"], settings["IpcMode"]), name
        assert not settings["Devices"], name


@pytest.mark.vm
def test_containers_have_bounded_memory_and_processes(containers):
    for name, settings in containers.items():
        assert settings["Memory"] > 0, name
        assert settings["PidsLimit"] > 0, name


@pytest.fixture(scope="module")
def in_a_container(host, users):
    """Runs a script in a container of its own, from an image that is there, within 64 MiB and 16 processes."""
    for user in users:
        images = as_service(host, user["name"], "docker images --quiet").stdout.split()
        if images:
            break
    else:
        pytest.skip("no image on this machine to start a container from")
    bounds = "--memory 64m --memory-swap 64m --pids-limit 16 --network none --read-only --cap-drop ALL"

    def run(script):
        started = f"docker run --rm --pull never {bounds} --entrypoint /bin/sh {images[0]} -c '{script}'"
        return as_service(host, user["name"], started)

    return run


@pytest.mark.vm
def test_a_container_that_wants_more_memory_than_it_may_have_is_ended(in_a_container):
    wants = "head -c {0}000000 /dev/zero | tail -c {0}000000 | wc -c"
    assert in_a_container(wants.format(8)).stdout.strip() == "8000000"
    told = in_a_container(wants.format(160))
    assert told.stdout.strip() in ("", "0"), "it had 160 MB within 64 MiB"


@pytest.mark.vm
def test_a_container_starts_no_more_processes_than_it_may(in_a_container):
    starts = "i=0; while [ $i -lt {} ]; do sleep 20 & i=$((i+1)); done; echo all of them"
    assert in_a_container(starts.format(8)).stdout.strip() == "all of them"
    told = in_a_container(starts.format(40))
    assert told.stdout.strip() == ""
    assert "fork" in told.stderr


def test_the_logs_of_containers_are_bounded(host, options):
    settings = json.loads(host.file("/etc/docker/rootless.json").content_string)
    assert settings["log-driver"] in ("local", "json-file")
    assert settings["log-opts"] == {
        "max-size": options["docker_host_log_size"],
        "max-file": str(options["docker_host_log_files"]),
    }


def test_a_daemons_settings_and_unit_are_roots(host, users):
    """A service user cannot write the files of its daemon's settings and unit"""
    for path in (
        "/etc/docker/rootless.json",
        "/etc/systemd/user/docker.service",
        "/usr/local/sbin/as-service",
    ):
        for user in users:
            assert host.run(f"runuser -u {user['name']} -- test -w {path}").rc != 0
        assert host.file(path).user == "root"


def next_time(host, user, timer):
    """Whether a service user's timer waits for its next time; while it works it knows none."""
    shown = as_service(
        host, user, f"systemctl --user show {timer} --property ActiveState,SubState,NextElapseUSecRealtime"
    )
    assert "ActiveState=active" in shown.stdout
    return re.search(r"NextElapseUSecRealtime=\S+|SubState=running", shown.stdout)


def test_what_docker_no_longer_uses_is_removed_regularly(host, users):
    assert all(next_time(host, user["name"], "docker-prune.timer") for user in users)


def test_what_docker_could_not_start_is_started_within_a_minute_or_two(host, users):
    """A container that Docker could not start, for want of room say, is started again within a minute or two"""
    for user in users:
        # It strikes each minute and knows no next time while it works.
        asked = as_service(host, user["name"], "systemctl --user is-active docker-again.timer")
        assert asked.stdout == "active\n"


def test_what_is_in_the_images_is_looked_over_for_security_updates_every_day(host, users):
    assert all(next_time(host, user["name"], "image-updates.timer") for user in users)


def test_a_daemon_comes_back_at_boot(host, users):
    """The daemons come back at boot, before anybody logs in"""
    for user in users:
        assert host.file(f"/var/lib/systemd/linger/{user['name']}").exists
        assert (
            as_service(host, user["name"], "systemctl --user is-enabled docker.service").stdout.strip()
            == "enabled"
        )
    assert (
        host.file("/etc/systemd/user/default.target.wants/docker.service").linked_to
        == "/etc/systemd/user/docker.service"
    )
