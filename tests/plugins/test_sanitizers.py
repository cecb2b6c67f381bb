"""The CPU kernels read and write where they may, and leave nothing undefined, whatever the values are."""

from pathlib import Path

import pytest
from operator_sources import compile_library
from sanitizers import needs_sanitizers, run_sanitized

FLAGS = "-std=c++17 -O1 -g -fPIC -shared -DDETFORGE_SANITIZE -fsanitize=address,undefined -fno-sanitize-recover=all"


@pytest.mark.slow
@needs_sanitizers
def test_hostile_values_under_sanitizers(tmp_path: Path) -> None:
    library = compile_library(tmp_path, *FLAGS.split())
    run_sanitized(Path(__file__).with_name("run_hostile.py"), library, 150)
