# make run    run the quickstart campaign, from nothing to its report
# make test   every check: lint, types, floors, tests
# make gpaw   build GPAW into .venv, if the libraries it needs are installed; part of `make test`
# make mattersim   install MatterSim into .venv beside MACE; part of `make test`
# make sevennet    install SevenNet into .venv-sevennet; part of `make test`
# The first call makes .venv and installs into it (a few minutes); later ones start at once.
#
# Variables (make run PYTHON=/opt/python3.11/bin/python3.11):
#   PYTHON       interpreter for .venv; 3.11 is the one that is tested
#   CXX          C++ compiler, with which pip builds icet (g++)
#   CONFIG       campaign that `make run` runs
#   TORCH_INDEX  a package index that offers a CPU (or other) build of torch
#   PIP_ARGS     more arguments for pip install
#   TEST_JOBS    test files that run side by side (2); 1: one after the other
#   PYTEST_ARGS  more arguments for pytest, for example PYTEST_ARGS='-m "not slow"'
#   COVERAGE     if given, print which lines of src the tests ran

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= $(shell command -v python3.11 || command -v python3)
CONFIG ?= configs/quickstart.yaml
TORCH_INDEX ?=
PIP_ARGS ?=
TEST_JOBS ?= 2
PYTEST_ARGS ?=
COVERAGE ?=

BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --require-virtualenv
INSTALL := requirements/alive.sh .venv/install.log $(PIP) install --constraint constraints.txt \
	$(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) $(PIP_ARGS)
CODE := $(wildcard src tests benchmarks workflows docs)

# There is no wheel of icet. Whoever cannot build it learns it before anything is downloaded.
define can_build
@command -v $(firstword $(CXX)) >/dev/null || { \
	echo "No C++ compiler '$(CXX)', with which pip builds icet; on Debian: apt-get install g++" >&2; exit 1; }
@headers=$$("$(PYTHON)" -c 'import sysconfig; print(sysconfig.get_path("include"))'); \
[ -f "$$headers/Python.h" ] || { \
	echo "No Python.h in $$headers, which icet is built with; on Debian: apt-get install python3-dev" >&2; exit 1; }
endef

.PHONY: help run test lint format types floors gpaw mattersim sevennet clean distclean

help:
	@sed -n 's/^# \{0,1\}//p' Makefile | sed -n '1,/^$$/p'

run: .venv/.installed-run
	@echo "Running the campaign $(CONFIG)."
	@$(BIN)/hea-flows run $(CONFIG)

test: lint types floors gpaw mattersim sevennet
	@echo "Running the tests; the ten slowest are listed at the end."
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q --durations=10 $(PYTEST_ARGS) \
		$(if $(filter-out 0 1,$(TEST_JOBS)),--numprocesses=$(TEST_JOBS) --dist=loadfile --no-loadscope-reorder) \
		$(if $(COVERAGE),--cov --cov-report=term:skip-covered)
	@if [ -f .venv-sevennet/.installed ]; then \
		echo "Running the tests of SevenNet in its own environment."; \
		OMP_NUM_THREADS=1 .venv-sevennet/bin/python -m pytest -q -k sevennet tests/potentials tests/test_trust.py; \
	fi

lint: .venv/.installed-test
	@echo "Checking style with ruff."
	@$(BIN)/ruff check $(CODE)
	@$(BIN)/ruff format --check $(CODE)

types: .venv/.installed-test
	@echo "Checking types with mypy, strictly."
	@$(BIN)/mypy

floors: .venv/.installed-test
	@echo "Checking that each floor imports only floors below it."
	@$(BIN)/lint-imports --no-logo

format: .venv/.installed-test
	@$(BIN)/ruff check --fix $(CODE)
	@$(BIN)/ruff format $(CODE)

gpaw: .venv/.installed-gpaw

mattersim: .venv/.installed-mattersim

sevennet: .venv-sevennet/.installed

