# The commands of this repository. `make help` lists them.
PYTHON ?= python3
BIN    := .venv/bin
PYTEST := $(BIN)/python -m pytest -q
UV     := $(BIN)/uv
SERVICE := services/airbyte_embedded

.DEFAULT_GOAL := help
.PHONY: help environment lint unit check cloud services dags molecule e2e test test-all bench standing lock outdated schema clean

help:                     ## list the commands
	@sed -n 's/^\([a-z0-9-]*\):.*##/\1\t/p' $(MAKEFILE_LIST) | expand -t 14

environment:              ## make .venv from the locks, development tools included
	@$(PYTHON) -m hangar.bootstrap --dev

lint: environment         ## ruff, mypy (the relay for Windows and macOS too, and the tests that run seldom), yamllint, ansible-lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	for system in win32 darwin; do $(BIN)/mypy --platform $$system --follow-imports silent hangar/cloud/gcp/relay hangar/ssh/proxy.py || exit; done
	$(BIN)/yamllint --strict .
	$(BIN)/ansible-lint --offline

unit: environment         ## what needs no machine: unit, templates, the house rules
	$(PYTEST) -n auto tests/unit tests/ansible tests/templates tests/repository tests/google -m 'not machine'

check: lint unit          ## two minutes: everything that needs no machine

cloud: environment        ## the driver for Google Cloud, against a stand-in for Google's APIs
	$(PYTEST) -n auto tests/gcp

molecule: environment     ## each role by itself, on systemd containers
	$(BIN)/python -m tests.molecule $(SCENARIOS)

e2e: environment          ## what the README promises, from a clone: up, a DAG, attacks, destroy
	$(PYTEST) tests/engine tests/google/test_machine.py
	$(BIN)/python -m tests.e2e.beside

services: $(SERVICE)/.venv/made $(SERVICE)/.venv-worker/made  ## the embedded Airbyte, in environments from its own locks
	cd $(SERVICE) && .venv/bin/python -m pytest -q -m "not long"
	$(PYTEST) tests/unit/airbyte/test_embedded.py

dags: environment         ## the DAGs, on a real Airflow, Postgres, dbt and dlt
	@$(BIN)/python -m tests.pipelines.environment
	.venv-pipelines/airflow/bin/python -m pytest -q -p no:cacheprovider -n 2 --dist worksteal tests/pipelines

test: check cloud services dags molecule e2e  ## what the README promises; CI runs this

test-all: test            ## the long matrices as well: kills, interruptions, a virtual machine
	$(BIN)/python -m tests.molecule vm default airflow airbyte airbyte_abctl ops_agent secret_manager
	$(PYTEST) tests/matrix
	cd $(SERVICE) && .venv/bin/python -m pytest -q -m long

$(SERVICE)/.venv/made: $(SERVICE)/requirements-dev.lock | environment
	$(UV) venv -q --clear --python '>=3.11,<3.13' $(SERVICE)/.venv
	$(UV) pip install -q --require-hashes --only-binary :all: --python $(SERVICE)/.venv/bin/python -r $<
	@touch $@

$(SERVICE)/.venv-worker/made: $(SERVICE)/worker.lock | environment
	$(UV) venv -q --clear --python '>=3.11,<3.13' $(SERVICE)/.venv-worker
	$(UV) pip install -q --require-hashes --only-binary :all: --compile-bytecode --python $(SERVICE)/.venv-worker/bin/python -r $<
	@touch $@

bench: environment $(SERVICE)/.venv/made $(SERVICE)/.venv-worker/made  ## the figures, as ratios taken in one run
	cd $(SERVICE) && PATH="$(CURDIR)/$(BIN):$$PATH" .venv/bin/python bench.py
	$(BIN)/python -m bench

standing: environment     ## the figures of elt and of a second playbook, on the machine that this checkout's `up` made
	$(BIN)/python -m bench.standing

lock:                     ## resolve the locks again (needs uv)
	uv pip compile -q --universal --generate-hashes --no-emit-index-url --no-header pyproject.toml -o requirements.lock
	uv pip compile -q --universal --generate-hashes --no-emit-index-url --no-header pyproject.toml --group dev -c requirements.lock -o requirements-dev.lock
	for wanted in roles/airflow/files/requirements roles/docker_host/files/installer roles/remote_ssh/files/debugger; do uv pip compile -q --python-version 3.13 --python-platform linux --generate-hashes --no-emit-index-url --no-header \
		$$wanted.in -o $$wanted.lock; done
	for name in dbt dlt; do uv pip compile -q --universal --python-version 3.11 --only-binary :all: --generate-hashes --no-emit-index-url --no-header \
		roles/airflow/files/$$name.in -o roles/airflow/files/$$name.lock; done
	services/airbyte_embedded/lock.sh
	uv pip compile -q --universal --python-version 3.11 --only-binary :all: --generate-hashes --no-emit-index-url --no-header \
		tests/pipelines/requirements.in -o tests/pipelines/requirements.lock

outdated: environment     ## list what is newer than what is pinned, and what has a known vulnerability
	$(BIN)/python -m hangar.outdated

schema: environment       ## write inventory/platform.schema.json again
	$(BIN)/python -m hangar.config

clean:                    ## remove what make and Python left behind (machines stay)
	rm -rf .venv .venv-pipelines services/*/.venv* .mypy_cache .ruff_cache .pytest_cache .ansible
	find . -name __pycache__ -prune -exec rm -rf {} +
