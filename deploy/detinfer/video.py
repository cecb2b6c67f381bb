"""Annotated videos: H.264 by the system's ffmpeg where it can, else MPEG-4 by OpenCV."""

import contextlib
import shutil
import subprocess
from collections.abc import Generator
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from ..inputs.geometry import Image
from ..system.errors import DetforgeError
from ..system.files import replacing

Size = tuple[int, int]
"""Width and height in px."""


class VideoWriter:
    """Frames of one size to an MP4 file."""

    def __init__(self, path: Path, fps: float, size: Size) -> None:
        self._size = size
        self._encoder: _Encoder = (_Ffmpeg if has_h264(_pixels(size)) else _OpenCV)(path, fps, size)
        self._started = self._written = 0  # they differ by one if an interrupt comes while a frame is written

    def write(self, image: Image) -> None:
        """Add a frame; a stream may change its size on the way, the file cannot."""
        if (image.shape[1], image.shape[0]) != self._size:
            image = cv2.resize(image, self._size, interpolation=cv2.INTER_AREA).astype(image.dtype, copy=False)
        self._started += 1
        self._encoder.write(image)
        self._written += 1

    def close(self) -> range:
        """End the file and return how many frames it may have."""
        self._encoder.close()
        return range(self._written, self._started + 1)


@contextlib.contextmanager
def writing_video(path: Path, fps: float, first: Image) -> Generator[VideoWriter]:
    """A writer of frames like the first, `fps` a second; the file is there, whole, when the block ends."""
    with replacing(path) as temporary:
        writer = VideoWriter(temporary, fps, (first.shape[1], first.shape[0]))
        try:
            yield writer
        finally:
            written = writer.close()
        # Encoders are silent about a full disk and an unknown size, so the file itself is asked.
        if cv2.VideoCapture(str(temporary)).get(cv2.CAP_PROP_FRAME_COUNT) not in written:
            raise DetforgeError(f"{path}: the video cannot be written; free some space, or use --no-save")


@cache
def has_h264(pixels: str = "yuv420p") -> bool:
    """Whether the system's ffmpeg encodes H.264 of such pixels: a grey picture is tried."""
    command = _command("-", 25, (64, 64), "null", pixels)
    if command is None:
        return False
    grey = np.full((64, 64, 3), 128, np.uint8).tobytes()
    return subprocess.run(command, input=grey, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0


class _Encoder(Protocol):
    def __init__(self, path: Path, fps: float, size: Size) -> None: ...
    def write(self, image: Image) -> None: ...
    def close(self) -> None: ...


class _OpenCV:
    """MPEG-4. It has no odd sides: the last row and column come twice."""

    def __init__(self, path: Path, fps: float, size: Size) -> None:
        self._more = [side % 2 for side in size]
        whole = (size[0] + self._more[0], size[1] + self._more[1])
        self._writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), fps, whole)

    def write(self, image: Image) -> None:
        right, bottom = self._more
        self._writer.write(cv2.copyMakeBorder(image, 0, bottom, 0, right, cv2.BORDER_REPLICATE))

    def close(self) -> None:
        self._writer.release()


class _Ffmpeg:
    """H.264. Odd sides need a colour for every pixel, which fewer players show."""

    def __init__(self, path: Path, fps: float, size: Size) -> None:
        command = _command(str(path), fps, size, "mp4", _pixels(size))
        assert command is not None
        # In a session of its own: Ctrl-C is for us, and the file is to be ended.
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def write(self, image: Image) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it ended, and what is missing shows in the file
            self._process.stdin.write(np.ascontiguousarray(image))

    def close(self) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait()


def _pixels(size: Size) -> str:
    """ffmpeg's name of the pixels for a size: the usual ones share colours between pairs of rows and columns."""
    return "yuv420p" if size[0] % 2 == size[1] % 2 == 0 else "yuv444p"


def _command(target: str, fps: float, size: Size, container: str, pixels: str) -> list[str] | None:
    """ffmpeg on pixels from stdin, or None where it is not installed."""
    program = shutil.which("ffmpeg")
    if program is None:
        return None
    rate = str(Fraction(fps).limit_denominator(1001))
    given = ["-f", "rawvideo", "-pix_fmt", "bgr24", "-s", f"{size[0]}x{size[1]}", "-r", rate, "-i", "-"]
    coded = ["-c:v", "h264", "-preset", "veryfast", "-pix_fmt", pixels]
    return [program, "-y", *given, *coded, "-f", container, target]
