# Two commands matter: `make run` shows the product, `make test` proves it. `make help` lists the rest.
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
# Tests wait as much as they compute, so there are more processes than the two cores they are made for.
JOBS ?= 3
PIP := $(BIN)/python -m pip install --quiet --no-input --disable-pip-version-check
LOCKS := requirements requirements-build requirements-dev
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

.PHONY: help run test fuzz robots simulate check format lock bench wheel import-check experiment-check results-check durability commit-check image-check clean

help: ## what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

# A half-made environment (venv or ensurepip missing) must not pass for a whole one at the next start.
.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed" if sys.version_info < (3, 11) else 0)'
	@$(PYTHON) -m venv .venv || { rm -rf .venv; echo "Python's venv is needed (Debian: apt install python3-venv)" >&2; exit 1; }

.venv/run.stamp: requirements.txt | .venv/bin/python
	@echo "Setting up .venv (once) …" >&2
	@$(PIP) --require-hashes -r requirements.txt
	@touch $@

.venv/dev.stamp: requirements-dev.txt pyproject.toml | .venv/bin/python
	@echo "Setting up .venv for tests (once) …" >&2
	@$(PIP) --require-hashes -r requirements-dev.txt
	@$(PIP) --no-deps --no-index --no-build-isolation --editable .
	@touch $@

run: .venv/run.stamp ## start the demo: two shops, sample orders, an inbox to look at
	@PYTHONPATH=src exec $(BIN)/python -m handraiser demo $(ARGS)

# The tests start some hundred processes: where bytecode is not kept, each would compile the source anew.
test: .venv/dev.stamp ## everything the tests need, then all tests
	@options=$$(./tests/system-packages) && PYTHONDONTWRITEBYTECODE= PYTEST_ADDOPTS="$$options $$PYTEST_ADDOPTS" $(BIN)/python -m pytest -n $(JOBS) --dist worksteal $(ARGS)

fuzz: .venv/dev.stamp ## look for input that breaks splicing or the relay: SECONDS (600) for each TARGET, and hypothesis for long
	@PYTHONPATH=src:tests:tests/fuzz $(BIN)/python tests/fuzz/__main__.py
	@$(BIN)/python -m pytest -m hypothesis --hypothesis-profile=long tests/core/splice tests/core/rules tests/fuzz

robots: .venv/dev.stamp ## play every robot and person of the zoo in a real Chromium, and print what came of each
	@PYTHONPATH=tests:tests/robots $(BIN)/python tests/robots/__main__.py

simulate: .venv/dev.stamp ## look daily at thousands of made-up experiments, and print how often the results are wrong
	@PYTHONPATH=src:tests/simulation $(BIN)/python tests/simulation/__main__.py

check: .venv/dev.stamp ## format, lint, types, floors
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

format: .venv/dev.stamp ## put the code into its form
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

lock: .venv/dev.stamp ## resolve the requirements anew, with hashes and without addresses
	@$(PIP) uv
	@for name in $(LOCKS); do \
	  $(BIN)/uv pip compile --quiet --upgrade --universal --generate-hashes --no-header --no-emit-index-url --no-emit-find-links \
	    --python-version 3.11 $$name.in -o $$name.txt || exit 1; done
	@! grep -nE 'file:|://' $(LOCKS:=.txt)

bench: .venv/dev.stamp ## measure against the peers, in one run, and write docs/performance.md
	@$(BIN)/python -m bench $(ARGS)

wheel: .venv/dev.stamp ## build the wheel into dist/
	@$(BIN)/hatchling build --target wheel

import-check: .venv/dev.stamp ## import ROWS consents (default 1000000), killed once on the way: rows/s and memory
	@PYTHONPATH=src:tests ROWS=$(or $(ROWS),1000000) $(BIN)/python tests/import_check.py

experiment-check: .venv/dev.stamp ## live through a test with CUSTOMERS customers (default 4000) at the doors, and check what its results say
	@PYTHONPATH=src:tests $(BIN)/python tests/experiment_check.py

results-check: .venv/dev.stamp ## count EXPOSURES first exposures (default 10000000; DATABASE=postgresql) and ask for all results: a second at most
	@PYTHONPATH=src:tests $(BIN)/python tests/results_check.py

durability: .venv/dev.stamp ## kill both databases' services KILLS times each (default 300) under load, and prove that nothing acknowledged is lost
	@PYTHONPATH=src:tests KILLS=$(or $(KILLS),300) $(BIN)/python tests/killing.py

commit-check: .venv/dev.stamp ## messages a second on PostgreSQL: group commit is at least three times a transaction each
	@PYTHONPATH=src:tests $(BIN)/python tests/commit_check.py

image-check: .venv/dev.stamp ## lint the Dockerfile, build it and start the image (root, Debian)
	@./tests/image-check

clean: ## remove what was set up
	@rm -rf .venv .state dist
