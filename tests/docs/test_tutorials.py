"""Every command and every line of Python in the tutorials runs.

Blocks marked `sh` and `python` run, in order, in a folder with the files that the tutorials take for granted. Those
marked `console` need what is absent here (a GPU, a download) and are only shown.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from foreign_files import write_foreign
from own_checkpoints import save

ROOT = Path(__file__).parents[2]
LONG = ("int8", "many_images", "own_checkpoint", "tensorrt")
PAGES = [
    pytest.param(page, id=page.stem, marks=[pytest.mark.long] if page.stem in LONG else [])
    for page in sorted((ROOT / "docs/tutorials").glob("*.md"))
]
BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """`photo.jpg`, `photos/`, `clip.mp4`, `mine.pth` and `yolox.onnx`."""
    shutil.copytree(ROOT / "examples/photos", tmp_path / "photos")
    shutil.copy(ROOT / "examples/photos/desk.jpg", tmp_path / "photo.jpg")
    _write_clip(tmp_path / "clip.mp4")
    save(tmp_path / "mine.pth")
    cells = sum((64 // stride) * (96 // stride) for stride in (8, 16, 32))
    write_foreign(tmp_path / "yolox.onnx", {"output": np.zeros((1, cells, 85), np.float32)})
    return tmp_path


def _write_clip(path: Path) -> None:
    photo = cv2.imread(str(ROOT / "examples/photos/desk.jpg"))
    clip = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 5, (320, 240))
    for i in range(3):
        clip.write(photo[200 + i : 440 + i, 200:520])
    clip.release()


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_everything_on_the_page_runs(page: Path, folder: Path) -> None:
    programs = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    blocks = BLOCK.findall(page.read_text())
    assert blocks
    for language, text in blocks:
        command = ["bash", "-euc", text] if language == "sh" else [sys.executable, "-c", text]
        done = subprocess.run(command, cwd=folder, env=programs, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
