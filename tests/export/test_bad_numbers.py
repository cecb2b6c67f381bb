"""What an export says of pictures that cannot be read and of numbers that are none."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from detforge.deploy.system.errors import InputError
from detforge.export.calibrate import calibration_images
from detforge.export.comparison import TOLERANCES, Comparison


def write(folder: Path, count: int) -> None:
    for i in range(count):
        cv2.imwrite(str(folder / f"{i}.png"), np.full((8, 8, 3), i, np.uint8))


def test_a_corrupt_calibration_image_is_skipped_and_counted(tmp_path: Path) -> None:
    write(tmp_path, 5)
    (tmp_path / "3.png").write_bytes((tmp_path / "3.png").read_bytes()[:40])
    (tmp_path / "notes.txt").write_text("none of them")
    with pytest.warns(UserWarning, match=r"calibration skips 1 of 5 images; the first: .*3\.png: ") as said:
        files = calibration_images("int8", tmp_path, 256)
    assert [Path(file).name for file in files] == ["0.png", "1.png", "2.png", "4.png"]
    assert len(said) == 1


def test_no_calibration_image_that_can_be_read_is_an_error(tmp_path: Path) -> None:
    write(tmp_path, 2)
    for file in tmp_path.iterdir():
        file.write_bytes(b"none")
    with pytest.raises(InputError, match=r"0\.png: "):
        calibration_images("int8", tmp_path, 256)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_a_rejected_file_with_nan_says_so(precision: str, value: float) -> None:
    comparison = Comparison(TOLERANCES[precision])
    expected = np.ones((1, 4, 2), np.float32)
    comparison.add("scores", expected, expected)
    assert comparison.problem is None
    got = expected.copy()
    got[0, 1] = value
    comparison.add("scores", got, expected)
    assert comparison.problem == "scores has 2 values that are NaN or infinite"
    remedy = comparison.remedy(precision)
    assert ("fp32" in remedy and "bf16" in remedy) == (precision != "fp32")


def test_a_file_that_is_only_inexact_has_the_remedies_of_before() -> None:
    comparison = Comparison(TOLERANCES["fp16"])
    comparison.add("scores", np.ones((1, 4), np.float32), np.zeros((1, 4), np.float32))
    assert "differs by up to 1;" in str(comparison.problem) and "--atol" in comparison.remedy("fp16")
