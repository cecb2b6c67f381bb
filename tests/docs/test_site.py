"""The documentation's site builds without a warning and names everything public."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import detforge.deploy
import detforge.export

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_the_site_builds_without_warnings(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    page = (tmp_path / "site/reference/deploy/index.html").read_text()
    assert "The detections of one image" in page


@pytest.mark.parametrize("package", [detforge.deploy, detforge.export])
def test_the_reference_has_every_public_name(package: object) -> None:
    name = package.__name__.rpartition(".")[2]
    page = (ROOT / "docs/reference" / f"{name}.md").read_text()
    documented = {line.rpartition(".")[2] for line in page.splitlines() if line.startswith("::: ")}
    assert set(package.__all__) <= documented
