# Environments live in .venv, caches and throw-away state in .cache, packages in dist: nothing outside the
# checkout. `make` alone lists what can be made.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.SUFFIXES:
.DEFAULT_GOAL := help

PYTHON ?= python3
AIRFLOW ?= 3.3.2
AIRFLOWS := 2.11.2 3.0.6 3.3.2
# One environment per Airflow, and per further Python that is asked for by its version: PYTHON=python3.13.
VENV := .venv/airflow-$(AIRFLOW)$(patsubst python%,-py%,$(filter python3.%,$(notdir $(PYTHON))))
BIN := $(VENV)/bin
READY := $(VENV)/ready
# What stands on the path may be a shim of pyenv's for a version that is not switched on, which runs nothing.
INTERPRETER = $(or $(shell $(PYTHON) -c 'import sys; print(sys.executable)' 2>/dev/null),$\
  $(shell PYENV_VERSION=$$(pyenv latest $(patsubst python%,%,$(PYTHON))) pyenv which $(PYTHON) 2>/dev/null),$\
  $(error no $(PYTHON) here: name another by PYTHON=…))
TESTS ?= tests --ignore tests/browser
# Two for each processor: a third of the time, a test waits for a server or a clock.
WORKERS = $(shell $(BIN)/python -c 'import os; print(min(8, 2 * os.cpu_count()))')

UV_VERSION := 0.13.9
UV := $(or $(shell command -v uv),.venv/uv/bin/uv)
export UV_CACHE_DIR ?= $(CURDIR)/.cache/uv
export UV_PYTHON_DOWNLOADS := never
# Not /tmp: uv leaves locks behind there, and a test that is killed what it had.
export TMPDIR := $(CURDIR)/.cache/tmp
$(shell mkdir -p $(TMPDIR))
# Every start of Airflow would compile all of it again: half of its time, in dozens of processes.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help
help: ## list all targets
	@grep -hE '^[a-z][a-z-]*:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "make %-14s %s\n", $$1, $$2 }'
	@echo
	@echo "AIRFLOW=2.11.2 make test  …with another Airflow: $(AIRFLOWS)"

.PHONY: demo
demo: WAREHOUSE := duckdb
demo: $(READY) ## sync 1,000 simulated agents into DuckDB, or WAREHOUSE=mariadb, with Airflow; show the tables
	@$(BIN)/python -m scripts.demo $(WAREHOUSE)

.PHONY: ui
ui: $(READY) ## the same in Airflow's web interface, with PostgreSQL, until Ctrl-C
	@$(BIN)/python -m scripts.ui

.PHONY: interfaces
interfaces: $(READY) ## call each of the five interfaces once against the simulator, and show the replies
	@$(BIN)/python -m scripts.interfaces 2>/dev/null

.PHONY: test
test: $(READY) $(UV) ## run all tests except browser tests and long tests; TESTS="…" chooses some
	$(servers)
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadscope --no-loadscope-reorder $(TESTS)

.PHONY: test-hard
test-hard: $(READY) $(UV) ## run the long tests; HARD="…" chooses some
	$(servers)
	HYPOTHESIS_PROFILE=long $(BIN)/python -m pytest --timeout 3600 $(or $(HARD),tests/hard tests/system/hard tests/hostile \
	  tests/transfers/test_all_or_nothing.py tests/transfers/test_resume.py tests/transfers/test_stopping.py)

# Where what is about each database is tested, and Snowflake's own.
ON_SNOWFLAKE := tests/sync/test_rules.py tests/sync/test_snowflake.py tests/transfers/test_columns.py \
  tests/transfers/test_concurrent_runs.py tests/transfers/test_history.py tests/transfers/test_tables.py \
  tests/sensors/test_freshness_sensor.py tests/sync/test_views.py tests/docs/test_queries.py

.PHONY: test-cluster
test-cluster: .venv/cluster/ready ## run a sync on Celery with three workers, one of which is killed; ACCOUNTS=200000 for more
	@if [ "$$(id -u)" = 0 ] && [ -z "$$(command -v redis-server)" ] && [ -n "$$(command -v apt-get)" ]; then \
	  apt-get update -qq; DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends redis-server; \
	fi
	ACCOUNTS=$(or $(ACCOUNTS),20000) .venv/cluster/bin/python -m pytest --verbose tests/cluster

.PHONY: test-snowflake
test-snowflake: .venv/snowflake/ready ## run the database tests with Snowflake's client, against fakesnow
	@echo "Of $(ON_SNOWFLAKE), what is about each database:"
	WAREHOUSE=snowflake .venv/snowflake/bin/python -m pytest --verbose --numprocesses auto --dist loadscope --no-loadscope-reorder $(ON_SNOWFLAKE)

.PHONY: test-dbt
test-dbt: $(READY) .venv/dbt/ready ## run the dbt package on tables that a sync wrote
	$(BIN)/python -m pytest --numprocesses 2 tests/dbt

.PHONY: test-browser
test-browser: $(READY) $(UV) ## run the tests of Airflow's web interface; they need Chromium
	$(BIN)/python -m pytest tests/browser

.PHONY: test-databases
test-databases: $(READY) $(UV) ## run the sync's tests on each database, and write docs/sync.md; ONLY="…" chooses some
	$(servers)
	$(BIN)/python -m scripts.databases $(ONLY)

.PHONY: test-matrix
test-matrix: ## run all tests on every Airflow and Python, and write docs/versions.md; ONLY="…" chooses some
	@$(INTERPRETER) -m scripts.matrix $(ONLY)

.PHONY: bench
bench: .venv/bench/ready ## measure side by side with a bare client, and write docs/benchmarks.md; SUITES="…" chooses some
	.venv/bench/bin/python -m benchmarks $(SUITES)

