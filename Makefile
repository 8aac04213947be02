# jaxrec: `make help` lists the targets.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
RUN ?= runs/main
BENCH ?= runs/bench.json
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu

.DEFAULT_GOAL := help
.PHONY: help run bench test test-all lint format clean

help: ## show this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

run: $(VENV)/installed-data ## train and compare the models on movielens-small; results in runs/main
	$(BIN)/python -m experiments.movielens_small --out $(RUN)

bench: $(VENV)/installed-bench ## measure jaxrec beside its peers; needs Gowalla and ML-100K; results in runs/bench.json
	$(BIN)/python -m experiments.bench --out $(BENCH)

test: $(VENV)/installed-test ## run the tests (PYTHON=python3.13 chooses the interpreter, VENV=... the folder)
	$(BIN)/python -m pytest -n auto --dist loadfile

test-all: $(VENV)/installed-test ## run the tests, the slow ones too, on programs compiled as users have them
	XLA_FLAGS=--xla_force_host_platform_device_count=2 JAX_COMPILATION_CACHE_DIR= \
		$(BIN)/python -m pytest -n auto --dist loadfile -m 'slow or not slow'

lint: $(VENV)/installed-lint ## ruff, basedpyright and import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/basedpyright
	$(BIN)/lint-imports

format: $(VENV)/installed-lint ## let ruff put the code into shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## remove the virtual environment, run folders and caches
	rm -rf $(VENV) runs build .cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The marker files say which extras are installed, so that a second call does nothing.
$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "jaxrec needs Python 3.11 or newer; choose one with make ... PYTHON=python3.11" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed-data: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[data,plot]'
	@touch $@

$(VENV)/installed-test: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[test]'
	@touch $@

# PyTorch without CUDA: a fraction of the size, and the same on CPU. Where its index is out of reach, the usual one serves.
$(VENV)/installed-bench: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check 'torch>=2.4' --index-url $(TORCH_INDEX) || true
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[bench]'
	@touch $@

$(VENV)/installed-lint: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[test,lint]'
	@touch $@
