# Every target starts from nothing: it makes the environment, installs, and does the whole job.
PYTHON ?= python3
BIN := .venv/bin
# The package is installed anew when its definition or its native part changes.
SOURCES := pyproject.toml CMakeLists.txt constraints.txt $(wildcard deploy/native/* capi/*) \
    $(wildcard plugins/CMakeLists.txt plugins/core/*.* plugins/*/*.h plugins/*/*.cpp plugins/*/*.cu)
# The oldest ONNX Runtime that we support, and one between it and the newest: the operators are tested in all three.
RUNTIMES := .venv/onnxruntime-1.22 .venv/onnxruntime-1.27

# The development build is for one GPU architecture: the machine's own, or 8.0 with PTX that later GPUs translate.
GPU := $(or $(shell nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2> /dev/null | head -n 1 | tr -d .),80)

PYTEST := $(BIN)/python -m pytest -n auto --dist loadgroup

.PHONY: demo check test test-all lint docs wheels
demo: .venv/demo
	$(BIN)/detexport --model gfl_markers --fp16
	$(BIN)/detinfer examples/photos --model exports/gfl_markers-fp16.onnx --pose-model corners_markers
	$(BIN)/detbench --model exports/gfl_markers-fp16.onnx --duration 5

check: lint
	$(PYTEST) -m "not slow"

test: lint $(RUNTIMES)
	$(PYTEST) -m "not long"

test-all: lint $(RUNTIMES)
	$(PYTEST)

docs: .venv/dev
	$(BIN)/mkdocs build --strict

wheels: .venv/dev
	$(BIN)/python wheels/make.py $(PYTHONS)

lint: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/demo: .venv/bin/python $(SOURCES)
	$(BIN)/python -m pip install --quiet -c constraints.txt ".[cpu,export]"
	touch $@

.venv/dev: .venv/bin/python $(SOURCES)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[dev]" -C cmake.define.CMAKE_CUDA_ARCHITECTURES=$(GPU)
# trackers brings opencv-python, which replaces files of the headless one and needs libraries of a desktop.
	$(BIN)/python -m pip install --quiet --no-deps --force-reinstall -c constraints.txt opencv-python-headless
	touch $@

$(RUNTIMES): .venv/onnxruntime-%: | .venv/bin/python
	$(BIN)/python -m pip install --quiet --no-deps --target $@ "onnxruntime==$*.*"
