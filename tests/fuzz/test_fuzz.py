"""The native code under libFuzzer and clang's sanitizers: no values end it, or make its results wrong.

Each target runs for some seconds, on the same inputs every time. With FUZZ_SECONDS it looks for new ones for so long.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from operator_sources import SOURCES, write_ops_header

HERE = Path(__file__).parent
COMPILERS = ("clang++", *(f"clang++-{version}" for version in range(20, 13, -1)))
# A NaN that becomes a whole number is undefined too, and not among clang's "undefined".
SANITIZE = "-fsanitize=fuzzer,address,undefined,float-cast-overflow -fno-sanitize-recover=all".split()
# The standard library's own stable_sort is made of what C++17 deprecates, as newer clangs say.
WARN = "-Wall -Wextra -Werror -Wno-deprecated-declarations".split()
FLAGS = [*"-std=c++17 -O1 -g1 -D_GLIBCXX_ASSERTIONS -pthread".split(), *WARN]
HALF = SOURCES / "core" / "half.cpp"
C_LIBRARY = HERE.parents[1] / "capi"
# The other sources of each, and how many inputs take some seconds.
TARGETS: dict[str, tuple[list[Path], int]] = {
    "boxes": ([], 4_000),
    "cards": ([C_LIBRARY / "card.cpp", C_LIBRARY / "find.cpp", HALF], 2_000),
    "fields": ([], 250),
    "heatmaps": ([], 12_000),
    "images": ([HALF], 2_000),
    "operators": ([*sorted(SOURCES.glob("*/cpu.cpp")), SOURCES / "core" / "abi.cpp", HALF], 1_500),
    "polygons": ([], 4_000),
    "poses": ([], 4_000),
    "votes": ([], 8_000),
}


@pytest.fixture(scope="module")
def compiler(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A clang++ that has libFuzzer."""
    folder = tmp_path_factory.mktemp("compiler")
    source = folder / "empty.cpp"
    source.write_text('extern "C" int LLVMFuzzerTestOneInput(const unsigned char*, unsigned long) { return 0; }\n')
    for name in filter(shutil.which, COMPILERS):
        command = [name, *SANITIZE, str(source), "-o", str(folder / "empty")]
        if subprocess.run(command, capture_output=True, check=False).returncode == 0:
            return name
    pytest.skip("there is no clang++ with libFuzzer (Debian: clang and libclang-rt-dev)")


@pytest.mark.slow
# The operators are run on hostile values by tests/plugins/test_sanitizers.py too.
@pytest.mark.parametrize(
    "target", [pytest.param(name, marks=pytest.mark.long if name == "operators" else ()) for name in TARGETS]
)
def test_target(compiler: str, target: str, tmp_path: Path) -> None:
    sources, runs = TARGETS[target]
    binary, found = tmp_path / target, tmp_path / "input"
    write_ops_header(tmp_path)
    command = [compiler, *FLAGS, *SANITIZE, f"-I{SOURCES}", f"-I{tmp_path}", "-o", str(binary)]
    subprocess.run([*command, *map(str, (HERE / f"{target}.cpp", *sources))], check=True)
    seconds = os.environ.get("FUZZ_SECONDS")
    limits = [f"-max_total_time={seconds}"] if seconds else ["-seed=1", f"-runs={runs}"]
    # Leaks are not looked for: that needs rights which containers often lack. Memory is limited by allocation, since
    # the size of a process counts that of the one which started it.
    memory = ["-rss_limit_mb=0", "-malloc_limit_mb=1024"]
    options = ["-max_len=4096", "-len_control=0", "-timeout=20", "-detect_leaks=0", f"-exact_artifact_path={found}"]
    done = subprocess.run([str(binary), *limits, *memory, *options], capture_output=True, text=True, check=False)
    said = "\n".join(line for line in done.stderr.splitlines() if not line.startswith("#"))  # without its progress
    assert done.returncode == 0, f"{said[-6000:]}\nto replay: {binary} {found}"
