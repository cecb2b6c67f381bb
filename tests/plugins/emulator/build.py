"""Builds libdetforge_cuda with g++ for a GPU that is emulated on the CPU, from the very files that nvcc compiles."""

import subprocess
from pathlib import Path

from operator_sources import SOURCES, write_ops_header

KERNELS = "libdetforge_cuda_emulated.so"
_HERE = Path(__file__).parent
_SANITIZE = "-g -DDETFORGE_SANITIZE -fsanitize=address,undefined -fno-sanitize-recover=all".split()


def build(folder: Path, *, sanitize: bool = False) -> Path:
    """The library, compiled into a folder; `sanitize` makes it end at the first access out of bounds."""
    write_ops_header(folder)
    cpu = [*sorted(SOURCES.glob("*/cpu.cpp")), SOURCES / "core" / "abi.cpp", SOURCES / "core" / "half.cpp"]
    sources = [_HERE / "emulator.cpp", *cpu, *sorted(SOURCES.glob("*/cuda.cu"))]
    return _compile(folder / KERNELS, *(_SANITIZE if sanitize else ()), "-x", "c++", *sources)


def build_ort(kernels: Path) -> Path:
    """The kernels of an emulated library as ONNX Runtime's CUDA provider calls them, played by ort_runtime.cpp."""
    sources = [_HERE / "ort_runtime.cpp", SOURCES / "core" / "ort.cpp"]
    return _compile(
        kernels.parent / "libdetforge_ort_cuda_emulated.so", *sources, kernels, f"-Wl,-rpath={kernels.parent}"
    )


def _compile(built: Path, *rest: Path | str) -> Path:
    flags = "-std=c++17 -O1 -fPIC -shared -Wall -Wextra -Werror -Wno-unknown-pragmas -DDETFORGE_CUDA".split()
    paths = [f"-I{_HERE}", f"-I{built.parent}", f"-I{SOURCES}"]
    subprocess.run(["g++", *flags, *paths, *rest, "-o", built, "-pthread"], check=True)
    return built
