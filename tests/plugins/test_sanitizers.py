"""The CPU kernels read and write where they may, and leave nothing undefined, whatever the values are."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from sources import compile_library

FLAGS = "-std=c++17 -O1 -g -fPIC -shared -DDETFORGE_SANITIZE -fsanitize=address,undefined -fno-sanitize-recover=all"


@pytest.mark.skipif(
    sys.platform != "linux" or shutil.which("g++") is None, reason="the sanitizers are tested with g++ on Linux"
)
def test_hostile_values_under_sanitizers(tmp_path: Path) -> None:
    library = compile_library(tmp_path, *FLAGS.split())
    runtimes = [
        subprocess.run(["g++", f"-print-file-name={name}"], capture_output=True, text=True, check=True).stdout.strip()
        for name in ("libasan.so", "libubsan.so")
    ]
    environment = os.environ | {
        "LD_PRELOAD": ":".join(runtimes),
        "ASAN_OPTIONS": "detect_leaks=0",  # Python itself leaves memory behind
        "PYTHONMALLOC": "malloc",
    }
    script = [sys.executable, str(Path(__file__).with_name("run_hostile.py")), str(library), "150"]
    done = subprocess.run(script, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[:3000]
