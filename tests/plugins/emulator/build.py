"""Builds libdetforge_cuda with g++ for a GPU that is emulated on the CPU, from the very files that nvcc compiles."""

import subprocess
from pathlib import Path

from operator_sources import SOURCES, write_ops_header

_HERE = Path(__file__).parent
_SANITIZE = "-g -DDETFORGE_SANITIZE -fsanitize=address,undefined -fno-sanitize-recover=all".split()


def build(folder: Path, *, sanitize: bool = False) -> Path:
    """The library, compiled into a folder; `sanitize` makes it end at the first access out of bounds."""
    write_ops_header(folder)
    built = folder / "libdetforge_cuda_emulated.so"
    flags = "-std=c++17 -O1 -fPIC -shared -Wall -Wextra -Werror -Wno-unknown-pragmas -DDETFORGE_CUDA".split()
    cpu = [*sorted(SOURCES.glob("*/cpu.cpp")), SOURCES / "core" / "abi.cpp", SOURCES / "core" / "half.cpp"]
    sources = ["-x", "c++", _HERE / "emulator.cpp", *cpu, *sorted(SOURCES.glob("*/cuda.cu"))]
    paths = [f"-I{_HERE}", f"-I{folder}", f"-I{SOURCES}"]
    command = [
        "g++",
        *flags,
        *(_SANITIZE if sanitize else ()),
        *paths,
        *map(str, sources),
        "-o",
        str(built),
        "-pthread",
    ]
    subprocess.run(command, check=True)
    return built
