"""Time hard, class-aware non-maximum suppression that keeps all remaining boxes.

    python benchmarks/nms.py [--rounds 30] [--threads 2] [--json FILE]

Against cv2.dnn.NMSBoxesBatched, supervision, ONNX Runtime's NonMaxSuppression and, if it loads, torchvision. Prints
the number of boxes kept, which must be equal.
"""

import contextlib
from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray
from turns import Table, deliver, in_turns, installed, parser

from detforge.deploy.bench.environment import Watch
from detforge.deploy.contract.suppression import Suppress
from detforge.deploy.results.instances import Instances
from detforge.deploy.suppress import suppress

IOU, CLASSES = 0.6, 80
Boxes = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]


def main() -> None:
    """Print the medians for every set of boxes."""
    arguments = parser(__doc__, 30).parse_args()
    cv2.setNumThreads(arguments.threads)
    watch = Watch()
    tables: list[Table] = []
    for title, given in (
        ("5000 boxes with little overlap", scattered(5000)),
        ("1000 boxes in 50 clusters", clustered(1000, 50)),
        ("5000 boxes in 100 clusters", clustered(5000, 100)),
    ):
        ways = ways_to_suppress(given, arguments.threads)
        results = {name: f"{len(way())} kept" for name, way in ways.items()}
        tables.append(Table(title, in_turns(ways, arguments.rounds, results)))
    deliver("nms", tables, watch, arguments)


def scattered(n: int) -> Boxes:
    """Boxes of 10 to 60 px at random positions on an image of 1333x800."""
    rng = np.random.default_rng(0)
    corners = rng.uniform((0, 0), (1333, 800), (n, 2))
    return _boxes(rng, corners, rng.uniform(10, 60, (n, 2)), rng.integers(0, CLASSES, n))


def clustered(n: int, clusters: int) -> Boxes:
    """Equal numbers of boxes around each object, jittered by a few px."""
    rng = np.random.default_rng(1)
    own = np.arange(n) % clusters
    corners = rng.uniform((0, 0), (1200, 700), (clusters, 2))[own] + rng.normal(0, 4, (n, 2))
    sides = rng.uniform(60, 200, (clusters, 2))[own] * rng.uniform(0.9, 1.1, (n, 2))
    return _boxes(rng, corners, sides, rng.integers(0, CLASSES, clusters)[own])


def _boxes(rng: np.random.Generator, corners: NDArray, sides: NDArray, labels: NDArray[np.int64]) -> Boxes:
    scores = ((rng.permutation(len(labels)) + 1) / (len(labels) + 1)).astype(np.float32)
    return np.concatenate((corners, corners + sides), 1).astype(np.float32), scores, labels


def ways_to_suppress(given: Boxes, threads: int) -> dict[str, Callable[[], NDArray]]:
    """Functions that return the scores of the boxes kept."""
    boxes, scores, labels = given
    spec = Suppress(conf=0.0, iou=IOU, max_det=100_000)
    names = tuple(map(str, range(CLASSES)))
    ways: dict[str, Callable[[], NDArray]] = {
        "detforge": lambda: suppress(Instances(*given, names, (1333, 800)), spec).scores
    }
    xywh = np.concatenate((boxes[:, :2], boxes[:, 2:] - boxes[:, :2]), 1)
    ways["cv2.dnn.NMSBoxesBatched"] = lambda: cv2.dnn.NMSBoxesBatched(xywh, scores, labels.astype(np.int32), 0.0, IOU)
    if installed("supervision"):
        from supervision.detection.utils.iou_and_nms import box_non_max_suppression

        rows = np.concatenate((boxes, scores[:, None], labels[:, None].astype(np.float32)), 1)
        ways["supervision"] = lambda: scores[box_non_max_suppression(rows, IOU)]
    if installed("onnxruntime", "onnx"):
        ways["ONNX Runtime's op"] = in_onnx_runtime(given, threads)
    with contextlib.suppress(ImportError, RuntimeError):  # It loads only with the torch that it was built for.
        import torch
        from torchvision.ops import batched_nms

        tensors = [torch.from_numpy(each) for each in given]
        ways["torchvision"] = lambda: batched_nms(*tensors, IOU).numpy()
    return ways


def in_onnx_runtime(given: Boxes, threads: int) -> Callable[[], NDArray]:
    """NonMaxSuppression ignores labels, so the boxes of every class are offset, as exporters do."""
    import onnx
    import onnxruntime as ort
    from onnx import TensorProto, helper

    boxes, scores, labels = given
    moved = (boxes + labels[:, None].astype(np.float32) * np.float32(4096))[None]
    names = [("boxes", moved.shape, TensorProto.FLOAT), ("scores", (1, 1, len(scores)), TensorProto.FLOAT)]
    limits = [("most", TensorProto.INT64, 2**31), ("iou", TensorProto.FLOAT, IOU)]
    graph = helper.make_graph(
        [helper.make_node("NonMaxSuppression", ["boxes", "scores", "most", "iou"], ["kept"])],
        "nms",
        [helper.make_tensor_value_info(name, kind, shape) for name, shape, kind in names],
        [helper.make_tensor_value_info("kept", TensorProto.INT64, [None, 3])],
        [helper.make_tensor(name, kind, [1], [value]) for name, kind, value in limits],
    )
    model = helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 20)])
    onnx.checker.check_model(model)
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    feeds = {"boxes": moved, "scores": scores[None, None]}
    return lambda: session.run(None, feeds)[0]


if __name__ == "__main__":
    main()
