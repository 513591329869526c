"""What the machine itself has to say about an editor on it: room, limits, rights, the way out."""

from hangar.checks.finding import Finding, ok

WATCHES = 100_000
"""Files that an editor wants to watch in a large folder; the role remote_ssh allows five times as many."""

ROOM = 2 * 10**9
"""Bytes in the home: a server takes 0.7 GB, and the next version comes before the last one goes."""

ABSENT = "000"
"""What curl says instead of a status when nobody answered."""

BEGIN = "hangar-doctor"
"""Alone on the script's first line; what comes before it, somebody's start-up files have printed."""

SCRIPT = rf"""
printf '\n{BEGIN}\n'
ask() {{ echo "out $1 $(curl -s -o /dev/null --max-time 3 -w '%{{http_code}}' "https://$1/" 2>/dev/null)"; }}
ask update.code.visualstudio.com & ask marketplace.visualstudio.com &
echo "room $(df -Pk "$HOME" | awk 'NR == 2 {{ print $4 }}') $HOME"
echo "share $(/usr/local/lib/hangar/homes mine 2>/dev/null)"
echo "watches $(cat /proc/sys/fs/inotify/max_user_watches)"
for folder in "${{TMPDIR:-/tmp}}" "$HOME"; do
    file=$(mktemp -p "$folder" 2>/dev/null) || {{ echo "write no $folder"; continue; }}
    printf '#!/bin/sh\necho yes\n' > "$file"; chmod 700 "$file"
    echo "run $("$file" 2>/dev/null || echo no) $folder"; rm -f "$file"
done
if test -d /srv/airflow/dags; then test -w /srv/airflow/dags && echo "dags yes" || echo "dags no"; fi
for name in bash tar curl git; do command -v "$name" >/dev/null || echo "lacks $name"; done
wait
"""
"""Answers in lines `what value …`, within 4 s."""


def findings(env: str, answer: str) -> list[Finding]:
    """The machine's answers, judged."""
    before, begun, after = f"\n{answer}".partition(f"\n{BEGIN}\n")
    # A connection that broke off leaves half a line.
    lines = [line.split() for line in after.split("\n")[:-1] if line.strip()]
    if not begun:
        return [
            Finding(
                "Shell", "missing", "the login works, but a command over it does not run",
                "Something in the account's start-up files (~/.bashrc) prints, waits or starts another shell.",
            )
        ]  # fmt: skip
    return [
        *_printed(before),
        _room(lines, env),
        _watches(lines, env),
        _runs(lines),
        *_dags(lines, env),
        _programs(lines, env),
        _out(lines),
    ]


def _printed(before: str) -> list[Finding]:
    """An editor reads what its commands answer, and start-up files speak in between."""
    words = "".join(char if char.isprintable() else " " for char in before).strip()
    if not words:
        return []
    return [
        Finding(
            "Shell", "warning", f'the account\'s start-up files print, also where a program listens: "{words[:40]}"',
            "Let them print for people only, in ~/.bashrc: case $- in *i*) echo Hello ;; esac",
        )
    ]  # fmt: skip


def _of(lines: list[list[str]], what: str) -> list[list[str]]:
    return [line[1:] for line in lines if line[0] == what]


def _room(lines: list[list[str]], env: str) -> Finding:
    """What the disk has left, or what the person's own share of it has, whichever is less."""
    kilobytes, *rest = (_of(lines, "room") or [[]])[0] or [""]
    if not kilobytes.isdecimal():  # then the first word is the home already
        place = " ".join([kilobytes, *rest]) or "the home"
        return Finding(
            "Disk", "missing", f"what is free in {place} cannot be told: it is not there, or its disk does not answer",
            f"./provision.py up {env} makes a home that is missing.",
        )  # fmt: skip
    place, left = " ".join(rest) or "the home", int(kilobytes) * 1024
    says = f"{left / 10**9:.1f} GB free in {place}"
    look = f"See what is there: ./provision.py ssh {env} 'du -sh ~/.vscode-server ~/.cache'"
    for used, bound, how in (line for line in _of(lines, "share") if len(line) == 3):
        says += f", yours are {int(used) / 10**9:.1f} of {int(bound) / 10**9:.1f} GB"
        if how == "held":
            left = min(left, int(bound) - int(used))
        elif int(used) > int(bound):
            return Finding(
                "Disk", "warning", f"{says}: more than your share, and the disk is everybody's", look
            )
    if left >= ROOM:
        return ok("Disk", says)
    return Finding("Disk", "missing", f"{says}: an editor's server needs 1 to 2 GB", look)


def _watches(lines: list[list[str]], env: str) -> Finding:
    name = "Watched files"
    count = int(next((words[0] for words in _of(lines, "watches") if words and words[0].isdecimal()), "0"))
    if count >= WATCHES:
        return ok(name, f"{count} at once")
    return Finding(
        name, "warning", f"{count} at once: in a large folder changes would go unnoticed",
        f"./provision.py up {env} raises it. A container has its computer's: "
        "echo fs.inotify.max_user_watches=524288 | sudo tee /etc/sysctl.d/60-inotify.conf && sudo sysctl --system",
    )  # fmt: skip


def _runs(lines: list[list[str]]) -> Finding:
    name = "Programs run"
    ill = [" ".join(folder) for answer, *folder in _of(lines, "run") if answer != "yes"]
    ill += [" ".join(folder) for _, *folder in _of(lines, "write")]
    if not ill:
        return ok(name, "from the home and from the temporary folder")
    return Finding(
        name, "missing", f"not from {' and '.join(ill)}: full, or mounted noexec; the editor's server cannot start",
        "Mount it without noexec, or set TMPDIR for people to a folder from which programs may run.",
    )  # fmt: skip


def _dags(lines: list[list[str]], env: str) -> list[Finding]:
    """Where the machine has a folder of live DAGs."""
    name = "DAG folder"
    return [
        ok(name, "/srv/airflow/dags can be written")
        if answer == "yes"
        else Finding(
            name, "warning", "/srv/airflow/dags is closed to you: you are not in the group dags, or logged in before",
            f"Ask for the role developer under people in platform.yml; then log in anew (ssh -O exit hangar-{env})",
        )
        for (answer,) in _of(lines, "dags")
    ]  # fmt: skip


def _programs(lines: list[list[str]], env: str) -> Finding:
    missing = [name for (name,) in _of(lines, "lacks")]
    if not missing:
        return ok("Programs", "bash, tar, curl and git are there")
    return Finding(
        "Programs", "missing", f"{', '.join(missing)}: not on the machine", f"./provision.py up {env}"
    )


def _out(lines: list[list[str]]) -> Finding:
    name = "Downloads"
    asked = dict(line for line in _of(lines, "out") if len(line) == 2)
    silent = [host for host, status in asked.items() if status == ABSENT]
    if asked and not silent:
        return ok(name, "the machine reaches VS Code's server and its marketplace")
    return Finding(
        name, "warning", f"the machine does not reach {' and '.join(silent) or 'the marketplace'}: VS Code cannot "
        "fetch its server or extensions there",
        "Let this computer bring them: \"remote.SSH.localServerDownload\": \"always\" in VS Code's settings; "
        "or name a proxy (remote_ssh_environment).",
    )  # fmt: skip
