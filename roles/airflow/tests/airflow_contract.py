"""Programs that the contract of Airflow runs on the machine, so that no secret leaves it."""

# How the two programs below ask an API that begins at `base`: status and content.
ASK = """
import json, sys, urllib.error, urllib.request
def ask(path, body=None, token=None):
    data = json.dumps(body).encode() if body else None
    request = urllib.request.Request(base + path, data, {"Content-Type": "application/json"})
    if token:
        request.add_header("Authorization", "Bearer " + token)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, {}
"""

# Runs on the machine, so that no secret leaves it: argument 1 is a port; prints what each attempt came to.
ATTEMPTS = (
    ASK
    + """
base = f"http://127.0.0.1:{sys.argv[1]}"
password = open("/srv/airflow/secrets/admin_password").read()
login = lambda secret: ask("/auth/token", {"username": "admin", "password": secret})
status, answer = login(password)
token = answer.get("access_token")
print(json.dumps({
    "health": ask("/api/v2/monitor/health")[1],
    "anonymous": ask("/api/v2/dags")[0],
    "anonymous connections": ask("/api/v2/connections")[0],
    "forged": ask("/api/v2/dags", token="e30.e30.e30")[0],
    "wrong password": login("wrong")[0], "default password": login("airflow")[0], "admin": login("admin")[0],
    "generated password": status,
    "dags": ask("/api/v2/dags", token=token)[1],
    "import errors": ask("/api/v2/importErrors", token=token)[1],
    "version": ask("/api/v2/version")[1],
}))
"""
)

# Runs in the scheduler's container: over the network that DAGs have, with the connection that they find. Argument 1 are
# ports of the machine.
FROM_INSIDE = (
    ASK
    + """
import concurrent.futures, socket
ports = json.loads(sys.argv[1])
airbyte = json.load(open("/run/connections/connections.json")).get("airbyte_default")
base = airbyte and airbyte["host"]
def answers(port):
    try:
        socket.create_connection(("host.docker.internal", port), 15).close()
    except OSError:
        return False
    return True
def workspaces():
    who = {"client_id": airbyte["login"], "client_secret": airbyte["password"], "grant_type": "client_credentials"}
    token = ask("/applications/token", who)[1]["access_token"]
    return {"read": ask("/workspaces", token=token), "stranger": ask("/workspaces")[0],
            "change": ask("/workspaces", {"name": "contract"}, token)[0]}
with concurrent.futures.ThreadPoolExecutor(len(ports)) as pool:  # silence takes seconds
    reached = list(pool.map(answers, ports))
print(json.dumps({
    "reached": [port for port, is_so in zip(ports, reached) if is_so], "airbyte": airbyte and workspaces(),
}))
"""
)

# Prints the names of the secrets that stand in what COMMAND prints. The values stay on the machine.
# One that ends with an error may have printed a secret before: what it printed is looked at all the same.
LEAKS = """
set -eu
place=$(mktemp)
trap 'rm -f "$place"' EXIT
{ COMMAND; } > "$place" || true
test -s "$place" || echo nothing was read
for secret in /srv/airflow/secrets/*; do
    if grep --quiet --fixed-strings --file "$secret" "$place"; then echo "$secret"; fi
done
"""

# Compares what each container reads with what root keeps; of the secrets no more than that leaves the machine.
HANDED = """
set -eu -o pipefail
cd /run
for service in {services}; do
    as-service airflow docker exec airflow-$service-1 sh -euc '
        cd /run
        for file in secrets/* connections/*; do
            [ ! -e "$file" ] || echo "$file" $(stat --file-system --format %T "$file") $(sha256sum < "$file")
        done' < /dev/null | while read -r file kind sum dash; do
        kept=$(sha256sum < "/srv/airflow/$file")
        if [ "$kept" = "$sum  -" ]; then same=same; else same=other; fi
        echo "$service" "$file" "$kind" "$same"
    done
done
"""

# As with ATTEMPTS, nothing secret leaves the machine: who has an account, and in which role.
ACCOUNTS = """
set -eu
cd /
as-service airflow docker exec airflow-postgres-1 psql --host=/tmp --username=airflow \
    --tuples-only --no-align --command "select u.username || ' ' || r.name from ab_user u \
     join ab_user_role m on m.user_id = u.id join ab_role r on r.id = m.role_id where u.active"
echo ==
airflow-accounts look
echo ==
# Where nobody has an account there is no file.
stat -c '%n %U:%G %a' /srv/people/passwords/* 2>/dev/null || true
"""
