"""The runtime's native module reads and writes where it may, and leaves nothing undefined, whatever it is given."""

import os
import shutil
import subprocess
import sys
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nanobind
import pytest

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


@pytest.mark.skipif(
    sys.platform != "linux" or shutil.which("g++") is None, reason="the sanitizers are tested with g++ on Linux"
)
def test_hostile_values_under_sanitizers(tmp_path: Path) -> None:
    module = build(tmp_path)
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
    script = [sys.executable, str(Path(__file__).with_name("run_native_hostile.py")), str(module), "200"]
    done = subprocess.run(script, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[:3000]
