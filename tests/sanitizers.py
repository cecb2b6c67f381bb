"""Scripts that tests run under the address and undefined-behaviour sanitizers of g++."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

needs_sanitizers = pytest.mark.skipif(
    sys.platform != "linux" or shutil.which("g++") is None, reason="the sanitizers are tested with g++ on Linux"
)


def run_sanitized(script: Path, library: Path, rounds: int) -> None:
    """Runs a script on a library compiled with sanitizers; a finding fails the test."""
    runtimes = [
        subprocess.run(["g++", f"-print-file-name={name}"], capture_output=True, text=True, check=True).stdout.strip()
        for name in ("libasan.so", "libubsan.so")
    ]
    environment = os.environ | {
        "LD_PRELOAD": ":".join(runtimes),
        "ASAN_OPTIONS": "detect_leaks=0",  # Python itself leaves memory behind
        "UBSAN_OPTIONS": "print_stacktrace=1",
        "PYTHONMALLOC": "malloc",
    }
    command = [sys.executable, str(script), str(library), str(rounds)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[:3000]
