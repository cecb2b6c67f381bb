"""Our declarations of TensorRT's plugin interface are those of its own headers."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from operator_sources import SOURCES

EMULATOR = Path(__file__).parent / "emulator"  # has what the headers use of CUDA
OURS = SOURCES / "core" / "trt_api.h"
ROOTS = [Path(root) for root in os.environ.get("TENSORRT_ROOT", "").split(os.pathsep) if root]

TELL = """
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <typeinfo>

template <class Type>
void member(const char* name, size_t place) { std::printf("%s %zu %s\\n", name, place, typeid(Type).name()); }

// The place of a virtual function in its class's table, as the Itanium ABI has it in a pointer to the function.
template <class Function>
void function(const char* name, Function pointer) {
    size_t place;
    std::memcpy(&place, &pointer, sizeof place);
    member<Function>(name, place / sizeof(void*));
}

template <class Class>
void version(const char* name) {
    alignas(Class) char nothing[sizeof(Class)] = {};
    const auto info = reinterpret_cast<Class*>(nothing)->Class::getInterfaceInfo();
    std::printf("%s %s %d.%d\\n", name, info.kind, info.major, info.minor);
}

template <class Base>
struct Open : Base { using Base::mImpl; };

#define MEMBER(type, name) member<decltype(type::name)>(#type "::" #name, offsetof(type, name))
#define FUNCTION(name) function(#name, &name)
#define VERSION(name) version<name>("version of " #name)
#define SIZE(name) std::printf("size of " #name " %zu\\n", sizeof(name))
#define CONSTANT(name) std::printf(#name " %d\\n", int(name))
"""


def statements() -> list[str]:
    """A statement for each thing that our header declares."""
    text = OURS.read_text()
    made, space, name = [], ["nvinfer1"], ""
    for line in text.splitlines():
        if found := re.match(r"namespace (\w+) \{", line):
            space = ["nvinfer1", *([found[1]] if found[1] != "nvinfer1" else [])]
        elif re.match(r"\}  // namespace", line):
            space = ["nvinfer1"]
        elif found := re.search(r"enum class (\w+) : int32_t \{(.*)\};", line):
            scope = name if line.startswith(" ") else "::".join(space)
            made += [f"CONSTANT({scope}::{found[1]}::{each})" for each in re.findall(r"(k\w+) =", found[2])]
        elif found := re.match(r"(?:class|struct) (\w+) .*\{", line):
            name = "::".join((*space, found[1]))
            made.append(f"SIZE({name})")
        elif found := re.match(r"    apiv::\w+\* (\w+);", line):
            made.append(f"MEMBER(Open<{name}>, {found[1]})")
        elif found := re.match(r"    virtual .*?\b(\w+)\(", line):
            made += [f"FUNCTION({name}::{found[1]})"] if "~" not in line else []
        elif re.match(r"    InterfaceInfo getInterfaceInfo\(\)", line):
            made += [f"VERSION({name})", f"FUNCTION({name}::getInterfaceInfo)"]
        elif found := re.match(r"    (?:const )?[\w*]+ (\w+)(?:\[[\w:]+\])?(?: = \w+(?:::\w+)?)?;", line):
            made.append(f"MEMBER({name}, {found[1]})")
    functions = text.count("    virtual ") - text.count("    virtual ~") + text.count("override { return")
    assert len([each for each in made if each.startswith("FUNCTION")]) == functions
    return made


def told(folder: Path, includes: list[Path], header: str, lines: list[str]) -> list[str]:
    """What each statement tells of a header."""
    source, program = folder / "tell.cpp", folder / "tell"
    body = "\n".join(f"{line};" for line in lines)
    source.write_text(f'#include "{header}"\n{TELL}int main() {{\n{body}\n}}\n')
    paths = [f"-I{path}" for path in (EMULATOR, *includes)]
    subprocess.run(["g++", "-std=c++17", "-w", *paths, str(source), "-o", str(program)], check=True)
    told = subprocess.run([str(program)], capture_output=True, text=True, check=True).stdout.splitlines()
    return sorted(told)


@pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++")
@pytest.mark.skipif(not ROOTS, reason="needs TensorRT's headers: their folders in TENSORRT_ROOT")
@pytest.mark.parametrize("root", ROOTS, ids=str)
def test_declarations_are_those_of_tensorrt(root: Path, tmp_path: Path) -> None:
    includes = [root, root / "include"]
    theirs = next(path for path in (folder / "NvInferRuntime.h" for folder in includes) if path.is_file())
    versioned = "v_1_0::ILoggerFinder" in theirs.read_text()  # from TensorRT 11 on
    other = "(nvinfer1::ILogger" if versioned else "(nvinfer1::v_1_0::ILogger"
    lines = [line for line in statements() if other not in line]
    assert told(tmp_path, includes, theirs.name, lines) == told(tmp_path, [], str(OURS), lines)
