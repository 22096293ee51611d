# The only commands to learn. Each does the set-up that it needs; nothing asks, and nothing but the machines needs root.

PYTHON ?= python3
# The Python that the packages run on.
SYSTEM_PYTHON ?= /usr/bin/python3
# Which set of libraries: dev (the newest), or floors (the oldest that we support).
LOCK ?= dev
# How many tests at a time.
JOBS ?= 3
# How long each target is fuzzed.
FUZZ_SECONDS ?= 180
# `make lock UPGRADE=--upgrade` takes newer versions; without it only what the .in files ask for changes.
UPGRADE ?=

LOCKS := packaging/python
VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)
VENV := .venv/$(VERSION)-$(LOCK)
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PRIVATE := build/private
REPO ?= dist/repo
# The time of everything in the packages: that of the commit.
SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || stat -c %Y pyproject.toml)
vendor sbom deb rpm repo: export SOURCE_DATE_EPOCH := $(SOURCE_DATE_EPOCH)
SUMS := cd dist && find . -maxdepth 1 -name 'rolewatch*' -printf '%P\n' | sort | xargs sha256sum >SHA256SUMS
PYTEST := $(BIN)/python -m pytest --quiet --no-header --numprocesses=$(JOBS)
SCRIPTS := tests/vm/make-image tests/bench/watch-credentials .ci/run packaging/make-repository $(LOCKS)/make-venv $(LOCKS)/other-pythons

.PHONY: help
help: ## say what there is
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' Makefile

.PHONY: run
run: $(READY) ## the demo: a simulated IMDS goes through its faults, and rolewatch watches (ARGS="--for 2m")
	@$(BIN)/rolewatch demo $(ARGS)

.PHONY: test
test: $(READY) ## the tests in their quick form, on this Python: three minutes (ARGS="-k name")
	@$(PYTEST) --quick $(ARGS)

.PHONY: test-all
test-all: test ## then what the quick form leaves out, and the unit tests on 3.9 and the newest Python, where they are installed
	@$(PYTEST) --rest $(ARGS)
	@$(MAKE) --no-print-directory test-matrix

.PHONY: test-matrix
test-matrix:
	@$(LOCKS)/other-pythons $(PYTHON) | while read -r arguments; do \
		$(MAKE) --no-print-directory test-on $$arguments </dev/null || exit 1; \
	done

.PHONY: test-on
test-on: $(READY)
	@echo "On Python $(VERSION), with the libraries of $(LOCKS)/$(LOCK).txt:"
	@$(PYTEST) --ignore=tests/integration --ignore=tests/field --ignore=tests/packages --ignore=tests/page --ignore=tests/chaos --quick $(ARGS)

.PHONY: check
check: lint types test ## what has to pass before a change goes in

.PHONY: lint
lint: $(READY) ## ruff, shellcheck for the scripts, and recheck for regular expressions that backtrack
	@$(BIN)/ruff check --quiet --no-cache
	@$(BIN)/ruff format --check --quiet --no-cache
	@if [ -x $(BIN)/shellcheck ]; then $(BIN)/shellcheck $(SCRIPTS); fi
	@if [ -x $(BIN)/redos-linter ]; then $(BIN)/python tests/redos.py; \
		else echo "recheck needs Python 3.10: not run"; fi

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

.PHONY: e2e
e2e: $(READY) ## a fleet in trouble, with Debian's prometheus and prometheus-alertmanager: does every alert arrive, how fast
	@$(PYTEST) --numprocesses=0 --timeout=600 tests/e2e $(ARGS)

.PHONY: fuzz
fuzz: ## fuzz what IMDS may say, guided by coverage, for FUZZ_SECONDS a target (needs Python 3.11, x86-64)
	@$(MAKE) --no-print-directory LOCK=fuzz fuzz-on

.PHONY: fuzz-on
fuzz-on: $(READY)
	@for target in parse watch; do \
		echo "Fuzzing $$target for $(FUZZ_SECONDS) s:"; mkdir -p build/fuzz; \
		PYTHONPATH=tests $(BIN)/python tests/fuzz/run.py $$target $(FUZZ_SECONDS) build/fuzz >build/fuzz/$$target.log 2>&1 \
			|| { tail -50 build/fuzz/$$target.log; exit 1; }; \
		grep -E 'DONE|number_of_executed' build/fuzz/$$target.log; \
	done

.PHONY: reliability
reliability: $(READY) ## what the daemon survives, with its figures: docs/reliability.md (FORM=--long takes an hour)
	@$(PYTEST) --numprocesses=0 --timeout=3600 -m promise $(FORM) --reliability=docs/reliability.md tests $(ARGS)

.PHONY: soak
soak: $(READY) vendor ## the daemon as packaged for an hour, through all scenarios; its figures on the way (ARGS="--for 8h")
	@PYTHONPATH=agent:tests $(BIN)/python -m soak.run $(ARGS)

