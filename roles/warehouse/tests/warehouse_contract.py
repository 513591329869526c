"""What the contracts of the warehouse share: where it is, and how it is asked."""

DATA = "/srv/warehouse/postgres"
SECRETS = "/srv/warehouse/secrets"
PROGRAMS = "/usr/lib/postgresql/17/bin"
ROLES = ("airbyte", "dbt", "loader", "reader", "monitor")
GATEWAY = "10.0.2.2"
"""The machine's loopback, as a container of a rootless Docker sees it."""
DENIED = "ERROR:  permission denied for "

# Runs on the machine as root, so that no password leaves it. Takes [[role, password or null for its own, database,
# statement], …] on standard input; prints for each what came of it: its rows, or what Postgres said to it. What the
# same role asks is asked in one session.
SESSIONS = r"""
import json, subprocess, sys, tempfile
port, psql = sys.argv[1:]
job = json.load(sys.stdin)
told = [""] * len(job)
groups = {}
for number, (role, password, database, sql) in enumerate(job):
    groups.setdefault((role, password, database), []).append((number, sql))
for (role, password, database), asked in groups.items():
    if password is None:
        password = open("/srv/warehouse/secrets/" + role).read()
    with tempfile.NamedTemporaryFile("w") as kept:
        kept.write("*:*:*:*:" + password if password else "")
        kept.flush()
        environment = {"PATH": "/usr/bin", "PGPASSFILE": kept.name, "HOME": "/nonexistent", "PGCONNECT_TIMEOUT": "5"}
        done = subprocess.run(
            [psql, "-XAtqw", "-h", "127.0.0.1", "-p", port, "-U", role, "-d", database, "-f", "-"],
            input="".join(f"{sql};\n\\echo ====\n\\warn ====\nreset role;\n" for _, sql in asked),
            env=environment, capture_output=True, text=True)
    rows, said = done.stdout.split("====\n"), done.stderr.split("====\n")
    for place, (number, _) in enumerate(asked):
        if len(rows) <= len(asked):  # the session did not begin, or was ended
            told[number] = done.stderr.strip()
        else:
            wrong = [line for line in said[place].splitlines() if "ERROR:" in line or "FATAL:" in line]
            told[number] = wrong[0] if wrong else rows[place].strip()
print(json.dumps(told))
"""


def answers(port, address=GATEWAY):
    who = "--username monitor --dbname warehouse"
    return f"{PROGRAMS}/pg_isready --quiet --timeout 5 --host {address} --port {port} {who}"
