#!/bin/bash
# What `up` is measured against: the same installs and starts on the same kind of machine by a plain shell script,
# without Ansible, hardening, checks, secrets kept apart or a second run in mind. It removes its machine at the end.
set -euo pipefail
cd "$(dirname "$0")/.."
python=.venv/bin/python
machine=hangar-molecule-bare

trap '$python -m hangar.cloud.local destroy bare > /dev/null' EXIT
$python -m hangar.cloud.local create bare > /dev/null
mkdir -p .hangar/molecule-bare/authorities
find /usr/local/share/ca-certificates -name '*.crt' -exec cp {} .hangar/molecule-bare/authorities/ \;
mkdir -p .hangar/molecule-bare/airbyte
cp -r services/airbyte_embedded/{requirements.lock,worker.lock,airbyte_embedded} .hangar/molecule-bare/airbyte/
find .hangar/molecule-bare/airbyte -name __pycache__ -prune -exec rm -rf {} +
tar -c -C roles/airflow/files requirements.lock dbt.lock dlt.lock -C ../../docker_host/files installer.lock \
    -C ../../../.hangar/molecule-bare authorities airbyte -C ../../pipelines/dags city_temperatures | docker exec -i $machine sh -c 'mkdir /root/bare && tar -x --no-same-owner -C /root/bare'