.PHONY: vm-test
vm-test: $(READY) repo ## the packages on machines that think they are on EC2 (needs root, qemu and debootstrap)
	@$(PYTEST) --dist=loadfile --durations=15 tests/vm $(ARGS)

.PHONY: vm-images
vm-images: # ahead of vm-test, which makes those that are missing
	@$(PYTHON) tests/vm/image.py bookworm bullseye trixie

.PHONY: vm
vm: $(READY) repo ## boot such a machine, with rolewatch on it, to log in and break its role
	@PYTHONPATH=agent:tests $(BIN)/python -m vm.interactive

.PHONY: bench
bench: $(READY) vendor ## what it costs and sees, beside what people use instead: docs/performance.md (ARGS=--quick)
	@PYTHONPATH=agent:tests $(BIN)/python -m bench.run $(ARGS)

.PHONY: vendor
vendor: .venv/build/.ready ## the tree that the packages install, in build/private
	@.venv/build/bin/python $(LOCKS)/make-vendor $(PRIVATE)
	@if [ -x $(SYSTEM_PYTHON) ]; then $(SYSTEM_PYTHON) -m compileall -q $(PRIVATE); fi

.PHONY: sbom
sbom: vendor
	@mkdir -p dist && rm -f dist/*.cdx.json && .venv/build/bin/python packaging/sbom.py dist

.PHONY: deb
deb: sbom ## dist/rolewatch_*_all.deb (needs debhelper and dh-python)
	@.venv/build/bin/python packaging/lay_out.py deb build/deb
	@rm -f build/rolewatch_*
	@cd build/deb && umask 022 && dpkg-buildpackage --build=binary --no-sign --no-check-builddeps >build.log 2>&1 \
		|| { cat build.log; exit 1; }
	@rm -f dist/*.deb && cp build/rolewatch_*.deb dist/
	@$(SUMS)

.PHONY: rpm
rpm: sbom ## dist/rolewatch-*.noarch.rpm (needs rpmbuild)
	@.venv/build/bin/python packaging/lay_out.py rpm build/rpm
	@cd build/rpm && umask 022 && rpmbuild -bb --quiet --define "_topdir $$PWD/top" --define "_sourcedir $$PWD" \
		rolewatch.spec >build.log 2>&1 || { cat build.log; exit 1; }
	@rm -f dist/*.rpm && cp build/rpm/top/RPMS/noarch/*.rpm dist/
	@$(SUMS)

.PHONY: repo
repo: deb rpm ## a signed apt and yum repository of both in dist/repo (KEY=… or a throw-away key, REPO=…)
	@packaging/make-repository dist $(REPO) "$(KEY)"

.PHONY: lock
lock: .venv/uv/.ready ## resolve the .in files of packaging/python anew
	@for name in dev systemd uv; do \
		$(UV) --universal -o $(LOCKS)/$$name.txt $(LOCKS)/$$name.in || exit 1; done
	@$(UV:3.9=3.11) --universal --only-binary=:all: -o $(LOCKS)/fuzz.txt $(LOCKS)/fuzz.in
	@$(UV) -o $(LOCKS)/floors.txt $(LOCKS)/floors.in
	@for name in vendor vendor-aws build; do \
		$(UV) --only-binary=:all: --no-emit-package=urllib3 -o $(LOCKS)/$$name.txt $(LOCKS)/$$name.in || exit 1; done
	@$(UV) --only-binary=:all: --no-deps -o $(LOCKS)/vendor-cli.txt $(LOCKS)/vendor-cli.in

UV := .venv/uv/bin/uv pip compile --quiet --no-header --generate-hashes --no-strip-extras --python-version=3.9 $(UPGRADE)

.PHONY: clean
clean: ## remove everything that was made here
	@rm -rf .venv build dist .coverage* .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find agent tests -name __pycache__ -type d -prune -exec rm -rf {} +

$(READY): $(LOCKS)/$(LOCK).txt $(LOCKS)/systemd.txt $(LOCKS)/make-venv pyproject.toml
	@$(LOCKS)/make-venv $(PYTHON) $(VENV) $(LOCKS)/$(LOCK).txt
	@touch $@

.venv/uv/.ready: $(LOCKS)/uv.txt
	@$(PYTHON) -m venv --clear .venv/uv
	@.venv/uv/bin/python -m pip install -qq --require-hashes --requirement=$(LOCKS)/uv.txt
	@touch $@

.venv/build/.ready: $(LOCKS)/build.txt
	@$(PYTHON) -m venv --clear .venv/build
	@.venv/build/bin/python -m pip install -qq --require-hashes --requirement=$(LOCKS)/build.txt
	@touch $@
