"""The runtime's native module reads and writes where it may, and leaves nothing undefined, whatever it is given."""

import os
import subprocess
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nanobind
import pytest
from sanitizers import needs_sanitizers, run_sanitized

import detforge.deploy
import detforge.plugins

# A NaN that becomes a whole number is undefined too, and not among g++'s "undefined".
SANITIZE = "-fsanitize=address,undefined,float-cast-overflow -fno-sanitize-recover=all".split()
FLAGS = "-std=c++17 -O1 -g1 -fPIC -fvisibility=hidden -fno-strict-aliasing -DNDEBUG".split()


def folder(package: object, file: str) -> Path:
    """Where a package has a file, of the folders that it is in."""
    return next(path for path in map(Path, package.__path__) if (path / file).exists())  # type: ignore[attr-defined]


def build(target: Path) -> Path:
    """The module, compiled with sanitizers into a folder."""
    native, plugins = folder(detforge.deploy, "native") / "native", folder(detforge.plugins, "core/half.cpp")
    binding = Path(nanobind.include_dir()).parent
    sources = [*native.glob("*.cpp"), plugins / "core" / "half.cpp", binding / "src" / "nb_combined.cpp"]
    places = [nanobind.include_dir(), binding / "ext" / "robin_map" / "include", sysconfig.get_paths()["include"]]
    includes = [f"-I{place}" for place in (*places, plugins)]

    def compile_one(source: Path) -> str:
        made = str(target / f"{source.stem}.o")
        subprocess.run(["g++", *FLAGS, *SANITIZE, *includes, "-c", str(source), "-o", made], check=True)
        return made

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        objects = list(pool.map(compile_one, sources))
    module = target / "_native.so"
    subprocess.run(["g++", "-shared", *SANITIZE, *objects, "-o", str(module), "-pthread"], check=True)
    return module


@pytest.mark.slow
@pytest.mark.long  # compiles all of the module; tests/fuzz runs the same code under clang's sanitizers
@needs_sanitizers
def test_hostile_values_under_sanitizers(tmp_path: Path) -> None:
    run_sanitized(Path(__file__).with_name("run_native_hostile.py"), build(tmp_path), 200)
