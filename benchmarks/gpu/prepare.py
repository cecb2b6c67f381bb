"""Make a folder with everything that run.py needs on a machine without a network and without detforge.

    python benchmarks/gpu/prepare.py FOLDER [--arch 90]

The folder gets the CUDA library for one architecture, the TensorRT plugins and their harness, the expected results of
all cases, and the sources. Needs nvcc and an editable install of detforge with its extras `export` and `dev`.
"""

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))
sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "plugins"))

import ladder
from harness import driver
from operator_sources import SOURCES, write_ops_header

ROOT = Path(__file__).parents[2]
CUDA, TENSORRT, HARNESS, CASES = "libdetforge_cuda.so", "libdetforge_trt.so", "libharness.so", "cases.npz"
COPIED = {"plugins": "detforge/plugins", "deploy": "detforge/deploy"}
LARGE = "to 640x640"
KEPT = {".py", ".h", ".cpp", ".cu", ".version", ".json"}


def main() -> None:
    """Fill the folder."""
    parser = argparse.ArgumentParser(description="Prepare a run of benchmarks/gpu/run.py on another machine.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--arch", default="90", help="compute capability without its point (default: %(default)s)")
    arguments = parser.parse_args()
    folder: Path = arguments.folder
    folder.mkdir(parents=True, exist_ok=True)
    build(folder, f"sm_{arguments.arch}")
    write_cases(folder / CASES)
    copy_sources(folder)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    print(f"{folder}: {size / 1e6:.1f} MB; there: python benchmarks/gpu/run.py --library .")


def build(folder: Path, architecture: str) -> None:
    """The CUDA library, the TensorRT plugins over it, and the harness that plays TensorRT."""
    write_ops_header(folder)
    flags = ["-std=c++17", "-O3", "-shared", f"-arch={architecture}", "-lineinfo", "-DDETFORGE_CUDA", "-t0"]
    name = ["-Xlinker", f"-soname={CUDA}"]  # by which the plugins find the kernels that are loaded already
    sources = [
        *SOURCES.glob("*/cpu.cpp"),
        *SOURCES.glob("*/cuda.cu"),
        SOURCES / "core/abi.cpp",
        SOURCES / "core/half.cpp",
    ]
    paths = [f"-I{folder}", f"-I{SOURCES}", *map(str, sorted(sources)), "-o", str(folder / CUDA)]
    subprocess.run(["nvcc", *flags, *name, "-Xcompiler=-fPIC,-pthread,-fno-math-errno", *paths], check=True)
    build_harness(folder, folder / CUDA)


def build_harness(folder: Path, kernels: Path) -> None:
    """The TensorRT plugins over a library of kernels, and the harness that plays TensorRT."""
    driver.build(folder, driver.OURS[-1])
    driver.build_plugins(folder, kernels)


def write_cases(target: Path, match: str = "") -> None:
    """The expected results of the operators' cases and of the preprocessed images, for read_cases() of cases.py."""
    import test_preprocess_cuda as preprocessing

    from detforge.deploy.inputs.resize import Pad, Resize

    arrays: dict[str, np.ndarray] = {}
    for name in ladder.CASES:
        for dtype in ladder.STORAGE:
            if match in name:
                arrays[f"oracle/{name}/{dtype}"] = ladder.oracle(name, dtype)
    place = Resize((640, 640), pad=Pad((640, 640)))
    large = {LARGE: preprocessing.ImageInput(place, "rgb", preprocessing.MEAN, preprocessing.STD)}
    for name, spec in (preprocessing.SPECS | (large if not match else {})).items():
        for size in preprocessing.SIZES if name != LARGE else [(720, 1280)]:
            image = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
            frame = preprocessing.frame_of(image, spec)
            fill = spec.place.pad.value
            filled = [0.0] * 3 if fill is None else [(fill - m) / s for m, s in zip(spec.mean, spec.std, strict=True)]
            key = f"picture/{name} {size[1]}x{size[0]}"
            arrays[f"{key}/canvas"] = preprocessing.on_cpu(image, spec)
            arrays[f"{key}/image"] = image
            arrays[f"{key}/sizes"] = np.array([*frame.resized_size, *frame.offset, spec.color == "rgb"])
            arrays[f"{key}/planes"] = np.array([spec.mean, spec.std, filled])
    np.savez_compressed(target, **arrays)


def copy_sources(folder: Path) -> None:
    """The parts of this checkout that the steps import, and its commit."""
    tests = ["operator_sources.py", *(f"plugins/{path}" for path in ("ladder.py", "op_oracles.py", "harness"))]
    pairs = {**COPIED, "benchmarks/gpu": "benchmarks/gpu", **{f"tests/{path}": f"tests/{path}" for path in tests}}
    for source, target in pairs.items():
        for path in [ROOT / source] if (ROOT / source).is_file() else (ROOT / source).rglob("*"):
            if path.suffix in KEPT and "__pycache__" not in path.parts:
                copy = folder / target / path.relative_to(ROOT / source)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, copy)
    commit = subprocess.run(["git", "-C", str(ROOT), "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
    (folder / "commit").write_text(commit.stdout)


if __name__ == "__main__":
    main()
