# Written by Hangar (role airbyte_abctl). Changes made here are lost at the next run.
"""The machine's loopback has the same name in the cluster's pods as in every other container here."""

import json

from hangar_abctl.machine import fail, kubectl, said

GATEWAY = "10.0.2.2"
"""The machine's loopback, seen from a rootless daemon's network (role docker_host)."""

NAME = "host.docker.internal"


def teach() -> None:
    """Let the cluster's DNS know the name; asked again, it changes nothing."""
    read = kubectl("--namespace", "kube-system", "get", "configmap", "coredns", "--output", "json")
    if read.returncode != 0:
        fail(f"The cluster's DNS cannot be read: {said(read)}")
    found = json.loads(read.stdout)
    taught = with_name(found["data"]["Corefile"])
    if taught == found["data"]["Corefile"]:
        return
    patch = json.dumps({"data": {"Corefile": taught}})
    done = kubectl(
        "--namespace", "kube-system", "patch", "configmap", "coredns", "--type", "merge", "--patch", patch
    )
    if done.returncode != 0:
        fail(f"The cluster's DNS was not taught {NAME}: {said(done)}")


def with_name(corefile: str) -> str:
    """The Corefile with our entry before its first `forward`."""
    if NAME in corefile:
        return corefile
    lines = corefile.splitlines()
    place = next((number for number, line in enumerate(lines) if line.split()[:1] == ["forward"]), None)
    if place is None:
        fail("The cluster's DNS has no line `forward`, so its file is not the one that Hangar knows")
        return corefile
    indent = lines[place][: len(lines[place]) - len(lines[place].lstrip())]
    entry = [f"{indent}hosts {{", f"{indent}    {GATEWAY} {NAME}", f"{indent}    fallthrough", f"{indent}}}"]
    return "\n".join([*lines[:place], *entry, *lines[place:]]) + "\n"
