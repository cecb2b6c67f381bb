"""Runs every case of a CUDA library where no GPU is: python run_without_gpu.py LIBRARY.

Each call must come back with CUDA's error. nvcc lets host code call a device function, which then ends the process.
"""

import sys
from pathlib import Path

from ladder import CASES, run_cuda

from detforge.plugins.core.abi import DTYPES, Library

library = Library(Path(sys.argv[1]))
for name in CASES:
    for dtype in DTYPES:
        try:
            result = run_cuda(library, name, dtype, "cpu")
        except ValueError as error:
            assert "CUDA" in str(error), error
        else:
            assert result.size == 0, f"{name} ran without a GPU"
print("no call ended the process")
