"""The comparisons with goldens find what differs, and say what and where it is."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from golden.agreement import Logarithms, assert_detections_agree, assert_near, assert_tensors_agree
from golden.reader import Case, Sample

from detforge.deploy.results.instances import Instances

SAMPLE = Sample((2, 3), 2.0, np.array([1, 3, 5]), np.array([0.5, 0.25, 1.0], np.float32))
TENSOR = torch.tensor([[9.0, 0.5, 9.0], [0.25, 9.0, 1.0]])
BOXES = np.array([[0, 0, 10, 10], [20, 0, 30, 10]], np.float32)
CASE = Case(np.zeros(0), (64, 64), (0, 0), {}, BOXES, np.array([0.5, 0.75], np.float32), np.array([3, 3]))


def test_the_worst_value_of_a_tensor_is_told() -> None:
    assert_tensors_agree({"head/0": SAMPLE, "head/1": SAMPLE}, {"head/0": TENSOR, "head/1": None}, 1e-6)
    other = TENSOR.clone()
    other[1, 0] += 0.1
    with pytest.raises(AssertionError, match=r"head/0 is 5.00e-02 standard .* 0.35 at \(1, 0\), the reference's 0.25"):
        assert_tensors_agree({"head/0": SAMPLE}, {"head/0": other}, 1e-3)
    with pytest.raises(AssertionError, match="inf standard"):
        assert_tensors_agree({"head/0": SAMPLE}, {"head/0": other * np.nan}, 1e-3)
    with pytest.raises(AssertionError, match=r"shape \(3, 2\), the reference's \(2, 3\)"):
        assert_tensors_agree({"head/0": SAMPLE}, {"head/0": other.T}, 1e-3)
    with pytest.raises(KeyError, match="head/0"):
        assert_tensors_agree({"head/0": SAMPLE}, {}, 1e-3)


def test_logarithms_are_compared_with_logarithms() -> None:
    assert_tensors_agree({"p": SAMPLE}, {"p": Logarithms(TENSOR.log())}, 1e-6)
    std = np.log([0.5, 0.25, 1.0]).std()
    with pytest.raises(AssertionError, match=f"p is {0.1 / std:.2e} standard"):
        assert_tensors_agree({"p": SAMPLE}, {"p": Logarithms(TENSOR.log() + 0.1)}, 1e-3)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"scores": np.array([0.5, 0.752])}, "the reference's detection 1 has no partner; nearest: 2.00e-03 in score"),
        ({"boxes": BOXES + np.array([[0], [0.5]])}, "detection 1 .* 0.00e+00 in score, 5.00e-01 px"),
        ({"boxes": BOXES[[0, 0]], "scores": np.array([0.5, 0.5])}, "the reference's detection 1"),
        ({"labels": np.array([3, 2])}, "detection 1 has no partner"),
    ],
)
def test_a_detection_without_a_partner_is_told(change: dict, said: str) -> None:
    found = Instances(BOXES, CASE.scores, CASE.labels, tuple("abcd"), (64, 64))
    assert_detections_agree(CASE, found)
    with pytest.raises(AssertionError, match=said.replace("+", r"\+")):
        assert_detections_agree(CASE, replace(found, **change))


def test_the_worst_of_many_values_is_told() -> None:
    theirs = np.arange(12.0).reshape(3, 4)
    ours = theirs + 0.01
    assert_near("keypoint", ours, theirs, 0.02)
    ours[2, 1] += 0.5
    assert_near("keypoint", ours, theirs, 0.02, far=0.1)
    assert_near("keypoint", ours, theirs, np.where(theirs == 9, 1.0, 0.02))
    with pytest.raises(AssertionError, match=r"8.3% .* the worst, \(2, 1\), is 9.51 and the reference's 9, 5.10e-01"):
        assert_near("keypoint", ours, theirs, 0.02)
    with pytest.raises(AssertionError, match=r"100\.0%"):
        assert_near("keypoint", ours * np.nan, theirs, 0.02)
