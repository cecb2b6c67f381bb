"""Time the crops of people: the native pass against a loop of OpenCV's warpAffine and NumPy normalisation.

    python benchmarks/crops.py [--people 8] [--rounds 100] [--json FILE]

The people have various sizes on a 1080p frame; the canvases are 256x192. Also prints the largest difference between the
results; the native pass rounds as OpenCV 4 does.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from turns import Table, deliver, in_turns, parser

from detforge.deploy.bench.environment import Watch
from detforge.deploy.inputs.crop import Crop, WarpedFrame, fill_warped
from detforge.deploy.inputs.geometry import Image, Normalization

HEIGHT, WIDTH = 256, 192
PLACE = Crop((HEIGHT, WIDTH), enlarge=(1.25, 1.25))
PIXELS = Normalization("rgb", (123.675, 116.28, 103.53), (58.395, 57.12, 57.375))


def main() -> None:
    """Print the medians."""
    flags = parser(__doc__, 100)
    flags.add_argument("--people", type=int, default=8)
    arguments = flags.parse_args()
    cv2.setNumThreads(arguments.threads)
    watch = Watch()
    draw = np.random.default_rng(0)
    image = cv2.GaussianBlur(draw.integers(0, 256, (1080, 1920, 3), np.uint8), (9, 9), 0)
    heights = draw.uniform(100, 900, arguments.people)
    centres = draw.uniform((200, 200), (1720, 880), (arguments.people, 2))
    halves = heights[:, None] * (0.2, 0.5)
    crops = [PLACE.of_box(box, (1080, 1920)) for box in np.concatenate((centres - halves, centres + halves), 1)]
    ours, theirs = (np.empty((len(crops), 3, HEIGHT, WIDTH), np.float32) for _ in range(2))
    ways = {
        "detforge": lambda: fill_warped(ours, image, crops, PIXELS),
        "warpAffine and NumPy": lambda: with_opencv(theirs, image, crops),
    }
    rows = in_turns(ways, arguments.rounds)
    levels = np.abs(ours - theirs).max() * min(PIXELS.std)  # One level is 1 / std.
    title = f"{len(crops)} people of 1080p at {HEIGHT}x{WIDTH}, at most {levels:.1f} levels apart"
    deliver("crops", [Table(title, rows)], watch, arguments)


def with_opencv(canvases: NDArray[np.float32], image: Image, crops: Sequence[WarpedFrame]) -> None:
    """The equivalent of `fill_warped` in OpenCV and NumPy."""
    mean, std = (np.array(values, np.float32) for values in (PIXELS.mean, PIXELS.std))
    for canvas, crop in zip(canvases, crops, strict=True):
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        pixels = cv2.warpAffine(image, crop.matrix, (WIDTH, HEIGHT), flags=flags)
        canvas[:] = ((pixels[:, :, ::-1].astype(np.float32) - mean) / std).transpose(2, 0, 1)


if __name__ == "__main__":
    main()
