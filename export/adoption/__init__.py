"""Adoption of ONNX files that other programs exported: a Card and the missing part of the decoding are attached."""
