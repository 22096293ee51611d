# The only commands to learn. Each does the set-up that it needs; nothing needs root, and nothing asks.

PYTHON ?= python3
# The Python that the packages run on.
SYSTEM_PYTHON ?= /usr/bin/python3
# Which set of libraries: dev (the newest), or floors (the oldest that we support).
LOCK ?= dev
# How many tests at a time.
JOBS ?= 2
# `make lock UPGRADE=--upgrade` takes newer versions; without it only what the .in files ask for changes.
UPGRADE ?=

LOCKS := packaging/python
VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)
VENV := .venv/$(VERSION)-$(LOCK)
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PRIVATE := build/private
PYTEST := $(BIN)/python -m pytest --quiet --no-header --numprocesses=$(JOBS)
SCRIPTS := .ci/run $(LOCKS)/make-venv $(LOCKS)/other-pythons

.PHONY: help
help: ## say what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' Makefile

.PHONY: run
run: $(READY) ## the demo: a simulated IMDS goes through its faults, and rolewatch watches (ARGS="--for 2m")
	@$(BIN)/rolewatch demo $(ARGS)

.PHONY: test
test: $(READY) ## all tests, on this Python; the unit tests on 3.9 and the newest, where they are installed (ARGS="-k name")
	@$(PYTEST) $(ARGS)
	@$(MAKE) --no-print-directory test-matrix

.PHONY: test-matrix
test-matrix:
	@$(LOCKS)/other-pythons $(PYTHON) | while read -r arguments; do \
		$(MAKE) --no-print-directory test-on $$arguments </dev/null || exit 1; \
	done

.PHONY: test-on
test-on: $(READY)
	@echo "On Python $(VERSION), with the libraries of $(LOCKS)/$(LOCK).txt:"
	@$(PYTEST) --ignore=tests/integration --ignore=tests/page $(ARGS)

.PHONY: check
check: lint types test ## what has to pass before a change goes in

.PHONY: lint
lint: $(READY) ## ruff, and shellcheck for the scripts
	@$(BIN)/ruff check --quiet
	@$(BIN)/ruff format --check --quiet
	@if [ -x $(BIN)/shellcheck ]; then $(BIN)/shellcheck $(SCRIPTS); fi

.PHONY: types
types: $(READY) ## mypy, strict
	@if [ -x $(BIN)/mypy ]; then $(BIN)/mypy --no-error-summary; \
		else echo "mypy needs Python 3.10: not run"; fi

.PHONY: fmt
fmt: $(READY) ## let ruff set the code
	@$(BIN)/ruff check --quiet --fix
	@$(BIN)/ruff format --quiet

.PHONY: coverage
coverage: $(READY) ## the tests once more, with the branches that they miss
	@$(PYTEST) --cov --cov-report=term-missing $(ARGS)

.PHONY: generate
generate: $(READY) ## write the pages that are made of the tables; a test compares them
	@$(BIN)/python packaging/generate

.PHONY: bench
bench: $(READY) vendor ## measure what it costs, against the bounds
	@$(BIN)/python tests/bench/run.py $(ARGS)

.PHONY: vendor
vendor: $(READY) ## the tree that the packages install, in build/private
	@rm -rf $(PRIVATE) build/wheel
	@for set in vendor vendor-cli; do \
		$(BIN)/python -m pip install -qq --require-hashes --no-deps --no-compile --only-binary=:all: --platform=any \
			--implementation=py --abi=none --python-version=3.9 --target=$(PRIVATE)/$$set \
			--requirement=$(LOCKS)/$$set.txt || exit 1; \
		rm -rf $(PRIVATE)/$$set/bin; \
		sed -i '/^\(\.\.\/\)*bin\//d' $(PRIVATE)/$$set/*.dist-info/RECORD; \
	done
	@$(BIN)/python -m pip wheel -qq --no-deps --no-build-isolation --wheel-dir=build/wheel .
	@$(BIN)/python -m zipfile -e build/wheel/rolewatch-*.whl $(PRIVATE)
	@install -D -m 755 packaging/launcher/rolewatch $(PRIVATE)/bin/rolewatch
	@if [ -x $(SYSTEM_PYTHON) ]; then $(SYSTEM_PYTHON) -m compileall -q $(PRIVATE); fi

.PHONY: lock
lock: .venv/uv/.ready ## resolve the .in files of packaging/python anew
	@for name in dev systemd uv; do \
		$(UV) --universal -o $(LOCKS)/$$name.txt $(LOCKS)/$$name.in || exit 1; done
	@$(UV) -o $(LOCKS)/floors.txt $(LOCKS)/floors.in
	@for name in vendor vendor-cli; do \
		$(UV) --only-binary=:all: -o $(LOCKS)/$$name.txt $(LOCKS)/$$name.in || exit 1; done

UV := .venv/uv/bin/uv pip compile --quiet --no-header --generate-hashes --no-strip-extras --python-version=3.9 $(UPGRADE)

.PHONY: clean
clean: ## remove everything that was made here
	@rm -rf .venv build .coverage* .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find agent tests -name __pycache__ -type d -prune -exec rm -rf {} +

$(READY): $(LOCKS)/$(LOCK).txt $(LOCKS)/systemd.txt $(LOCKS)/make-venv pyproject.toml
	@$(LOCKS)/make-venv $(PYTHON) $(VENV) $(LOCKS)/$(LOCK).txt
	@touch $@

.venv/uv/.ready: $(LOCKS)/uv.txt
	@$(PYTHON) -m venv --clear .venv/uv
	@.venv/uv/bin/python -m pip install -qq --require-hashes --requirement=$(LOCKS)/uv.txt
	@touch $@
