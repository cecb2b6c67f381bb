"""Preprocessing against the references' own arithmetic (mmcv.rescale_size, DetDataPreprocessor), in NumPy."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from canvas import preprocessed
from golden.reader import load_ops

from detforge.deploy import _native
from detforge.deploy.inputs.network_inputs import ImageInput
from detforge.deploy.inputs.resize import Pad, Resize
from detforge.models.variant import padded

EDGES = ImageInput(
    Resize((800, 1333), "edges", pad=Pad(multiple=32)), "rgb", (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
)
CANVAS = replace(EDGES, place=EDGES.place.fixed((384, 640)))
RESIZES = {case["name"]: case for case in load_ops("resizes")}


def levels(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """The image resized to uint8 levels, which is what everything else is made of."""
    canvas = np.empty((3, height, width), np.uint8)
    plain = ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))
    _native.resize(image, canvas, (height, width), (0, 0), *plain, False, 1)
    return canvas.transpose(1, 2, 0)


@pytest.mark.parametrize("name", RESIZES)
def test_resize_equals_mmcv(name: str) -> None:
    expected = RESIZES[name]["out"]["y"]
    np.testing.assert_array_equal(levels(RESIZES[name]["in"]["img"], *expected.shape[:2]), expected)


@pytest.mark.parametrize(
    ("size", "resized"),
    [
        ((1080, 1920), (360, 640)),
        ((427, 640), (800, 1199)),
        ((64, 64), (32, 32)),
        ((37, 53), (91, 17)),
        ((3, 5), (100, 200)),
        ((1, 1), (5, 5)),
        ((100, 3), (77, 4)),
        ((9, 3000), (1, 331)),
        ((20, 30), (20, 30)),
    ],
)
def test_resize_is_within_one_level_of_opencv(size: tuple[int, int], resized: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    expected = cv2.resize(image, resized[::-1], interpolation=cv2.INTER_LINEAR).reshape(*resized, 3)
    assert np.abs(levels(image, *resized) - expected.astype(int)).max() <= 1


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
    frame = EDGES.place.whole(size)
    assert frame.resized_size == resized
    assert all(c % 32 == 0 and 0 <= c - r < 32 for c, r in zip(frame.canvas_size, resized, strict=True))


@pytest.mark.parametrize(("size", "resized"), [((480, 640), (384, 512)), ((100, 1000), (64, 640))])
def test_canvas_fits_and_pads(size: tuple[int, int], resized: tuple[int, int]) -> None:
    frame = CANVAS.place.whole(size)
    assert (frame.resized_size, frame.canvas_size) == (resized, (384, 640))


@pytest.mark.parametrize("spec", [EDGES, CANVAS, replace(EDGES, color="bgr", mean=(103.53, 116.28, 123.675))])
@pytest.mark.parametrize("size", [(37, 53), (800, 800), (1, 1), (3, 400)])
def test_pixels_equal_the_reference(spec: ImageInput, size: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    pixels, frame = preprocessed(image, spec)
    height, width = frame.resized_size
    expected = levels(image, height, width).astype(np.float64)
    expected = expected[..., ::-1] if spec.color == "rgb" else expected
    expected = (expected - np.array(spec.mean)) / np.array(spec.std)
    assert pixels.shape == (3, *frame.canvas_size)
    np.testing.assert_allclose(pixels[:, :height, :width], expected.transpose(2, 0, 1), atol=1e-5)
    assert not pixels[:, height:].any() and not pixels[:, :, width:].any()


@pytest.mark.parametrize("size", [(300, 700), (900, 700)])
def test_threads_and_mirrored_views_change_nothing(size: tuple[int, int]) -> None:
    spec = padded(EDGES, centered=True, value=114.0)
    image = np.random.default_rng(1).integers(0, 256, (*size, 3), np.uint8)[:, ::-1]
    alone, frame = preprocessed(image.copy(), spec)
    together = np.full_like(alone, np.nan)
    frame.fill(together, image, spec.pixels, threads=7)
    np.testing.assert_array_equal(together, alone)


@pytest.mark.parametrize(("dtype", "std"), [(np.float16, 0.02), (np.uint8, 2.0)])
def test_other_types_of_canvas_hold_the_values_rounded(dtype: type, std: float) -> None:
    spec = replace(padded(CANVAS, value=114.0), mean=(40.0, 0.0, 2.0), std=(std, std, std))
    image = np.random.default_rng(2).integers(0, 256, (50, 60, 3), np.uint8)
    values, frame = preprocessed(image, spec)
    canvas = np.empty(values.shape, dtype)
    frame.fill(canvas, image, spec.pixels, 1)
    expected = values.astype(dtype) if dtype == np.float16 else np.floor(np.clip(values, 0, 255) + 0.5)
    np.testing.assert_array_equal(canvas, expected)


def test_what_does_not_fit_is_refused() -> None:
    image, ones = np.zeros((4, 4, 3), np.uint8), (1.0, 1.0, 1.0)
    for shape, size, offset in [((3, 8, 8), (8, 9), (0, 0)), ((3, 8, 8), (4, 4), (5, 0)), ((3, 8, 8), (0, 4), (0, 0))]:
        with pytest.raises(ValueError, match=r"lie on the canvas|no pixels"):
            _native.resize(image, np.empty(shape, np.float32), size, offset, ones, ones, ones, False, 1)
    with pytest.raises(ValueError, match="float32, float16 or uint8"):
        _native.resize(image, np.empty((3, 4, 4)), (4, 4), (0, 0), ones, ones, ones, False, 1)
