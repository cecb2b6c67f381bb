"""Time masks: paste those of 100 detections into an image of 1333x800 px and write COCO's run lengths.

    python benchmarks/masks.py [--rounds 10] [--json FILE]

Smooth masks of 28 x 28 cells over boxes of 20 to 400 px. Against matrix products in NumPy, which paste by the same
rule, and pycocotools. Both must give the same text.
"""

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco
from turns import Table, deliver, in_turns, parser

from detforge.deploy.bench.environment import Watch
from detforge.deploy.columns import Masks

COUNT, CELLS, SIZE = 100, 28, (1333, 800)


def main() -> None:
    """Print the medians."""
    arguments = parser(__doc__, 10).parse_args()
    watch = Watch()
    masks, boxes = given()
    column = Masks(masks, boxes, SIZE)
    ways = {
        "detforge": lambda: [record["segmentation"]["counts"] for record in column.records()],
        "NumPy and pycocotools": lambda: with_numpy(masks, boxes),
    }
    texts, expected = (way() for way in ways.values())
    assert texts == expected
    title = f"{COUNT} masks, {SIZE[0]}x{SIZE[1]} px"
    deliver("masks", [Table(title, in_turns(ways, arguments.rounds))], watch, arguments)


def given() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Probabilities that fall off from a centre, and boxes in the image."""
    draw = np.random.default_rng(0)
    y, x = np.mgrid[:CELLS, :CELLS] / CELLS - 0.5
    centre, wide = draw.uniform(-0.1, 0.1, (2, COUNT, 1, 1)), draw.uniform(0.2, 0.5, (COUNT, 1, 1))
    logits = 8 * (1 - np.hypot(x - centre[0], y - centre[1]) / wide) + draw.normal(0, 0.3, (COUNT, CELLS, CELLS))
    sides = draw.uniform(20, 400, (COUNT, 2))
    low = draw.uniform(0, 1, (COUNT, 2)) * (np.array(SIZE) - sides)
    return (1 / (1 + np.exp(-logits))).astype(np.float32), np.concatenate((low, low + sides), 1).astype(np.float32)


def with_numpy(masks: NDArray[np.float32], boxes: NDArray[np.float32]) -> list[str]:
    """Each mask as two matrix products, in an image of its own for pycocotools."""
    texts: list[str] = []
    for mask, box in zip(masks.astype(np.float64), boxes.astype(np.float64), strict=True):
        whole = np.zeros(SIZE[::-1], np.uint8, order="F")
        (left, columns), (top, rows) = (weights(box[axis], box[axis + 2], SIZE[axis]) for axis in (0, 1))
        whole[top : top + len(rows), left : left + len(columns)] = rows @ mask @ columns.T >= 0.5
        texts.append(coco.encode(whole)["counts"].decode())
    return texts


def weights(low: float, high: float, size: int) -> tuple[int, NDArray[np.float64]]:
    """The first pixel between two sides, and the weights (px, cells) of each."""
    first, last = (int(np.clip(side, 0, size)) for side in (np.floor(low), np.ceil(high)))
    centres = (np.arange(first, last) + 0.5 - low) / ((high - low) / CELLS) - 0.5
    return first, np.maximum(0, 1 - np.abs(centres[:, None] - np.arange(CELLS)))


if __name__ == "__main__":
    main()
