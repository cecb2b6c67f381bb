"""Our declarations of ONNX Runtime's C interface are those of its own header."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from operator_sources import SOURCES

OURS = SOURCES / "core" / "ort_api.h"
NAME = "onnxruntime_c_api.h"
FOLDERS = [*sys.path, "/usr/include", os.environ.get("ORT_INCLUDE_DIR", "/usr/include")]
HEADERS = sorted(
    {
        path.resolve()
        for folder in FOLDERS
        for place in (NAME, f"onnxruntime*/**/{NAME}")
        for path in Path(folder).glob(place)
    }
)

PRELUDE = """
#include <cstddef>
#include <cstdio>
#include <typeinfo>

template <class Type>
struct Plain { using type = Type; };
template <class Result, class... Args, bool kNoexcept>
struct Plain<Result (*)(Args...) noexcept(kNoexcept)> { using type = Result(Args...); };

template <class Type>
void tell(const char* name, size_t place) {
    std::printf("%s %zu %s\\n", name, place, typeid(typename Plain<Type>::type).name());
}
"""
OUR_SLOT = """
template <size_t kPlace, class Function>
void tell_slot(const char* name, detforge::ort::Slot<kPlace, Function>) { tell<Function*>(name, kPlace); }
#define SLOT(name) tell_slot(#name, detforge::ort::name)
"""
THEIR_SLOT = """
#define SLOT(name) tell<decltype(OrtApi::name)>(#name, offsetof(OrtApi, name) / sizeof(void*))
"""
MEMBER = '#define MEMBER(type, name) tell<decltype(type::name)>(#type "." #name, offsetof(type, name))\n'
CONSTANT = "#define CONSTANT(name) tell<decltype(name)>(#name, name)\n"


def statements() -> str:
    """A statement for each thing that our header declares."""
    text = OURS.read_text()
    slots = re.findall(r"constexpr Slot<[^;]*>\s+(\w+);", text)
    members = [
        (struct, first or second)
        for struct, body in re.findall(r"struct (Ort\w+) \{(.*?)\};", text, re.DOTALL)
        for first, second in re.findall(r"\(\*(\w+)\)\(.*;|\w+ (\w+);", body)
    ]
    constants = re.findall(r"\b([A-Z]\w+) = -?\d+", text)
    assert len(slots) == text.count("constexpr Slot<") and members and constants
    return "\n".join(
        [f"SLOT({name});" for name in slots]
        + [f"MEMBER({struct}, {name});" for struct, name in members]
        + [f"CONSTANT({name});" for name in constants]
    )


def told(folder: Path, header: Path, slot: str) -> dict[str, str]:
    """The place and the type of each name as a header declares it."""
    source, program = folder / "tell.cpp", folder / "tell"
    main = f"int main() {{\n{statements()}\n}}\n"
    source.write_text(f'#include "{header}"\n{PRELUDE}{slot}{MEMBER}{CONSTANT}{main}')
    subprocess.run(["g++", "-std=c++17", "-w", str(source), "-o", str(program)], check=True)
    lines = subprocess.run([str(program)], capture_output=True, text=True, check=True).stdout.splitlines()
    return {name: f"{place} {kind}" for name, place, kind in map(str.split, lines)}


@pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++")
@pytest.mark.skipif(not HEADERS, reason="needs ONNX Runtime's header: Debian's libonnxruntime-dev, or ORT_INCLUDE_DIR")
@pytest.mark.parametrize("header", HEADERS, ids=str)
def test_declarations_are_those_of_onnx_runtime(header: Path, tmp_path: Path) -> None:
    ours, theirs = told(tmp_path, OURS, OUR_SLOT), told(tmp_path, header, THEIR_SLOT)
    assert ours == theirs
