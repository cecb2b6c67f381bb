"""The suppression operator keeps what the runtime's own suppression keeps, of more boxes than TensorRT looks at."""

import numpy as np
import pytest
from ladder import buffer
from numpy.typing import NDArray

from detforge.deploy import _native
from detforge.plugins.core.abi import Buffer, Call, Library
from detforge.plugins.core.libraries import library

IOU = np.full(1, 0.5, np.float32)
Candidates = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]


def candidates(count: int) -> Candidates:
    """Boxes about as many places as there are for a third of them, scores that repeat and are never 0, three labels."""
    rng = np.random.default_rng(count)
    centres = rng.uniform(0, 30 * count**0.5, (count // 3 + 1, 2))[rng.integers(0, count // 3 + 1, count)]
    centres += rng.normal(0, 3, centres.shape)
    sides = rng.uniform(8, 40, (count, 2))
    boxes = np.concatenate((centres - sides / 2, centres + sides / 2), 1).astype(np.float32)
    scores = (rng.integers(1, 500, count) / 512).astype(np.float32)
    return boxes, scores, rng.integers(0, 3, count).astype(np.float32)


def close_calls() -> Candidates:
    """Pairs that overlap by the threshold, but for the last digits: only double tells which of them stay."""
    rng = np.random.default_rng(0)
    count = 64
    left, width = 100 * np.arange(count) + rng.random(count), rng.uniform(20, 60, count)
    shift = width / 3  # of which two thirds of the width are shared, and four thirds are covered
    boxes = np.zeros((count, 2, 4), np.float32)
    boxes[:, 0] = np.stack((left, np.zeros(count), left + width, width), 1)
    boxes[:, 1] = np.stack((left + shift, np.zeros(count), left + width + shift, width), 1)
    scores = rng.permutation(2 * count).astype(np.float32) + 1
    return boxes.reshape(-1, 4), scores, np.zeros(2 * count, np.float32)


def kept(run_on: str, given: Candidates, limit: int, emulated_gpu: Library) -> list[int]:
    """What the operator keeps, best first."""
    boxes, scores, labels = given
    count = len(scores)
    inputs = [np.ascontiguousarray(x) for x in (boxes[None], scores[None], labels[None], IOU)]
    call = Call("Nms", "float32", [buffer(x) for x in inputs], {"classes": 3, "limit": limit})
    output = np.empty((1, count, 2), np.float32)
    if run_on == "cpu":
        path = library("detforge_cpu")
        assert path is not None
        Library(path).run_cpu(call, buffer(output))
    else:
        workspace = np.empty(emulated_gpu.workspace(call), np.uint8)
        emulated_gpu.run_cuda(call, buffer(output), Buffer(workspace.ctypes.data, workspace.shape))
    found = output[0, :, 0] > 0
    assert not output[0, ~found].any()
    return output[0, found, 1].astype(int).tolist()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("given", "limit"),
    [(candidates(6000), 6000), (candidates(6000), 100), (close_calls(), 128)],
    ids=["all", "limited", "close calls"],
)
@pytest.mark.parametrize("run_on", ["cpu", "emulated GPU"])
def test_equals_the_runtime(run_on: str, given: Candidates, limit: int, emulated_gpu: Library) -> None:
    boxes, scores, labels = given
    expected = _native.nms(boxes, scores, labels.astype(np.int64), float(IOU[0]), limit).tolist()
    assert 64 < len(expected) < len(scores)
    assert kept(run_on, given, limit, emulated_gpu) == expected


@pytest.mark.slow
@pytest.mark.parametrize(("dtype", "most"), [("float32", 1 << 24), ("float16", 2048), ("bfloat16", 256)])
def test_more_than_a_type_tells_apart_is_refused(dtype: str, most: int, emulated_gpu: Library) -> None:
    def call(count: int) -> Call:
        shapes = ((1, count, 4), (1, count), (1, count), (1,))
        return Call("Nms", dtype, [Buffer(0, shape) for shape in shapes], {"classes": 3, "limit": 100})

    assert emulated_gpu.workspace(call(most)) > 0
    with pytest.raises(ValueError, match=r"scores is not .* 2048 in half, 256 in bfloat16"):
        emulated_gpu.workspace(call(most + 1))
