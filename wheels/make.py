"""Makes the wheels that this machine can make, and tries each in an empty environment.

    python wheels/make.py [PYTHON...]

A wheel for Python 3.11 and one for 3.12 and newer, each with the first interpreter given that can, and detforge-cuda
where nvcc is. They lie in dist/. Each is installed where no compiler can be found, and must give the same detections.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
PROGRAMS = Path(sys.executable).parent
DIST = ROOT / "dist"
PHOTO = ROOT / "examples/photos/desk.jpg"


def main(pythons: list[str]) -> None:
    versions = {python: version for python in pythons if (version := _version(python)) is not None}
    expected = _detections([str(PROGRAMS / "detinfer")], os.environ["PATH"])
    oldest = [python for python, version in versions.items() if version == (3, 11)]
    newer = [python for python, version in versions.items() if version >= (3, 12)]
    for interpreters in (oldest, newer):
        if interpreters:
            wheel = _build(interpreters[0], ROOT, "-C", "cmake.define.DETFORGE_CUDA=OFF")
            for python in interpreters:
                _try(python, wheel, expected)
    if shutil.which(os.environ.get("CUDACXX", "nvcc")) is not None:
        _build(sys.executable, ROOT / "wheels/cuda")
    else:
        print("no nvcc: detforge-cuda is left out")


def _version(python: str) -> tuple[int, int] | None:
    """The version of an interpreter; None if it does not run."""
    try:
        asked = [python, "-c", "import sys; print(*sys.version_info[:2])"]
        done = subprocess.run(asked, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    major, minor = map(int, done.stdout.split())
    return major, minor


def _build(python: str, project: Path, *settings: str) -> Path:
    """Build a wheel and give it the tag of the oldest systems that it runs on."""
    with tempfile.TemporaryDirectory() as folder:
        _run([python, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", folder, *settings, str(project)])
        [raw] = Path(folder).glob("*.whl")
        repaired = Path(folder) / "repaired"
        _run([str(PROGRAMS / "auditwheel"), "repair", "-w", str(repaired), str(raw)])
        [wheel] = repaired.glob("*.whl")
        DIST.mkdir(exist_ok=True)
        shutil.move(wheel, DIST / wheel.name)
    wheel = DIST / wheel.name
    print(f"{wheel.relative_to(ROOT)}: {wheel.stat().st_size / 1e6:.1f} MB", flush=True)
    return wheel


def _try(python: str, wheel: Path, expected: list[dict]) -> None:
    """Install a wheel into an empty environment, and detect without a compiler."""
    with tempfile.TemporaryDirectory() as folder:
        _run([python, "-m", "venv", folder])
        programs = Path(folder) / "bin"
        _run([str(programs / "pip"), "install", "--quiet", "--only-binary=:all:", f"{wheel}[cpu]"])
        found = _detections([str(programs / "detinfer")], str(programs))
        assert found == expected, f"{wheel.name} in {python}: {found}, not {expected}"
        print(f"  {_version(python)}: {len(found)} detections, as expected", flush=True)


def _detections(command: list[str], path: str) -> list[dict]:
    arguments = [str(PHOTO), "--model", "gfl_markers", "--no-save", "--json", "-"]
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [*command, *arguments], cwd=folder, env={"PATH": path, "HOME": folder}, capture_output=True, check=True
        )
    return json.loads(done.stdout)


def _run(command: list[str]) -> None:
    path = f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}"  # auditwheel calls patchelf
    subprocess.run(command, env=os.environ | {"PATH": path}, check=True)


if __name__ == "__main__":
    main(sys.argv[1:] or [sys.executable, *(f"python3.{minor}" for minor in (11, 12, 13, 14))])
