"""The Docker images, as far as they can be tried without Docker."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NOWHERE = "/proc/nowhere"  # cannot be made, not even by root


@pytest.mark.skipif(shutil.which("hadolint", path=str(Path(sys.executable).parent)) is None, reason="no hadolint")
@pytest.mark.parametrize("file", sorted((ROOT / "docker").glob("*.Dockerfile")), ids=lambda file: file.stem)
def test_hadolint_has_nothing_to_say(file: Path) -> None:
    command = [str(Path(sys.executable).parent / "hadolint"), str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self").exists(), reason="has no folder that nobody can write to")
def test_detinfer_writes_nothing_beside_its_results() -> None:
    photo = ROOT / "examples/photos/desk.jpg"
    command = [str(Path(sys.executable).parent / "detinfer"), str(photo), "--model", "gfl_markers", "--no-save"]
    places = dict.fromkeys(("HOME", "XDG_CACHE_HOME", "TMPDIR"), NOWHERE)
    done = subprocess.run(
        [*command, "--json", "-"],
        cwd="/proc",
        env={**places, "PYTHONDONTWRITEBYTECODE": "1", "PATH": NOWHERE},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0 and "warning" not in done.stderr
    assert len(json.loads(done.stdout)) > 0
