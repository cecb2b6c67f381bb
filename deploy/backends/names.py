"""The names of the runtimes. This file imports nothing, so that --help is fast."""

ENGINES = ("tensorrt", "tensorrt-rtx")
"""Backends that run engines built from ONNX files."""
BACKENDS = ("ort", "openvino", *ENGINES)
