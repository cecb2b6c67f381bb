"""Preprocessing against the references' own arithmetic (mmcv.rescale_size, DetDataPreprocessor), in NumPy."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from detforge.deploy.card import Input
from detforge.deploy.preprocess import frame_for, preprocess

EDGES = Input("edges", (800, 1333), 32, "rgb", (123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
CANVAS = replace(EDGES, resize="canvas", size=(384, 640))


@pytest.mark.parametrize(
    ("size", "resized"),
    [
        # computed with mmcv.rescale_size((w, h), (1333, 800)) by hand: scale = min(1333 / long, 800 / short)
        ((480, 640), (800, 1067)),
        ((640, 480), (1067, 800)),
        ((427, 640), (800, 1199)),
        ((375, 1242), (402, 1333)),
        ((1080, 1920), (750, 1333)),
        ((1, 1), (800, 800)),
        ((1, 5000), (1, 1333)),
    ],
)
def test_edges_keep_the_aspect(size: tuple[int, int], resized: tuple[int, int]) -> None:
    frame = frame_for(size, EDGES)
    assert frame.resized_size == resized
    assert all(c % 32 == 0 and 0 <= c - r < 32 for c, r in zip(frame.canvas_size, resized, strict=True))


@pytest.mark.parametrize(("size", "resized"), [((480, 640), (384, 512)), ((100, 1000), (64, 640))])
def test_canvas_fits_and_pads(size: tuple[int, int], resized: tuple[int, int]) -> None:
    frame = frame_for(size, CANVAS)
    assert (frame.resized_size, frame.canvas_size) == (resized, (384, 640))


@pytest.mark.parametrize("spec", [EDGES, CANVAS, replace(EDGES, color="bgr", mean=(103.53, 116.28, 123.675))])
@pytest.mark.parametrize("size", [(37, 53), (800, 800), (1, 1), (3, 400)])
def test_pixels_equal_the_reference(spec: Input, size: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    pixels, frame = preprocess(image, spec)
    height, width = frame.resized_size
    expected = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR).astype(np.float64)
    expected = expected[..., ::-1] if spec.color == "rgb" else expected
    expected = (expected - np.array(spec.mean)) / np.array(spec.std)
    assert pixels.shape == (3, *frame.canvas_size)
    np.testing.assert_allclose(pixels[:, :height, :width], expected.transpose(2, 0, 1), atol=1e-5)
    assert not pixels[:, height:].any() and not pixels[:, :, width:].any()
