# jaxrec: `make help` lists the targets.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
RUN ?= runs/main
BENCH ?= runs/bench.json
TESTS ?= -n auto
LOWEST_PYTHON ?= python3.11
NEWEST_PYTHON ?= python3.13
TORCH_INDEX ?=
PROJECT_URL ?=
SECONDS ?= 600
TARGET ?= all
PIP_INSTALL := -m pip install --quiet --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help run bench docs dist test test-all test-optimized test-lowest test-newest fuzz lint lint-style lint-types lint-imports format hooks clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16
	@echo
	@echo "PYTHON=python3.12 chooses the interpreter, VENV=.venv312 the environment, TESTS='tests/metrics -x' the tests."

run: $(VENV)/installed-data ## train and compare six models on movielens-small; results in runs/main
	$(BIN)/python -m experiments.movielens_small --out $(RUN)

bench: $(VENV)/installed-bench ## time jaxrec and its peers on Gowalla and ML-100K; results in runs/bench.json
	$(BIN)/python -m experiments.bench --out $(BENCH)

docs: $(VENV)/installed-docs ## build the documentation, and run all code in it; open build/docs/index.html
	$(BIN)/python -m sphinx -W --keep-going --nitpicky -q -j auto -b html docs build/docs

dist: $(VENV)/installed-dist ## build the source archive and the wheel in dist, check them, and use the wheel in an empty environment
	rm -rf dist
	PROJECT_URL=$(PROJECT_URL) $(BIN)/python -m build --outdir dist
	$(BIN)/python -m twine check --strict dist/*
	$(BIN)/python .ci/try_wheel.py dist

test: $(VENV)/installed-test ## run the tests, without the slow ones
	$(BIN)/python -m pytest $(TESTS)

test-all: $(VENV)/installed-test ## run all tests
	$(BIN)/python -m pytest $(TESTS) -m 'slow or not slow'

test-optimized: $(VENV)/installed-test ## run all tests with programs optimized as in use, twice as long
	XLA_FLAGS=--xla_force_host_platform_device_count=2 $(BIN)/python -m pytest $(TESTS) -m 'slow or not slow'

test-lowest: ## run the tests with the lowest declared versions, on Python 3.11 (LOWEST_PYTHON=...)
	$(MAKE) .venv-lowest/installed-lowest VENV=.venv-lowest PYTHON=$(LOWEST_PYTHON)
	.venv-lowest/bin/python -m pytest $(TESTS)

test-newest: ## run the tests with the newest versions, on Python 3.13 or later (NEWEST_PYTHON=...)
	@$(NEWEST_PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 13))' || \
		{ echo "test-newest needs Python 3.13 or later; choose one with make test-newest NEWEST_PYTHON=..." >&2; exit 1; }
	$(MAKE) .venv-newest/bin/python VENV=.venv-newest PYTHON=$(NEWEST_PYTHON)
	.venv-newest/bin/python $(PIP_INSTALL) --upgrade --upgrade-strategy eager -e '.[test]'
	.venv-newest/bin/python -m pytest $(TESTS)

fuzz: $(VENV)/installed-fuzz ## search for inputs that break a reader, TARGET=all, each for SECONDS=600
	PYTHONPATH=.:tests $(BIN)/python -m fuzz $(TARGET) --seconds $(SECONDS)

lint: lint-style lint-types lint-imports ## check style, types and imports

lint-style: $(VENV)/installed-lint ## check style and format with ruff
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

lint-types: $(VENV)/installed-lint ## check types with basedpyright
	$(BIN)/basedpyright

lint-imports: $(VENV)/installed-lint ## check the order of the rooms with import-linter
	$(BIN)/lint-imports

format: $(VENV)/installed-lint ## format the code and mend what ruff can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

hooks: $(VENV)/installed-lint ## run the linters in git: style at each commit, types and imports at each push
	$(BIN)/pre-commit install

clean: ## remove the environments, run folders and caches
	rm -rf $(VENV) .venv-lowest .venv-newest runs build dist docs/api docs/experiments docs/project .pytest_cache .ruff_cache .hypothesis .import_linter_cache .cache *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The marker files record the installed extras, so that a second call does nothing.
$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "jaxrec needs Python 3.11 or newer; choose one with make ... PYTHON=python3.11" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed-data: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python $(PIP_INSTALL) -e '.[data,plot,explore]'
	@touch $@

$(VENV)/installed-test: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python $(PIP_INSTALL) -e '.[test]'
	@touch $@

$(VENV)/installed-docs: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python $(PIP_INSTALL) -e '.[docs]'
	@touch $@

$(VENV)/installed-dist: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python $(PIP_INSTALL) -e '.[dist]'
	@touch $@

# uv resolves the lowest versions of direct dependencies; indirect ones are the newest that fit.
$(VENV)/installed-lowest: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python $(PIP_INSTALL) uv
	$(BIN)/python -m uv pip install --quiet --python $(BIN)/python --upgrade --resolution lowest-direct -e '.[test]'
	@touch $@

$(VENV)/installed-fuzz: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python $(PIP_INSTALL) -e '.[test,fuzz]'
	@touch $@

# PyTorch without CUDA is a fraction of the size and the same on CPU: TORCH_INDEX=... names an index that has it.
$(VENV)/installed-bench: pyproject.toml | $(VENV)/bin/python
	$(if $(TORCH_INDEX),$(BIN)/python $(PIP_INSTALL) 'torch>=2.4' --index-url $(TORCH_INDEX))
	$(BIN)/python $(PIP_INSTALL) -e '.[bench]'
	@touch $@

$(VENV)/installed-lint: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python $(PIP_INSTALL) -e '.[test,lint]'
	@touch $@
