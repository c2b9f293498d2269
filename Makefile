# The only commands a person needs; `make` alone lists them.
# Nothing is written outside .venv, build/, out/ and pip's cache.

VENV := .venv
BIN := $(VENV)/bin
CORE := pyproject.toml CMakeLists.txt constraints/ci.txt $(wildcard cpp/*)
# another interpreter: make PYTHON=/path/to/python3
PYTHON ?=
INSTALL := @PYTHON="$(PYTHON)" sh scripts/install.sh

# What tools would otherwise drop into the tree or the home folder goes to build/
export PYTHONDONTWRITEBYTECODE := 1
export MPLCONFIGDIR := $(CURDIR)/build/matplotlib
export IPYTHONDIR := $(CURDIR)/build/ipython
export JUPYTER_CONFIG_DIR := $(CURDIR)/build/jupyter
export JUPYTER_DATA_DIR := $(CURDIR)/build/jupyter
export JUPYTER_RUNTIME_DIR := $(CURDIR)/build/jupyter/runtime
export KERAS_HOME := $(CURDIR)/build/keras
export HYPOTHESIS_STORAGE_DIRECTORY := $(CURDIR)/build/hypothesis
export TORCHINDUCTOR_CACHE_DIR := $(CURDIR)/build/torchinductor

.DEFAULT_GOAL := help
.PHONY: help demo test lint bench bench-network verify docs figures wheel clean
# two pips in one environment would trip over each other
.NOTPARALLEL:

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' Makefile

# make demo MODEL=network, with PyTorch
MODEL ?= logistic
demo: $(VENV)/package.stamp $(if $(filter network,$(MODEL)),$(VENV)/torch.stamp) ## the main job on real flights: fit, predict, score, draw
	@$(BIN)/python examples/flights.py $(MODEL)

test: $(VENV)/test.stamp ## every test, with coverage and doctests
	$(BIN)/python -m pytest -n auto --cov --cov-report=term:skip-covered $(PYTEST_ARGS)

lint: $(VENV)/lint.stamp ## style, types, the import rule
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --cache-dir build/import-linter
	$(BIN)/clang-format --dry-run -Werror $(wildcard cpp/*.cpp cpp/*.hpp)

bench: $(VENV)/bench.stamp ## speed beside NumPy, scikit-learn, glum, torch and JAX, answers checked first
	$(BIN)/python -m benchmarks
	$(BIN)/python -m benchmarks.calls
	$(BIN)/python -m benchmarks.sums
	$(BIN)/python -m benchmarks.logistic
	$(BIN)/python -m benchmarks.frameworks

bench-network: $(VENV)/bench.stamp ## networks beside peers: speed, and the tables of a folder, DATA=...
	$(BIN)/python -m benchmarks.network_speed
	$(BIN)/python -m benchmarks.network $(DATA) $(SETS)

verify: $(VENV)/test.stamp ## every float32 and millions of float64 against the truth; minutes
	$(BIN)/python -m verification $(VERIFY_ARGS)

docs: $(VENV)/docs.stamp ## the documentation, into build/docs
	$(BIN)/python -m sphinx -W --keep-going -b html -d build/doctrees docs build/docs

figures: $(VENV)/docs.stamp ## the pictures of README and docs
	$(BIN)/python docs/figures.py

wheel: $(VENV)/package.stamp ## a wheel, into build/wheels
	$(BIN)/python -m pip wheel --no-deps --wheel-dir build/wheels .

clean: ## remove all that make has made
	rm -rf $(VENV) build out

# An editable install: a change in src/ needs no new one, a change in cpp/ does
$(VENV)/package.stamp: $(CORE)
	$(INSTALL) --editable '.[tables,plot]'
	@touch $@

$(VENV)/test.stamp: $(VENV)/package.stamp
	$(INSTALL) 'logloss[all]' --group test
	@touch $@

$(VENV)/torch.stamp: $(VENV)/package.stamp
	$(INSTALL) 'logloss[torch]'
	@touch $@

$(VENV)/lint.stamp: $(VENV)/package.stamp
	$(INSTALL) --group lint
	@touch $@

$(VENV)/docs.stamp: $(VENV)/package.stamp
	$(INSTALL) 'logloss[all]' --group docs
	@touch $@

$(VENV)/bench.stamp: $(VENV)/package.stamp
	$(INSTALL) 'logloss[all]' --group bench
	@touch $@
