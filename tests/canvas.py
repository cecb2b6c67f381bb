"""An image on its canvas, as a network's input has it."""

import numpy as np
from numpy.typing import NDArray

from detforge.deploy.inputs.network_inputs import ImageInput
from detforge.deploy.inputs.resize import ResizedFrame


def preprocessed(image: NDArray[np.uint8], spec: ImageInput) -> tuple[NDArray[np.float32], ResizedFrame]:
    """The input (3, h, w) float32 of an image (h, w, 3) uint8 BGR, and how it lies there."""
    frame = spec.place.whole((image.shape[0], image.shape[1]))
    canvas = np.empty((3, *frame.canvas_size), np.float32)
    frame.fill(canvas, image, spec.pixels, 1)
    return canvas, frame
