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
VENV := .venv/airflow-$(AIRFLOW)
BIN := $(VENV)/bin
READY := $(VENV)/ready

UV_VERSION := 0.13.9
UV := $(or $(shell command -v uv),.venv/uv/bin/uv)
export UV_CACHE_DIR ?= $(CURDIR)/.cache/uv
export UV_PYTHON_DOWNLOADS := never
# Not /tmp: uv leaves locks behind there, and a task that is killed its spool.
export TMPDIR := $(CURDIR)/.cache/tmp
$(shell mkdir -p $(TMPDIR))

.PHONY: help
help: ## list what can be made
	@grep -hE '^[a-z][a-z-]*:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "make %-14s %s\n", $$1, $$2 }'
	@echo
	@echo "AIRFLOW=2.11.2 make test  …with another Airflow: $(AIRFLOWS)"

.PHONY: demo
demo: $(READY) ## sync 1,000 simulated agents into a DuckDB file with Airflow, and show the tables
	@$(BIN)/python -m scripts.demo

.PHONY: ui
ui: $(READY) ## the same in Airflow's web interface, with PostgreSQL, until Ctrl-C
	@$(BIN)/python -m scripts.ui

.PHONY: interfaces
interfaces: $(READY) ## call each of the five interfaces once against the simulator, and show what comes back
	@$(BIN)/python -m scripts.interfaces 2>/dev/null

.PHONY: test
test: $(READY) $(UV) ## run all tests; TESTS="…" chooses some
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 8 --dist worksteal $(TESTS)

.PHONY: test-hard
test-hard: $(READY) $(UV) ## run the tests that take long; HARD="…" chooses some
	$(BIN)/python -m pytest --timeout 3600 $(or $(HARD),tests/hard)

.PHONY: bench
bench: .venv/bench/ready ## measure beside a bare client and write docs/benchmarks.md; SUITES="…" chooses some
	.venv/bench/bin/python -m benchmarks $(SUITES)

.PHONY: venv
venv: $(READY) ## set up the environment that the other targets use

.PHONY: lint
lint: $(READY) ## check style, and that imports point downwards
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports --no-logo --cache-dir .cache/import-linter

.PHONY: format
format: $(READY) ## put the source into the form that lint checks
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

.PHONY: types
types: $(READY) ## check types
	$(BIN)/mypy

.PHONY: build
build: $(UV) ## build the wheel and the source archive into dist/
	rm -rf dist
	$(UV) build --quiet --python $(PYTHON) --out-dir dist
	@ls dist

.PHONY: requirements
requirements: $(UV) ## renew the pinned requirements of every Airflow version
	for version in $(AIRFLOWS); do \
	  more=; [ $$version != 3.3.2 ] || more="--group lint --group browser"; \
	  $(UV) pip compile --quiet --upgrade --universal --python-version 3.11 \
	    --no-header --no-annotate --no-emit-index-url --extra duckdb --extra postgres --group test $$more \
	    --constraints requirements/airflow-$$version.in --output-file requirements/airflow-$$version.txt \
	    pyproject.toml; \
	done
	$(UV) pip compile --quiet --upgrade --universal --python-version 3.11 \
	  --no-header --no-annotate --no-emit-index-url --extra duckdb --extra postgres --group test --group bench \
	  --constraints requirements/airflow-3.3.2.txt --output-file requirements/bench.txt pyproject.toml

.PHONY: ci
ci: ## everything that a change must pass
	.ci/run

.PHONY: clean
clean: ## remove environments, caches, the demo's files and packages
	rm -rf .venv .cache dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# One environment per Airflow version, renewed when its pins or the project's metadata change.
.venv/airflow-%/ready: requirements/airflow-%.txt pyproject.toml | $(UV)
	@echo "Setting up Airflow $* in .venv/airflow-$* (a first time takes a few minutes) …"
	@[ -x .venv/airflow-$*/bin/python ] || $(UV) venv --quiet --python $(PYTHON) .venv/airflow-$*
	@VIRTUAL_ENV=.venv/airflow-$* $(UV) pip sync --quiet $<
	@VIRTUAL_ENV=.venv/airflow-$* $(UV) pip install --quiet --no-deps --editable .
	@touch $@

# Beside the tests' environment, for what it is compared with brings a great deal along.
.venv/bench/ready: requirements/bench.txt pyproject.toml | $(UV)
	@[ -x .venv/bench/bin/python ] || $(UV) venv --quiet --python $(PYTHON) .venv/bench
	@VIRTUAL_ENV=.venv/bench $(UV) pip sync --quiet $<
	@VIRTUAL_ENV=.venv/bench $(UV) pip install --quiet --no-deps --editable .
	@touch $@

.venv/uv/bin/uv:
	@echo "Bringing uv along …"
	@$(PYTHON) -m venv .venv/uv
	@.venv/uv/bin/python -m pip install --quiet --no-cache-dir --disable-pip-version-check uv==$(UV_VERSION)
