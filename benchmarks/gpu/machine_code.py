"""Write the table of an operator's README: instructions, registers and stack of its kernels on five architectures.

    python benchmarks/gpu/machine_code.py OP ... [--before COMMIT]

Compiles plugins/OP/cuda.cu with nvcc and reads the machine code with cuobjdump; needs no GPU. `--before` compares with
another commit. The table is between the marks `<!-- machine code -->` and `<!-- end -->`.
"""

import argparse
import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
ARCHITECTURES = (75, 80, 89, 90, 100)
MARKED = re.compile(r"(<!-- machine code -->\n).*?(<!-- end -->)", re.DOTALL)
TYPES = {"__half": "half", "__nv_bfloat16": "bfloat16", "__half2": "half2", "__nv_bfloat162": "bfloat162"}


@dataclass(frozen=True)
class Kernel:
    """One kernel's machine code; `stack` bytes hold what registers do not."""

    instructions: int
    registers: int
    stack: int


def main() -> None:
    """Rewrite the tables."""
    parser = argparse.ArgumentParser(description="Write the tables of machine code in the operators' READMEs.")
    parser.add_argument("ops", nargs="+", metavar="OP", help="folders of plugins/")
    parser.add_argument("--before", metavar="COMMIT", help="compare with this commit")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        before = None
        if arguments.before:
            before = Path(folder)
            archive = subprocess.run(
                ["git", "-C", str(ROOT), "archive", arguments.before, "plugins"], capture_output=True, check=True
            )
            subprocess.run(["tar", "-x", "-C", folder], input=archive.stdout, check=True)
        for op in arguments.ops:
            text = table(read(ROOT, op), read(before, op) if before else {})
            path = ROOT / "plugins" / op / "README.md"
            document, count = MARKED.subn(lambda match, text=text: f"{match[1]}{text}{match[2]}", path.read_text())
            if not count:
                raise SystemExit(f"error: {path} has no marks for the table")
            path.write_text(document)


def read(root: Path, op: str) -> dict[tuple[str, int], Kernel]:
    """The kernels of an operator by name and architecture."""
    made: dict[tuple[str, int], Kernel] = {}
    with tempfile.TemporaryDirectory() as folder:
        for architecture in ARCHITECTURES:
            cubin = Path(folder) / "op.cubin"
            flags = ["--cubin", f"-arch=sm_{architecture}", "-std=c++17", "-O3", f"-I{root / 'plugins'}"]
            subprocess.run(["nvcc", *flags, str(root / "plugins" / op / "cuda.cu"), "-o", str(cubin)], check=True)
            usage, code = (output("cuobjdump", flag, str(cubin)) for flag in ("--dump-resource-usage", "--dump-sass"))
            counts = {
                name: len(re.findall(r"^\s+/\*[0-9a-f]{4,}\*/\s+(?!NOP)", body, re.MULTILINE))
                for name, body in re.findall(r"Function : (\S+)\n(.*?)(?=Function : |\Z)", code, re.DOTALL)
            }
            for name, registers, stack in re.findall(r"Function (\S+):\s+REG:(\d+) STACK:(\d+)", usage):
                made[short(name), architecture] = Kernel(counts[name], int(registers), int(stack))
    return made


def output(*command: str) -> str:
    """What a command prints."""
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def short(name: str) -> str:
    """A kernel's name with its template's arguments."""
    demangled = output("c++filt", name).replace("(anonymous namespace)::", "").replace("detforge::", "")
    kernel = re.sub(r"^void |\(.*$|\((int|bool)\)", "", re.sub(r"\((int|bool)\)", "", demangled)).strip()
    return re.sub(r"\w+", lambda word: TYPES.get(word[0], word[0]), kernel)


def table(now: dict[tuple[str, int], Kernel], before: dict[tuple[str, int], Kernel]) -> str:
    """Markdown: the kernels of now, then those of before."""
    lines = ["", f"| kernel | {' | '.join(f'sm_{number}' for number in ARCHITECTURES)} |"]
    lines.append("|---" * (1 + len(ARCHITECTURES)) + "|")
    for kernels, prefix in ((before, "before: "), (now, "")):
        for name in sorted({name for name, _ in kernels}):
            if "bfloat16" in name and "half" not in name:
                continue  # as half, nearly
            cells = [cell(kernels[name, architecture]) for architecture in ARCHITECTURES]
            lines.append(f"| {prefix}`{name}` | {' | '.join(cells)} |")
    return "\n".join([*lines, "", "Instructions, registers and bytes of stack, where there are any; nvcc "
                      f"{re.search(r'release ([0-9.]+)', output('nvcc', '--version'))[1]}.", "", ""])  # fmt: skip


def cell(kernel: Kernel) -> str:
    """The figures of one kernel."""
    return f"{kernel.instructions}, {kernel.registers}" + (f", {kernel.stack} B" if kernel.stack else "")


if __name__ == "__main__":
    main()