.venv/bin/python:
	@command -v "$(PYTHON)" >/dev/null || { \
		echo "No Python at '$(PYTHON)': install Python 3.11, or give PYTHON=…" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 13))' || { \
		echo "$(PYTHON) is $$("$(PYTHON)" --version 2>&1); 3.11 (tested) or 3.12 is needed: give PYTHON=…" >&2; \
		exit 1; }
	$(can_build)
	@echo "Making the virtual environment .venv with $$("$(PYTHON)" --version) ($(PYTHON))."
	@"$(PYTHON)" -m venv .venv || { \
		rm -rf .venv; echo "python -m venv failed; on Debian: apt-get install python3-venv" >&2; exit 1; }

.venv/.installed-run: pyproject.toml constraints.txt | .venv/bin/python
	$(can_build)
	@echo "Installing hea-flows with CHGNet and a local MongoDB into .venv; this takes some minutes."
	@$(INSTALL) --editable '.[chgnet,local]'
	@touch $@

.venv/.installed-test: pyproject.toml constraints.txt | .venv/bin/python
	$(can_build)
	@echo "Installing hea-flows with all that the tests need into .venv; this takes some minutes."
	@$(INSTALL) --editable '.[chgnet,mace,phonons,calphad,local,dev]'
	@touch .venv/.installed-run $@

# Without a compiler or a library this file is not made, and the next run tries again.
.venv/.installed-gpaw: constraints.txt docs/siteconfig.py | .venv/.installed-test
	@headers=$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("include"))'); \
	if ! output=$$(printf '#include <Python.h>\n#include <xc.h>\n#include <fftw3.h>\nint main() {}' \
		| g++ -I "$$headers" -x c++ - -o /dev/null -lxc -lopenblas -lfftw3 2>&1); then \
		echo "GPAW is left out, and the tests that need it will be skipped: $${output%%$$'\n'*}"; \
		echo "On Debian: apt-get install g++ libxc-dev libopenblas-dev libfftw3-dev; see docs/gpaw.md"; \
	else \
		echo "Building GPAW into .venv; this takes some minutes."; \
		GPAW_CONFIG=$(CURDIR)/docs/siteconfig.py $(INSTALL) gpaw gpaw-data; \
		touch $@; \
	fi

# mattersim and mace-torch pin different versions of e3nn: its dependencies first, then itself without them.
.venv/.installed-mattersim: constraints.txt requirements/mattersim.txt | .venv/.installed-test
	@echo "Installing MatterSim into .venv."
	@if $(INSTALL) --requirement requirements/mattersim.txt && $(INSTALL) --no-deps mattersim; then \
		touch $@; \
	else \
		echo "MatterSim is left out, and its tests will be skipped."; \
	fi

# An environment that sees .venv and has another e3nn.
.venv-sevennet/.installed: requirements/sevennet.txt constraints.txt | .venv/.installed-test
	@echo "Installing SevenNet into .venv-sevennet."
	@rm -rf .venv-sevennet
	@$(BIN)/python -m venv .venv-sevennet
	@folder='import sysconfig; print(sysconfig.get_path("purelib"))'; \
	echo "import site; site.addsitedir('$$($(BIN)/python -c "$$folder")')" \
		> "$$(.venv-sevennet/bin/python -c "$$folder")/hea-flows.pth"
	@grep -v '^e3nn==' constraints.txt > .venv-sevennet/constraints.txt
	@if output=$$(.venv-sevennet/bin/python -m pip --disable-pip-version-check install --quiet --quiet \
		--constraint .venv-sevennet/constraints.txt $(PIP_ARGS) --requirement requirements/sevennet.txt 2>&1); then \
		touch $@; \
	else \
		echo "SevenNet is left out, and its tests will not run: $${output##*$$'\n'}"; \
	fi

clean:
	rm -rf build dist .coverage* .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean
	rm -rf .venv .venv-sevennet
