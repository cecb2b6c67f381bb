"""A keypoint drawn as a label and read by the runtime's decoder is where it was, up to the decoder's own floor."""

import re
from pathlib import Path

import pytest

from detforge.train.labels.__main__ import floors

FLOORS = {(label, decoder): errors for label, decoder, errors in floors()}
HALF_CELL = 0.3826  # the mean distance of a point in a unit square from the square's centre
LARGEST = {
    "argmax": 0.708,
    "quarter": 0.354,  # the same in a quarter of the square
    "parabola": 0.02,
    "paraboloid": 0.05,
    "dark": 1e-3,
    "gaussfit": 1e-4,
    "udp": 1e-3,
    "offsets": 1e-4,
    "megvii": 0.708,
    "simcc": 0.354,
}


@pytest.mark.parametrize(("label", "decoder"), FLOORS)
def test_the_largest_error(label: str, decoder: str) -> None:
    rounded = label in ("Gaussian at the cell",)
    assert FLOORS[label, decoder].max() <= (0.708 if rounded else LARGEST[decoder])


def test_rounded_labels_lose_half_a_cell() -> None:
    """What a label has rounded, no decoder finds again."""
    for (label, _), errors in FLOORS.items():
        if label == "Gaussian at the cell" or label.startswith("blurred"):
            assert errors.mean() == pytest.approx(HALF_CELL, rel=0.03)
        if label.startswith("bins"):
            assert errors.mean() == pytest.approx(HALF_CELL / 2, rel=0.03)


def test_the_documented_floors_are_these() -> None:
    text = (Path(__file__).parents[2] / "docs" / "training.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([^|]+) \| `(\w+)` \| ([\d.]+) \| ([\d.]+) \|$", text, re.MULTILINE)
    written = {(label, decoder): (float(mean), float(largest)) for label, decoder, mean, largest in rows}
    assert written.keys() == FLOORS.keys()
    for key, (mean, largest) in written.items():
        assert (mean, largest) == pytest.approx((FLOORS[key].mean(), FLOORS[key].max()), abs=2e-4)
