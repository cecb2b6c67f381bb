"""The C++ sources of the operators, and their library built by hand with other flags."""

import subprocess
from pathlib import Path

import detforge.plugins

SOURCES = next(path for path in map(Path, detforge.plugins.__path__) if (path / "core" / "op.h").is_file())


def write_ops_header(folder: Path) -> None:
    """ops.h, which CMake makes otherwise."""
    ops = sorted(path.parent.name for path in SOURCES.glob("*/kernel.h"))
    includes = "".join(f'#include "{op}/kernel.h"\n' for op in ops)
    lists = ", ".join(f"{op}_ops" for op in ops)
    (folder / "ops.h").write_text(f"{includes}namespace detforge {{ using AllOps = Joined<{lists}>::type; }}\n")


def compile_library(folder: Path, *flags: str) -> Path:
    """libdetforge_cpu with the given flags, in a folder."""
    write_ops_header(folder)
    built = folder / "libdetforge_cpu.so"
    sources = [*sorted(SOURCES.glob("*/cpu.cpp")), SOURCES / "core" / "abi.cpp", SOURCES / "core" / "half.cpp"]
    command = ["g++", *flags, f"-I{folder}", f"-I{SOURCES}", *map(str, sources), "-o", str(built), "-pthread"]
    subprocess.run(command, check=True)
    return built
