"""The runtimes by name; light, so that a command's --help is quick."""

ENGINES = ("tensorrt", "tensorrt-rtx")
"""Backends that run engines, which are built from ONNX files."""
BACKENDS = ("ort", "openvino", *ENGINES)
