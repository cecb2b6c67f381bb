"""Time GFL-R50 on an image of 1216x800, from the bytes of the image file to the detections.

    python benchmarks/end_to_end.py [--rounds 7] [--threads 2] [--file int8=FILE.onnx] [--json FILE]

Runs exported files in ONNX Runtime and OpenVINO, and the network in eager PyTorch, inside the same runtime and in one
process. All have the same random weights, on which the time does not depend. Each file passed verification; int8 is
calibrated on the photographs of examples/evaluation.
"""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
from turns import Table, deliver, in_turns, installed, parser

from detforge.deploy import load
from detforge.deploy.backends.automatic import choose_backend
from detforge.deploy.bench.environment import Watch
from detforge.deploy.inputs.image import decode_image
from detforge.deploy.loader import assemble
from detforge.export import export
from detforge.export.bench_peer import TorchBackend
from detforge.models.checkpoint import random_model
from detforge.models.zoo import find

EXAMPLES = Path(__file__).parents[1] / "examples"
FILES = Path("runs/benchmarks")
MODEL, SIZE = "gfl_r50", (1216, 800)


def main() -> None:
    """Print the medians, end to end and outside the network."""
    flags = parser(__doc__, 7)
    flags.add_argument("--file", action="append", default=[], metavar="NAME=FILE", help="another file of the network")
    arguments = flags.parse_args()
    torch.set_num_threads(arguments.threads)
    cv2.setNumThreads(arguments.threads)
    watch = Watch()
    picture = cv2.imread(str(sorted((EXAMPLES / "photos").glob("*.jpg"))[0]))
    data = cv2.imencode(".jpg", cv2.resize(picture, SIZE, interpolation=cv2.INTER_AREA))[1].tobytes()
    spent: dict[str, list[float]] = {}
    ways = {name: timed(name, model, data, spent) for name, model in models(arguments).items()}
    whole = in_turns(ways, arguments.rounds)
    outside = {name: f"{np.median(ms[1:]):.1f} ms outside the network" for name, ms in spent.items()}
    rows = [type(row)(row.way, row.ms, row.ratio, outside[row.way]) for row in whole]
    deliver("end_to_end", [Table(f"{MODEL}, {SIZE[0]}x{SIZE[1]}, batch 1", rows)], watch, arguments)


def models(arguments) -> dict[str, Callable]:
    """The detectors to compare, ours in fp32 first."""
    made: dict[str, Callable] = {}
    fp32, int8 = exported("fp32"), exported("int8")
    made["detforge fp32, ONNX Runtime"] = load(str(fp32), threads=arguments.threads)
    made["detforge int8, ONNX Runtime"] = load(str(int8), threads=arguments.threads)
    if installed("openvino"):
        made["detforge fp32, OpenVINO"] = load(str(fp32), backend="openvino", threads=arguments.threads)
        made["detforge int8, OpenVINO"] = load(str(int8), backend="openvino", threads=arguments.threads)
        made["detforge bf16, OpenVINO"] = load(str(exported("bf16")), threads=arguments.threads)
    for name, path in (each.split("=", 1) for each in arguments.file):
        backend = choose_backend(path, "cpu").backend
        made[f"detforge {name}, {backend}"] = load(path, threads=arguments.threads)
    variant, card = find(MODEL), load(str(fp32)).card
    made["eager PyTorch"] = assemble(TorchBackend(random_model(variant), card, "cpu"), card)
    return made


def exported(precision: str) -> Path:
    """The file, exported if it does not exist."""
    path = FILES / f"{MODEL}-{precision}.onnx"
    if not path.exists():
        calib = EXAMPLES / "evaluation" if precision == "int8" else None
        export(MODEL, checkpoint="random", precision=precision, calib=calib, output=path)
    return path


def timed(name: str, model: Callable, data: bytes, spent: dict[str, list[float]]) -> Callable[[], object]:
    """A function from bytes to detections that appends the milliseconds outside the network to `spent`."""

    def run() -> object:
        found = model(decode_image(data, "photo.jpg"))
        spent.setdefault(name, []).append(found.timing["pre"] + found.timing["post"])
        return found

    return run


if __name__ == "__main__":
    main()