docker exec -i $machine bash -euo pipefail > .hangar/molecule-bare/bare.log 2>&1 <<'INNER' || { tail -n 30 .hangar/molecule-bare/bare.log >&2; exit 1; }
export DEBIAN_FRONTEND=noninteractive
cp /root/bare/authorities/*.crt /usr/local/share/ca-certificates/ 2> /dev/null || true
update-ca-certificates
apt-get update -q
apt-get install -yq --no-install-recommends acl ca-certificates curl dbus git less procps rsync systemd-timesyncd \
    unattended-upgrades vim-tiny xz-utils prometheus prometheus-alertmanager prometheus-node-exporter \
    aide cracklib-runtime debsums libpam-pwquality needrestart python3-pip-whl
ln -sf /dev/null /etc/systemd/system/docker.service
ln -sf /dev/null /etc/systemd/system/docker.socket
ln -sf /dev/null /etc/systemd/system/containerd.service
apt-get install -yq --no-install-recommends dbus-user-session docker-buildx docker-cli docker-compose docker.io \
    fuse-overlayfs iptables mmdebstrap rootlesskit slirp4netns uidmap

for account in airflow:2001:200000 airbyte:2002:300000; do
    IFS=: read -r name id ids <<< "$account"
    groupadd -g "$id" "$name"
    useradd -u "$id" -g "$id" -d "/srv/$name/home" -s /usr/sbin/nologin "$name"
    sed -i "/^$name:/d" /etc/subuid /etc/subgid
    echo "$name:$ids:65536" | tee -a /etc/subuid >> /etc/subgid
    install -d "/srv/$name"
    install -d -o "$name" -g "$name" "/srv/$name/home" "/srv/$name/docker"
done
cat > /etc/systemd/user/docker.service <<'UNIT'
[Unit]
ConditionUser=|airflow
ConditionUser=|airbyte
[Service]
Type=notify
NotifyAccess=all
Environment=PATH=/usr/bin:/usr/sbin:/bin:/sbin
ExecStart=/usr/share/docker.io/contrib/dockerd-rootless.sh --data-root=/srv/%u/docker
Delegate=yes
KillMode=mixed
[Install]
WantedBy=default.target
UNIT
systemctl --global enable docker.service
loginctl enable-linger airflow airbyte
as() { local id; id=$(id -u "$1"); runuser -u "$1" -- env HOME="/srv/$1/home" XDG_RUNTIME_DIR="/run/user/$id" DOCKER_HOST="unix:///run/user/$id/docker.sock" "${@:2}"; }
for name in airflow airbyte; do
    until [ -S "/run/user/$(id -u $name)/docker.sock" ]; do sleep 0.2; done
done

mkdir /etc/postgresql-common && echo 'create_main_cluster = false' > /etc/postgresql-common/createcluster.conf
apt-get install -yq --no-install-recommends postgresql-17
install -d -o postgres -g postgres /srv/warehouse
runuser -u postgres -- /usr/lib/postgresql/17/bin/initdb -D /srv/warehouse/17 > /dev/null
runuser -u postgres -- /usr/lib/postgresql/17/bin/pg_ctl -D /srv/warehouse/17 -w -l /srv/warehouse/log start > /dev/null
runuser -u postgres -- createdb warehouse

export SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt PIP_CERT=/etc/ssl/certs/ca-certificates.crt
PYTHONPATH="$(echo /usr/share/python-wheels/pip-*.whl)" python3 -m pip install -q --no-cache-dir --require-hashes \
    --root-user-action ignore --target /root/installer -r /root/bare/installer.lock
/root/installer/bin/uv venv -q --python /usr/bin/python3 /opt/tried
/root/installer/bin/uv pip install -q --no-cache --native-tls --require-hashes --no-deps --compile-bytecode \
    --python /opt/tried/bin/python -r /root/bare/requirements.lock

cd /root/bare
sed 's/trixie/bookworm/g' /etc/apt/sources.list.d/debian.sources > bookworm.sources
mmdebstrap --quiet --variant=minbase --include=ca-certificates,python3,python3-pip-whl,tini,tzdata \
    --aptopt='Acquire::Languages "none"' --dpkgopt=force-unsafe-io \
    --essential-hook='mkdir -p "$1/usr/local/share" && cp -r authorities "$1/usr/local/share/ca-certificates"' \
    bookworm - bookworm.sources | as airbyte docker import - bare/bookworm
install -d -o airbyte -g airbyte -m 2770 /srv/airbyte/data /srv/airbyte/clients
cp -r airbyte /srv/airbyte/stack
cp installer.lock /srv/airbyte/stack/
cd /srv/airbyte/stack
cat > Dockerfile <<'IMAGE'
FROM bare/bookworm
COPY *.lock /opt/airbyte/
RUN export SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt PIP_CERT=/etc/ssl/certs/ca-certificates.crt \
 && PYTHONPATH="$(echo /usr/share/python-wheels/pip-*.whl)" python3 -m pip install -q --no-cache-dir --require-hashes \
        --target /opt/airbyte/installer -r /opt/airbyte/installer.lock \
 && cd /opt/airbyte && mv requirements.lock service.lock && for name in service worker; do \
        installer/bin/uv venv -q --python /usr/bin/python3 $name \
     && installer/bin/uv pip install -q --no-cache --native-tls --require-hashes --no-deps --compile-bytecode \
            --python $name/bin/python -r $name.lock; done
ENV PATH=/opt/airbyte/service/bin:/opt/airbyte/installer/bin:/usr/bin:/bin PYTHONPATH=/opt/airbyte/program HOME=/tmp
USER 50000:0
ENTRYPOINT ["/usr/bin/tini", "--", "python3", "-m", "airbyte_embedded"]
IMAGE
as airbyte docker build -q -t bare/airbyte .
echo '{"clients": [{"id": "bench", "secret": "bench", "scope": "admin"}]}' > /srv/airbyte/clients/clients.json
as airbyte docker run -d --name airbyte -p 127.0.0.1:8000:8000 -v /srv/airbyte/data:/srv/airbyte/data \
    -v /srv/airbyte/clients:/run/clients:ro -v /srv/airbyte/stack:/opt/airbyte/program:ro bare/airbyte \
    --data=/srv/airbyte/data --clients=/run/clients/clients.json --worker-python=/opt/airbyte/worker/bin/python --host=0.0.0.0
until curl -s -f -o /dev/null -m 5 http://127.0.0.1:8000/api/public/v1/health; do sleep 0.5; done

cd /root/bare
mmdebstrap --quiet --variant=minbase --include=ca-certificates,python3,python3-pip-whl,tini,tzdata \
    --aptopt='Acquire::Languages "none"' --dpkgopt=force-unsafe-io \
    --essential-hook='mkdir -p "$1/usr/local/share" && cp -r authorities "$1/usr/local/share/ca-certificates"' \
    trixie - | as airflow docker import - bare/debian
install -d -o airflow -g airflow /srv/airflow/stack /srv/airflow/logs /srv/airflow/postgres
chmod 2770 /srv/airflow/logs /srv/airflow/postgres
cp -r *.lock city_temperatures /srv/airflow/stack/
cd /srv/airflow/stack
cat > Dockerfile <<'IMAGE'
FROM bare/debian AS postgres
RUN apt-get update -q && mkdir /etc/postgresql-common && echo 'create_main_cluster = false' > /etc/postgresql-common/createcluster.conf \
 && apt-get install -yq --no-install-recommends postgresql-17 && rm -rf /var/lib/apt/lists/*
ENV PATH=/usr/lib/postgresql/17/bin:/usr/bin:/bin
USER postgres:0
FROM bare/debian AS airflow
COPY *.lock /opt/airflow/
RUN export SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt PIP_CERT=/etc/ssl/certs/ca-certificates.crt \
 && PYTHONPATH="$(echo /usr/share/python-wheels/pip-*.whl)" python3 -m pip install -q --no-cache-dir --require-hashes \
        --target /tmp/installer -r /opt/airflow/installer.lock \
 && /tmp/installer/bin/uv venv -q --python /usr/bin/python3 /opt/airflow/venv \
 && /tmp/installer/bin/uv pip install -q --no-cache --native-tls --require-hashes --no-deps --compile-bytecode \
        --python /opt/airflow/venv/bin/python -r /opt/airflow/requirements.lock \
 && for tool in dbt dlt; do /tmp/installer/bin/uv venv -q --python /usr/bin/python3 /opt/$tool \
     && /tmp/installer/bin/uv pip install -q --no-cache --native-tls --require-hashes --no-deps --compile-bytecode \
            --python /opt/$tool/bin/python -r /opt/airflow/$tool.lock; done \
 && rm -rf /tmp/installer
RUN mkdir -p /opt/airflow/home && chmod 777 /opt/airflow/home
ENV PATH=/opt/airflow/venv/bin:/usr/bin:/bin AIRFLOW_HOME=/opt/airflow/home
USER 50000:0
ENTRYPOINT ["/usr/bin/tini", "--"]
IMAGE
as airflow docker build -q --target postgres -t bare/postgres .
as airflow docker build -q --target airflow -t bare/airflow .
secret() { head -c 32 /dev/urandom | base64 | tr '+/' '-_'; }
cat > compose.yaml <<COMPOSE
name: airflow
x-airflow: &airflow
  image: bare/airflow
  restart: on-failure
  environment:
    AIRFLOW__CORE__AUTH_MANAGER: airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager
    AIRFLOW__CORE__EXECUTION_API_SERVER_URL: http://api-server:8080/execution/
    AIRFLOW__CORE__FERNET_KEY: $(secret)
    AIRFLOW__CORE__LOAD_EXAMPLES: "False"
    AIRFLOW__CORE__DAGS_FOLDER: /opt/dags
    AIRFLOW__API__SECRET_KEY: $(secret)
    AIRFLOW__API_AUTH__JWT_SECRET: $(secret)$(secret)
    AIRFLOW__DATABASE__SQL_ALCHEMY_CONN: postgresql+psycopg2://airflow@postgres/airflow
  volumes: [/srv/airflow/stack/city_temperatures:/opt/dags:ro, /srv/airflow/logs:/opt/airflow/home/logs]
services:
  postgres:
    image: bare/postgres
    restart: on-failure
    volumes: [/srv/airflow/postgres:/data]
    command:
      - sh
      - -c
      - >-
        initdb -D /data/17 -U airflow --auth trust && echo 'host all all samenet trust' >> /data/17/pg_hba.conf
        && echo 'CREATE DATABASE airflow' | postgres --single -D /data/17 postgres
        && exec postgres -D /data/17 -c listen_addresses='*' -c unix_socket_directories=/tmp
  api-server: {<<: *airflow, command: airflow api-server, ports: ["127.0.0.1:8080:8080"]}
  scheduler: {<<: *airflow, command: airflow scheduler}
  dag-processor: {<<: *airflow, command: airflow dag-processor}
  triggerer: {<<: *airflow, command: airflow triggerer}
COMPOSE
as airflow docker compose up -d postgres
until as airflow docker compose exec -T postgres pg_isready -q -h /tmp -U airflow; do sleep 0.5; done
as airflow docker compose run --rm api-server sh -c \
    "airflow db migrate && airflow users create -u admin -p $(secret) -r Admin -f Platform -l Administrator -e admin@localhost"
as airflow docker compose up -d
until [ "$(curl -s -m 5 http://127.0.0.1:8080/api/v2/monitor/health | grep -o '"healthy"' | wc -l)" = 4 ]; do sleep 0.5; done
INNER
