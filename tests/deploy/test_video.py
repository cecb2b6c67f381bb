"""Annotated videos keep the rate, size and rotation of their source, whatever encodes them."""

import shutil
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from detforge.deploy.detinfer import video
from detforge.deploy.detinfer.cli import main
from detforge.deploy.detinfer.video import has_h264, writing_video
from detforge.deploy.system.errors import DetforgeError

PLAYED = """#!{python}
import sys
import cv2
import numpy as np

given = dict(zip(sys.argv, sys.argv[1:]))
width, height = map(int, given["-s"].split("x"))
top, _, bottom = given["-r"].partition("/")
frames = np.frombuffer(sys.stdin.buffer.read(), np.uint8).reshape(-1, height, width, 3)
if sys.argv[-2] == "mp4":
    rate = int(top) / int(bottom or 1)
    writer = cv2.VideoWriter(sys.argv[-1], cv2.VideoWriter.fourcc(*"mp4v"), rate, (width, height))
    for frame in frames[: {most}]:
        writer.write(frame)
    writer.release()
"""
"""Stands in for ffmpeg: takes the same arguments and pixels, and writes with OpenCV."""


@pytest.fixture(params=["OpenCV", "stand-in", "ffmpeg"])
def encoder(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """What encodes; the work folder is empty."""
    monkeypatch.chdir(tmp_path)
    if request.param == "OpenCV":
        monkeypatch.setattr(shutil, "which", lambda _: None)
    elif request.param == "stand-in":
        play_ffmpeg(monkeypatch, tmp_path)
    elif shutil.which("ffmpeg") is None:
        pytest.skip("ffmpeg is not installed")
    has_h264.cache_clear()
    yield request.param
    has_h264.cache_clear()


def play_ffmpeg(monkeypatch: pytest.MonkeyPatch, folder: Path, most: int = 999) -> None:
    program = folder / "ffmpeg"
    program.write_text(PLAYED.format(python=sys.executable, most=most))
    program.chmod(0o755)
    monkeypatch.setattr(shutil, "which", lambda _: str(program))


def smooth(width: int, height: int, seed: int = 0) -> np.ndarray:
    colors = np.random.default_rng(seed).integers(0, 256, (3, 4, 3), np.uint8)
    return cv2.resize(colors, (width, height))


def read(path: Path) -> tuple[list[np.ndarray], float]:
    capture = cv2.VideoCapture(str(path))
    frames: list[np.ndarray] = []
    while (frame := capture.read()[1]) is not None:
        frames.append(frame)
    return frames, capture.get(cv2.CAP_PROP_FPS)


@pytest.mark.parametrize("fps", [25.0, 30000 / 1001, 12.5, 59.94])
@pytest.mark.parametrize("size", [(64, 48), (65, 49), (64, 49)])
def test_rate_size_and_pixels_are_kept(size: tuple[int, int], fps: float, encoder: str) -> None:
    if encoder == "stand-in" and size != (64, 48):
        pytest.skip("the stand-in writes with OpenCV, which has no odd sides")
    written = [smooth(*size, seed) for seed in range(5)]
    with writing_video(Path("a.mp4"), fps, written[0]) as writer:
        for image in written:
            writer.write(image)
    frames, rate = read(Path("a.mp4"))
    assert abs(rate - fps) < 2e-3 and len(frames) == 5
    for frame, image in zip(frames, written, strict=True):
        kept = frame[: size[1], : size[0]]
        assert kept.shape == image.shape and np.abs(kept.astype(int) - image).mean() < 8
        if encoder == "ffmpeg":
            assert frame.shape == image.shape


def turn_quarter(path: Path, width: int) -> None:
    """Say in the header of an MP4 that its picture is to be turned clockwise, as telephones do."""
    data = bytearray(path.read_bytes())
    matrix = data.index(b"tkhd") + 44
    data[matrix : matrix + 36] = struct.pack(">9i", 0, 1 << 16, 0, -1 << 16, 0, 0, width << 16, 0, 1 << 30)
    path.write_bytes(data)


def test_a_telephones_video_is_upright(encoder: str, color_model: Path) -> None:
    stored = np.zeros((64, 128, 3), np.uint8)
    stored[:, :64, 2] = 255  # red on the left, which is the top when it is turned
    writer = cv2.VideoWriter("a.mp4", cv2.VideoWriter.fourcc(*"mp4v"), 10, (128, 64))
    for _ in range(4):
        writer.write(stored)
    writer.release()
    turn_quarter(Path("a.mp4"), 64)
    assert main(["a.mp4", "--model", str(color_model), "--conf", "1"]) == 0
    frames, rate = read(Path("runs/infer/a.mp4"))
    assert (len(frames), rate, frames[0].shape) == (4, 10, (128, 64, 3))
    assert frames[0][:60, :, 2].mean() > 200 and frames[0][70:, :, 2].mean() < 50


def test_an_encoder_that_loses_frames_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    play_ffmpeg(monkeypatch, tmp_path, most=2)
    monkeypatch.setattr(video, "has_h264", lambda _: True)
    with (
        pytest.raises(DetforgeError, match="cannot be written"),
        writing_video(tmp_path / "a.mp4", 10, smooth(64, 48)) as w,
    ):
        for _ in range(3):
            w.write(smooth(64, 48))
    assert not (tmp_path / "a.mp4").exists()


@pytest.mark.parametrize("code", ["import sys; sys.exit(1)", "import os; os.close(0); os._exit(0)"])
def test_an_ffmpeg_that_ends_at_once_is_survived(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "ffmpeg"
    program.write_text(f"#!{sys.executable}\n{code}\n")
    program.chmod(0o755)
    monkeypatch.setattr(shutil, "which", lambda _: str(program))
    monkeypatch.setattr(video, "has_h264", lambda _: True)
    with (
        pytest.raises(DetforgeError, match="cannot be written"),
        writing_video(tmp_path / "a.mp4", 10, smooth(640, 480)) as w,
    ):
        for _ in range(9):
            w.write(smooth(640, 480))


def test_an_ffmpeg_without_h264_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "ffmpeg"
    program.write_text(f"#!{sys.executable}\nimport sys; sys.exit('Unknown encoder h264')\n")
    program.chmod(0o755)
    monkeypatch.setattr(shutil, "which", lambda _: str(program))
    has_h264.cache_clear()
    assert not has_h264()
    has_h264.cache_clear()


def test_an_ffmpeg_that_cannot_write_odd_sides_is_not_used_for_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "ffmpeg"
    program.write_text(f"#!{sys.executable}\nimport sys; sys.exit('yuv444p' in sys.argv)\n")
    program.chmod(0o755)
    monkeypatch.setattr(shutil, "which", lambda _: str(program))
    has_h264.cache_clear()
    assert has_h264("yuv420p") and not has_h264("yuv444p")
    with writing_video(tmp_path / "a.mp4", 10, smooth(65, 49)) as writer:
        writer.write(smooth(65, 49))
    assert len(read(tmp_path / "a.mp4")[0]) == 1
    has_h264.cache_clear()
