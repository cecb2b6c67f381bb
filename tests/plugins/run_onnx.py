"""Runs the files of a folder in the ONNX Runtime at hand: python run_onnx.py FOLDER [LIBRARY].

Each NAME.onnx with its inputs NAME.npz gives NAME.stock.npy, or with a library of custom operators
NAME.kernel.npy; nothing where this version lacks an operator.
"""

import sys
from pathlib import Path

import numpy as np
import onnxruntime
from onnxruntime.capi.onnxruntime_pybind11_state import NotImplemented


def main(folder: Path, library: str | None) -> None:
    """Run every file."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 2
    options.log_severity_level = 4
    if library is not None:
        options.register_custom_ops_library(library)
    for path in sorted(folder.glob("*.onnx")):
        result = path.with_suffix(".stock.npy" if library is None else ".kernel.npy")
        result.unlink(missing_ok=True)
        try:
            session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except NotImplemented:
            continue  # this version lacks an operator
        with np.load(path.with_suffix(".npz")) as inputs:
            np.save(result, session.run(None, dict(inputs))[0])


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else None)
