"""Files that earlier versions exported keep opening, and find what they found then."""

import lzma
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from detforge.deploy import load
from detforge.deploy.backends import ort

KEPT = Path(__file__).parent.parent / "golden" / "schema1"
FOUND = np.load(KEPT / "found.npz")
BOXES = [[[20, 10, 90, 140], [-15, 40, 60, 160], [100, 30, 190, 150]], [[5, 5, 125, 170]]]


def picture(height: int, width: int, seed: int) -> NDArray[np.uint8]:
    """The picture that the files were run on: waves and a few rectangles."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    image = np.stack([127 + 90 * np.sin(x / (7 + 3 * c) + c) * np.cos(y / (11 + 2 * c)) for c in range(3)], -1)
    for _ in range(12):
        top, left = rng.integers(0, height - 20), rng.integers(0, width - 20)
        image[top : top + rng.integers(8, 60), left : left + rng.integers(8, 60)] = rng.integers(0, 256, 3)
    return np.clip(image, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("file", sorted(KEPT.glob("*.xz")), ids=lambda file: file.name.split(".")[0])
@pytest.mark.parametrize("kernels", [False, True], ids=["functions", "kernels"])
def test_an_old_file_opens_and_gives_equal_results(
    file: Path, kernels: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its functions, which it was run by then, and by our kernels where they were built."""
    if not kernels:
        monkeypatch.setattr(ort, "library", lambda _: None)
    path = tmp_path / file.stem
    path.write_bytes(lzma.decompress(file.read_bytes()))
    # A file that suppresses in its graph has a threshold of its own, below which it can keep nothing.
    model = load(str(path), conf=0.05 if "graph" in path.stem else 0.0, max_det=40)
    boxes = {"boxes": BOXES} if path.stem.startswith(("hrnet", "simcc")) else {}
    found = model([picture(150, 200, 0), picture(180, 130, 1)], **boxes)
    # Our kernels calculate in float where the functions round to half after each step.
    near = {"rtol": 2e-2, "atol": 1e-3} if kernels and "fp16" in path.stem else {"rtol": 1e-4, "atol": 1e-5}
    for i, one in enumerate(found):
        then = {name: FOUND[f"{path.stem}/{i}/{name}"] for name in ("boxes", "scores", "labels")}
        for name, values in then.items():
            np.testing.assert_allclose(
                getattr(one, name), values, **(near if name == "scores" else {"rtol": near["rtol"], "atol": 1e-2})
            )
        if f"{path.stem}/{i}/keypoints" in FOUND:
            keypoints = FOUND[f"{path.stem}/{i}/keypoints"]
            np.testing.assert_allclose(one.keypoints, keypoints, rtol=1e-4, atol=1e-2)
