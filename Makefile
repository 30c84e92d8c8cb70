# `make` alone prints what there is to make.
.DEFAULT_GOAL := help
.PHONY: help demo test check simulate bench chaos test-containers image lock clean
PYTHON ?= python3
BIN := .venv/bin
export PATH := $(abspath $(BIN)):$(PATH)

help: ## print this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# Hash-checked installation into .venv, again whenever a pin changed.
.venv/.installed: requirements/dev.txt pyproject.toml examples/dzgrant-redshift/pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "dzgrant needs Python 3.11 or newer: make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements/dev.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e . -e examples/dzgrant-redshift
	@touch $@

demo: .venv/.installed ## play the whole story: publish, subscribe, approve, read, revoke
	$(BIN)/dzgrant demo

check: .venv/.installed ## formatting, lint, types, import arrows
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: check ## every check and every test, against real servers
	$(BIN)/pytest --numprocesses logical --dist loadfile --no-loadscope-reorder

test-containers: .venv/.installed ## the same tests, with the database servers from Docker
	DZGRANT_TEST_SERVERS=containers $(BIN)/pytest

SEED ?=
STEPS ?= 40
simulate: .venv/.installed ## the real coroutines through one seeded history of failures: SEED=, STEPS=; a fresh seed without
	PYTHONHASHSEED=0 $(BIN)/python -m tests.simulation $(SEED) --steps $(STEPS)

bench: .venv/.installed ## calls, statements, CPU and memory for each grant, beside their floors
	$(BIN)/python -m tests.bench
	$(BIN)/python -m tests.bench.scaling

chaos: .venv/.installed ## thousands of events in a storm of faults, on real parts; EVENTS=, SEED= for one again
	$(BIN)/python -m tests.chaos $(if $(EVENTS),--events $(EVENTS)) $(if $(SEED),--seed $(SEED))

PYTHON_IMAGE ?= python:3.12-slim
VERSION = $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)

image: ## the worker's container image, dzgrant:VERSION, and its size
	docker build $(DOCKER_BUILD) --build-arg PYTHON=$(PYTHON_IMAGE) --build-arg VERSION=$(VERSION) \
	  --build-arg REVISION=$$(git rev-parse HEAD) --tag dzgrant:$(VERSION) --tag dzgrant:latest .
	@docker image inspect --format '{{index .RepoTags 0}}: {{.Size}} bytes' dzgrant:$(VERSION)

lock: .venv/.installed ## pin again what pyproject.toml asks for
	./requirements/lock

clean: ## remove what the targets above made
	rm -rf .venv .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
