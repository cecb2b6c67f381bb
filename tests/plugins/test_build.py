"""What is built, and what is left out."""

import shutil
import subprocess
from pathlib import Path

import pytest
from operator_sources import SOURCES

CORE = SOURCES / "core"
CMAKE = shutil.which("cmake")
pytestmark = pytest.mark.skipif(CMAKE is None, reason="CMake is not on the path")


def configure(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Let parts.cmake decide, without anything of this environment."""
    (folder / "CMakeLists.txt").write_text(
        f"cmake_minimum_required(VERSION 3.20)\nproject(parts LANGUAGES CXX)\ninclude({CORE}/parts.cmake)\n"
    )
    command = [str(CMAKE), "-S", str(folder), "-B", str(folder / "build"), *options]
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(folder)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_what_is_left_out_is_told_with_the_reason(tmp_path: Path) -> None:
    done = configure(tmp_path, "-DDETFORGE_CUDA=OFF")
    assert done.returncode == 0, done.stderr
    assert "CUDA is left out: DETFORGE_CUDA is off" in done.stdout


def test_a_part_that_was_asked_for_must_be_built(tmp_path: Path) -> None:
    done = configure(tmp_path, "-DDETFORGE_CUDA=ON", "-DCMAKE_CUDA_COMPILER=NOTFOUND")
    assert done.returncode != 0
    assert "CUDA was asked for and cannot be built: no nvcc; set CUDACXX" in " ".join(done.stderr.split())


@pytest.mark.parametrize(
    ("known", "built"),
    [
        ((53, 75, 80, 86, 87, 89, 90), "75-real;80;86-real;89-real;90-real"),  # CUDA 12.0 to 12.7
        ((80, 90, 100, 103, 120, 121), "80;90-real;100-real;120-real"),
        ((90, 1000), "90-real"),
    ],
)
def test_architectures_are_those_that_nvcc_knows(tmp_path: Path, known: tuple[int, ...], built: str) -> None:
    nvcc = tmp_path / "nvcc"
    lines = "\n".join(f"compute_{number}" for number in known)
    nvcc.write_text(f"#!/bin/sh\n[ $# = 1 ] && [ $1 = --list-gpu-arch ] && echo '{lines}'\n")
    nvcc.chmod(0o755)
    script = tmp_path / "ask.cmake"
    ask = f"include({CORE}/architectures.cmake)\nknown_architectures({nvcc} built)\n"
    script.write_text(ask + 'message("${built}")\n')
    done = subprocess.run([str(CMAKE), "-P", str(script)], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == built
