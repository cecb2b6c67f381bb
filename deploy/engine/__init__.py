"""TensorRT engines as files: built from an ONNX file, described beside the plan, kept in the cache."""
