#!/bin/sh
# Resolve the locks again (needs uv): the service, its job processes, the tests, each connector.
set -eu
cd "$(dirname "$0")"
compile="uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header"
$compile pyproject.toml -o requirements.lock
$compile --group worker -o worker.lock
$compile pyproject.toml --group dev -c requirements.lock -o requirements-dev.lock
for wanted in airbyte_embedded/connectors/*.in; do
    $compile "$wanted" -o "${wanted%.in}.lock"
done
