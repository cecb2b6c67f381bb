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
import torch
from foreign_files import write_foreign
from small_configs import NORM, dense, new, resize

from detforge.models.config.text import Text
from detforge.models.config.variant import describe

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs/tutorials").glob("*.md"))
BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """`photo.jpg`, `photos/`, `clip.mp4`, `mine.pth` and `yolox.onnx`."""
    shutil.copytree(ROOT / "examples/photos", tmp_path / "photos")
    shutil.copy(ROOT / "examples/photos/desk.jpg", tmp_path / "photo.jpg")
    _write_clip(tmp_path / "clip.mp4")
    _write_checkpoint(tmp_path / "mine.pth")
    cells = sum((64 // stride) * (96 // stride) for stride in (8, 16, 32))
    write_foreign(tmp_path / "yolox.onnx", {"output": np.zeros((1, cells, 85), np.float32)})
    return tmp_path


def _write_clip(path: Path) -> None:
    photo = cv2.imread(str(ROOT / "examples/photos/desk.jpg"))
    clip = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 5, (320, 240))
    for i in range(3):
        clip.write(photo[200 + i : 440 + i, 200:520])
    clip.release()


def _write_checkpoint(path: Path) -> None:
    tested = {"nms_pre": 500, "score_thr": 0.05, "max_per_img": 50, "nms": {"type": "nms", "iou_threshold": 0.5}}
    model = dense("GFLHead") | {"data_preprocessor": NORM, "test_cfg": tested}
    config = {"model": model, **new(resize(scale=(96, 64), keep_ratio=False))}
    meta = {"dataset_meta": {"classes": ("cat", "dog", "cow")}}
    torch.manual_seed(0)
    network = describe(Text(config, {}), meta).variant.build(3)
    text = "".join(f"{name} = {value!r}\n" for name, value in config.items())
    torch.save({"state_dict": network.state_dict(), "meta": {**meta, "cfg": text}}, path)


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_everything_on_the_page_runs(page: Path, folder: Path) -> None:
    programs = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    blocks = BLOCK.findall(page.read_text())
    assert blocks
    for language, text in blocks:
        command = ["bash", "-euc", text] if language == "sh" else [sys.executable, "-c", text]
        done = subprocess.run(command, cwd=folder, env=programs, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