.PHONY: venv
venv: $(READY) ## set up the environment that the other targets use

.PHONY: lint
lint: $(READY) ## check style, words and import directions
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/codespell --dictionary - --dictionary scripts/words.txt
	$(BIN)/lint-imports --no-logo --cache-dir .cache/import-linter

.PHONY: format
format: $(READY) ## format the code
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

.PHONY: types
types: $(READY) ## check types
	$(BIN)/mypy

.PHONY: docs
docs: .venv/docs/ready ## build the documentation site into .cache/site/html, in strict mode
	@.venv/docs/bin/python -m scripts.site

.PHONY: docs-serve
docs-serve: .venv/docs/ready ## serve the site at http://127.0.0.1:8000 and reload changes, until Ctrl-C
	@.venv/docs/bin/python -m scripts.site serve

.PHONY: build
build: $(UV) ## build the wheel and the source archive into dist/
	rm -rf dist
	$(UV) build --quiet --python $(INTERPRETER) --build-constraints requirements/release.txt --out-dir dist
	@ls dist

.PHONY: release-check
release-check: build .venv/release/ready ## build the packages, and check them as an index and an installer would
	.venv/release/bin/twine check --strict dist/*
	.venv/release/bin/check-wheel-contents dist/*.whl
	.venv/release/bin/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml

.PHONY: audit
audit: .venv/audit/ready ## compare the pinned requirements with published vulnerabilities; needs internet access
	.venv/audit/bin/pip-audit --strict --disable-pip --no-deps --progress-spinner off \
	  $(patsubst %,--requirement %,$(wildcard requirements/*.txt))

.PHONY: tag-check
tag-check: ## check that TAG=v1.2.3 names this version, and that the changelog has it with its date
	@$(INTERPRETER) -m scripts.tag $(TAG)

.PHONY: screenshots
screenshots: $(READY) ## update the pictures in the documentation; needs Chromium
	@$(BIN)/python -m scripts.screenshots

.PHONY: requirements
requirements: $(UV) ## update the pinned requirements of every Airflow version
	for version in $(AIRFLOWS); do \
	  more=; [ $$version != 3.3.2 ] || more="--group lint --group browser"; \
	  $(UV) pip compile --quiet --upgrade --universal --python-version 3.11 \
	    --no-header --no-annotate --no-emit-index-url --extra duckdb --extra mysql --extra postgres --group test $$more \
	    --constraints requirements/airflow-$$version.in --output-file requirements/airflow-$$version.txt \
	    pyproject.toml; \
	done
	$(UV) pip compile --quiet --upgrade --universal --python-version 3.11 \
	  --no-header --no-annotate --no-emit-index-url --extra duckdb --extra mysql --extra postgres --group test --group bench \
	  --constraints requirements/airflow-3.3.2.txt --output-file requirements/bench.txt pyproject.toml
	$(UV) pip compile --quiet --upgrade --universal --python-version 3.11 \
	  --no-header --no-annotate --no-emit-index-url --extra duckdb --extra postgres --group cluster \
	  --constraints requirements/airflow-3.3.2.txt --output-file requirements/cluster.txt pyproject.toml
	$(UV) pip compile --quiet --upgrade --universal --python-version 3.11 \
	  --no-header --no-annotate --no-emit-index-url --extra snowflake --group snowflake \
	  --constraints requirements/airflow-3.3.2.in --output-file requirements/snowflake.txt pyproject.toml
	$(UV) pip compile --quiet --upgrade --universal --python-version 3.11 \
	  --no-header --no-annotate --no-emit-index-url --group release --output-file requirements/release.txt
	$(UV) pip compile --quiet --upgrade --universal --python-version 3.11 \
	  --no-header --no-annotate --no-emit-index-url --group docs --output-file requirements/docs.txt
	$(UV) pip compile --quiet --upgrade --universal --python-version 3.11 \
	  --no-header --no-annotate --no-emit-index-url --group audit --output-file requirements/audit.txt
	$(UV) pip compile --quiet --upgrade --universal --python-version 3.11 \
	  --no-header --no-annotate --no-emit-index-url --group dbt --output-file requirements/dbt.txt

.PHONY: ci
ci: ## run everything that a change must pass
	.ci/run

.PHONY: clean
clean: ## remove environments, caches, the demo's files and packages
	rm -rf .venv .cache dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# MariaDB, which is in no package of Python's; without root, the tests say how to get it.
define servers
	@if [ "$$(id -u)" = 0 ] && [ ! -x /usr/sbin/mariadbd ] && [ -n "$$(command -v apt-get)" ]; then \
	  apt-get update -qq; \
	  DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends mariadb-server-core; \
	fi
endef

# An environment is renewed when its pins or the project's metadata change.
.venv/%/ready: requirements/%.txt pyproject.toml | $(UV)
	$(environment)
.venv/airflow-$(AIRFLOW)-py%/ready: requirements/airflow-$(AIRFLOW).txt pyproject.toml | $(UV)
	$(environment)

define environment
	@echo "Setting up $(@D) (a first time takes up to a few minutes) …"
	@[ -x $(@D)/bin/python ] || $(UV) venv --quiet --python $(INTERPRETER) $(@D)
	@VIRTUAL_ENV=$(@D) $(UV) pip sync --quiet $<
	@VIRTUAL_ENV=$(@D) $(UV) pip install --quiet --no-deps --editable .
	@touch $@
endef

.venv/uv/bin/uv:
	@echo "Bringing uv along …"
	@$(INTERPRETER) -m venv .venv/uv
	@.venv/uv/bin/python -m pip install --quiet --no-cache-dir --disable-pip-version-check uv==$(UV_VERSION)
