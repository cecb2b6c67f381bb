# Both targets start from nothing: they make the environment, install, and do the whole job.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test
demo: .venv/demo
	$(BIN)/python examples/demo.py

test: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports
	$(BIN)/python -m pytest

.venv/bin/python:
	$(PYTHON) -m venv .venv

# Installed anew whenever the package's definition or its native part changes.
SOURCES := pyproject.toml CMakeLists.txt constraints.txt $(wildcard deploy/native/*)
.venv/demo: .venv/bin/python $(SOURCES)
	$(BIN)/python -m pip install --quiet -c constraints.txt ".[cpu,export]"
	touch $@

.venv/dev: .venv/bin/python $(SOURCES)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[dev]"
	touch $@
