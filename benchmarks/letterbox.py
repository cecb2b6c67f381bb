"""Time the preprocessing from an image to a network's input: resize, pad, swap colours, normalise, float planes.

    python benchmarks/letterbox.py [--rounds 100] [--threads 2] [--json FILE]

A 1080p frame to 640x640. The alternatives are the usual ones: OpenCV and NumPy, cv2.dnn's blob, and rtmlib with its
double-precision normalisation and transposition, since its inference does both. Also prints the largest difference
from ours, in levels of 0..255; other resize rules give other values.
"""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray
from turns import Table, deliver, in_turns, installed, parser

from detforge.deploy.bench.environment import Watch
from detforge.deploy.inputs.geometry import Image, Normalization
from detforge.deploy.inputs.resize import Pad, Resize

MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
SIDE, GREY = 640, 114
PLACE = Resize((SIDE, SIDE), pad=Pad((SIDE, SIDE), value=GREY))
PIXELS = Normalization("rgb", MEAN, STD)
Planes = NDArray[np.float32]


def main() -> None:
    """Print the medians."""
    arguments = parser(__doc__, 100).parse_args()
    cv2.setNumThreads(arguments.threads)
    watch = Watch()
    noise = np.random.default_rng(0).integers(0, 256, (1080, 1920, 3), np.uint8)
    image = cv2.GaussianBlur(noise, (9, 9), 0).astype(np.uint8, copy=False)
    frame = PLACE.whole((1080, 1920))
    canvas = np.empty((3, SIDE, SIDE), np.float32)

    def native() -> Planes:
        frame.fill(canvas, image, PIXELS, arguments.threads)
        return canvas

    ways: dict[str, Callable[[], Planes]] = {
        "detforge": native,
        "cv2 and NumPy": lambda: with_numpy(image),
        "cv2.dnn.blobFromImageWithParams": lambda: with_blob(image),
    }
    if installed("rtmlib"):
        ways["rtmlib"] = lambda: with_rtmlib(image)
    ours = native().copy()
    results = {name: f"at most {levels_apart(way(), ours):.1f} levels apart" for name, way in ways.items()}
    rows = in_turns(ways, arguments.rounds, results)
    deliver("letterbox", [Table(f"1920x1080 to {SIDE}x{SIDE}, float32 planes", rows)], watch, arguments)


def levels_apart(planes: Planes, ours: Planes) -> float:
    """The largest difference, at any position of the image on the canvas."""
    std = np.array(STD, np.float32)[:, None, None]
    return min(float(np.abs((np.roll(planes, -down, 1) - ours) * std).max()) for down in (0, (SIDE - 360) // 2))


def with_numpy(image: Image) -> Planes:
    """The usual NumPy code."""
    scale = min(SIDE / image.shape[0], SIDE / image.shape[1])
    height, width = round(image.shape[0] * scale), round(image.shape[1] * scale)
    padded = np.full((SIDE, SIDE, 3), GREY, np.uint8)
    padded[:height, :width] = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
    pixels = (padded[:, :, ::-1].astype(np.float32) - np.float32(MEAN)) / np.float32(STD)
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))


def with_blob(image: Image) -> Planes:
    """OpenCV's own function, which centres the image."""
    options = cv2.dnn.Image2BlobParams()
    options.size, options.swapRB = (SIDE, SIDE), True
    options.mean, options.scalefactor = MEAN, tuple(1 / value for value in STD)
    options.paddingmode = cv2.dnn.DNN_PMODE_LETTERBOX
    options.borderValue = (GREY, GREY, GREY)
    return cv2.dnn.blobFromImageWithParams(image, options)[0]


def with_rtmlib(image: Image) -> Planes:
    """RTMDet's preprocessing, with the conversion in its inference."""
    from rtmlib.tools.object_detection.rtmdet import RTMDet

    model = RTMDet.__new__(RTMDet)  # Loads no network.
    model.model_input_size, model.mean, model.std = (SIDE, SIDE), MEAN[::-1], STD[::-1]
    pixels, _ = model.preprocess(image)
    return np.ascontiguousarray(pixels.transpose(2, 0, 1), np.float32)[::-1]


if __name__ == "__main__":
    main()
