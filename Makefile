# Two commands are enough: `make run` and `make test`. `make help` lists the others.
# Variables pass through: AIVD_DATA, AIVD_VAR, AIVD_PORT, AIVD_NODE_PORT_BASE, SPLIT, FULL, ARGS.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
PY := .venv/bin/python
MANAGE := $(PY) manage.py
export PYTHONUNBUFFERED := 1
export SPLIT FULL

TYPED := scheduling finetune inspections aivd_web tools benchmarks tests scripts/dead_weight.py scripts/run_all.py

.DEFAULT_GOAL := help

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z][a-z-]*:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# --- use

.PHONY: setup
setup: ## packages and front end, without starting anything
	@$(PYTHON) scripts/setup.py

.PHONY: run
run: setup ## everything, until Ctrl+C
	@exec $(MANAGE) up $(ARGS)

.PHONY: up
up: setup ## everything, in the background; returns when it is ready
	@exec $(MANAGE) up --detach

.PHONY: down
down: ## stop what runs from this folder
	@exec $(MANAGE) down

.PHONY: demo
demo: setup ## inspect generated boards through the public API and print the verdict
	@exec $(MANAGE) up --then $(MANAGE) demo $(ARGS)

.PHONY: wheel
wheel: setup ## a wheel with the built front end in dist/, to be installed without a clone (docs/how-to/install.md)
	@$(PY) -m pip wheel --no-deps --quiet --wheel-dir dist .
	@rm -rf build *.egg-info
	@ls dist/aivd-*.whl

# --- check; each is "name:command", see scripts/run_all.py; how tests are shared out: tests/workers.py

LINT := \
    "ruff:$(PY) -m ruff check ." \
    "format:$(PY) -m ruff format --check ." \
    "import directions:.venv/bin/lint-imports" \
    "dead weight:$(PY) scripts/dead_weight.py" \
    "migrations:$(MANAGE) makemigrations --check --dry-run --settings=tests.no_database" \
    "front end:$(PY) scripts/npm.py run lint"
TYPES := \
    "mypy:$(PY) -m mypy $(TYPED)" \
    "tsc:$(PY) scripts/npm.py run typecheck"

.PHONY: test-setup
test-setup:
	@$(PYTHON) scripts/setup.py --tests

.PHONY: test
test: test-setup ## everything that must be green: style, types, TypeScript, Python, browser
	@$(PY) scripts/run_all.py $(TYPES) $(LINT) "TypeScript:$(PY) scripts/npm.py run test" \
	    -- "Python and browser:$(PY) -m pytest -n 2 $(ARGS)"

.PHONY: e2e
e2e: test-setup ## the browser tests alone
	@$(PY) -m pytest -m e2e $(ARGS)

.PHONY: lint
lint: test-setup ## style, import directions, dead weight, missing migrations
	@$(PY) scripts/run_all.py $(LINT)

.PHONY: types
types: test-setup ## mypy and tsc
	@$(PY) scripts/run_all.py $(TYPES)

.PHONY: test-api
test-api: test-setup ## every operation of the API called by schemathesis, as superuser, viewer and token
	@exec $(PY) -m benchmarks.api_schema $(ARGS)

# --- models

.PHONY: models
models: test-setup ## train the shipped detector and describer again
	@exec $(PY) -m finetune.training models $(ARGS)

.PHONY: models-check
models-check: test-setup ## measure the shipped weights again and compare with their metrics
	@exec $(PY) -m finetune.training check $(ARGS)

# --- measure; raw rows are kept in var/bench

.PHONY: bench-pipeline
bench-pipeline: test-setup ## frames per second and added latency of the whole pipeline
	@exec $(PY) -m benchmarks.pipeline $(ARGS)

.PHONY: bench-durable
bench-durable: test-setup ## boards through REST and stream while parts are killed
	@exec $(PY) -m benchmarks.durable $(ARGS)

.PHONY: chaos
chaos: test-setup ## hostile uploads, and parts that are stopped and killed: who stops whom
	@exec $(PY) -m benchmarks.chaos $(ARGS)

.PHONY: bench-detect
bench-detect: test-setup ## the detector on the real DeepPCB test boards (AIVD_DATA)
	@exec $(PY) -m benchmarks.detect $(ARGS)

.PHONY: bench-unknown
bench-unknown: test-setup ## steel and test patterns on a board station are held (AIVD_DATA)
	@exec $(PY) -m benchmarks.unknown $(ARGS)

.PHONY: bench-schedule
bench-schedule: test-setup ## policies against each other, simulated
	@exec $(PY) -m benchmarks.schedule $(ARGS)

.PHONY: bench-schedule-real
bench-schedule-real: test-setup ## policies against each other on six real nodes, while things go wrong
	@exec $(PY) -m benchmarks.schedule_real $(ARGS)

# --- keep

.PHONY: lock
lock: ## write requirements.lock from the environment
	@$(PY) scripts/lock.py > requirements.lock.new && mv requirements.lock.new requirements.lock

# --- generated files that are committed

.PHONY: openapi
openapi: test-setup ## write the API's schema and the TypeScript client made from it
	@$(MANAGE) spectacular --validate --fail-on-warn --file docs/openapi.yaml
	@$(PY) scripts/npm.py run api
