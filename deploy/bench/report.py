"""The results of a benchmark, and how they are read and written as JSON and CSV."""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from ..backends.node_times import NodeTime
from ..coco.accuracy import Accuracy
from ..contract.parse import FieldError, parse, require
from ..system.errors import InputError
from ..system.files import read_json

SCHEMA = 2
STAGES = ("decode", "pre", "infer", "post", "e2e")
METRICS = ("mean", "p50", "p90", "p99")
ACCURACY = ("ap", "ap50", "ap75")
MOST_SAMPLES = 2000
PEER = "torch"


@dataclass(frozen=True)
class Case:
    """One configuration to measure. Two reports are compared case by case. `model` is the name of its file.

    The backend "torch" is the peer: the same network in eager PyTorch.
    """

    model: str
    backend: str
    device: str
    batch: int
    streams: int

    @property
    def setup(self) -> tuple[str, str, str]:
        """The model, backend and device: what the accuracy depends on."""
        return self.model, self.backend, self.device

    def __str__(self) -> str:
        streams = f", {self.streams} streams" if self.streams > 1 else ""
        return f"{self.model} on {self.backend} {self.device}, batch {self.batch}{streams}"


@dataclass(frozen=True)
class Latency:
    """Statistics of one stage, in milliseconds per batch."""

    mean: float
    p50: float
    p90: float
    p99: float


@dataclass(frozen=True)
class Result:
    """The results of one case over `batches` batches.

    `ms` has a Latency for each of STAGES; e2e covers everything from the bytes of the image files to the detections.
    `e2e_ms` has the single values of e2e in run order, at most MOST_SAMPLES evenly chosen. `model_fps` and `e2e_fps`
    are in images per second; the former counts the stage infer only. `peak_mib` is the peak resident memory of the
    process while the case ran, None if the system does not provide it. `nodes` are the slowest nodes if profiled.
    `accuracy` is the AP if there are annotations.
    """

    case: Case
    batches: int
    ms: dict[str, Latency]
    model_fps: float
    e2e_fps: float
    peak_mib: float | None
    e2e_ms: tuple[float, ...] = ()
    nodes: tuple[NodeTime, ...] = ()
    accuracy: Accuracy | None = None

    def __post_init__(self) -> None:
        require(set(self.ms) == set(STAGES), "results.ms", ", ".join(STAGES))


@dataclass(frozen=True)
class Ratio:
    """The median latency of a peer divided by that of the exported file."""

    peer: Case
    infer: float
    e2e: float


@dataclass(frozen=True)
class BenchmarkReport:
    """The results of one run of detbench, with its environment and settings."""

    environment: dict[str, Any]
    settings: dict[str, Any]
    results: tuple[Result, ...]
    schema: int

    def __post_init__(self) -> None:
        require(self.schema == SCHEMA, "schema", str(SCHEMA))

    def ratios(self) -> list[Ratio]:
        """The ratio for each peer in the report."""
        ours = {replace(r.case, backend=PEER): r.ms for r in self.results if r.case.backend != PEER}
        return [
            Ratio(r.case, *(r.ms[stage].p50 / ours[r.case][stage].p50 for stage in ("infer", "e2e")))
            for r in self.results
            if r.case.backend == PEER
        ]

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2, allow_nan=False) + "\n"


def read_report(path: Path) -> BenchmarkReport:
    """Read a report from a JSON file. Raises InputError if it is missing or invalid."""
    data = read_json(path, "make a report with detbench --json")
    try:
        return parse(BenchmarkReport, data, "")
    except FieldError as error:
        raise InputError(f"{path}: not a report of this version; {error}; make one with detbench --json") from error


def first_accuracy(results: Sequence[Result]) -> Accuracy | None:
    """The accuracy of the first model, with which the others are compared; None without annotations."""
    return next((result.accuracy for result in results if result.accuracy is not None), None)


def to_csv(results: Sequence[Result]) -> str:
    """A CSV table with a header and a line for each case and stage; values that do not apply are empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = [field.name for field in fields(Case)]
    writer.writerow([*names, "batches", "stage", *(f"{metric}_ms" for metric in METRICS), "fps", "peak_mib", *ACCURACY])
    for result in results:
        case = [getattr(result.case, name) for name in names]
        fps = {"infer": result.model_fps, "e2e": result.e2e_fps}
        accuracy = [getattr(result.accuracy, name, None) for name in ACCURACY]
        for stage, latency in result.ms.items():
            figures = [getattr(latency, metric) for metric in METRICS]
            writer.writerow([*case, result.batches, stage, *figures, fps.get(stage), result.peak_mib, *accuracy])
    return text.getvalue()
