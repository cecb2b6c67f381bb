"""What a benchmark found, and its way to JSON and back and to CSV."""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from ..backends.node_times import NodeTime
from ..contract.parse import FieldError, parse, require
from ..system.errors import InputError

SCHEMA = 2
STAGES = ("decode", "pre", "infer", "post", "e2e")
METRICS = ("mean", "p50", "p90", "p99")
MOST_SAMPLES = 2000
PEER = "torch"


@dataclass(frozen=True)
class Case:
    """What is measured; two reports are compared where these agree. `model` is the name of its file.

    The backend "torch" is a peer: the same network in eager PyTorch.
    """

    model: str
    backend: str
    device: str
    batch: int
    streams: int

    def __str__(self) -> str:
        streams = f", {self.streams} streams" if self.streams > 1 else ""
        return f"{self.model} on {self.backend} {self.device}, batch {self.batch}{streams}"


@dataclass(frozen=True)
class Latency:
    """Milliseconds for a whole batch."""

    mean: float
    p50: float
    p90: float
    p99: float


@dataclass(frozen=True)
class Result:
    """One case's figures over `batches` batches.

    `ms` has a Latency for each of STAGES: e2e runs from the bytes of the image files to the detections and is
    measured around the whole; `e2e_ms` has its single values in their order, at most MOST_SAMPLES evenly chosen. The
    rates are in images a second; the model's counts infer alone. `peak_mib` is the process's resident memory at its
    highest while the case ran, None where the system does not tell. `nodes` are the network's slowest, where they
    were asked for.
    """

    case: Case
    batches: int
    ms: dict[str, Latency]
    model_fps: float
    e2e_fps: float
    peak_mib: float | None
    e2e_ms: tuple[float, ...] = ()
    nodes: tuple[NodeTime, ...] = ()

    def __post_init__(self) -> None:
        require(set(self.ms) == set(STAGES), "results.ms", ", ".join(STAGES))


@dataclass(frozen=True)
class Ratio:
    """How many times as long as a file of ours its peer takes, by medians."""

    peer: Case
    infer: float
    e2e: float


@dataclass(frozen=True)
class BenchmarkReport:
    """A run: its results, in what environment and with which settings."""

    environment: dict[str, Any]
    settings: dict[str, Any]
    results: tuple[Result, ...]
    schema: int

    def __post_init__(self) -> None:
        require(self.schema == SCHEMA, "schema", str(SCHEMA))

    def ratios(self) -> list[Ratio]:
        """Each peer against the file that it stands beside."""
        ours = {replace(r.case, backend=PEER): r.ms for r in self.results if r.case.backend != PEER}
        return [
            Ratio(r.case, *(r.ms[stage].p50 / ours[r.case][stage].p50 for stage in ("infer", "e2e")))
            for r in self.results
            if r.case.backend == PEER
        ]

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2, allow_nan=False) + "\n"


def read_report(path: Path) -> BenchmarkReport:
    """A report from its JSON file; InputError when it is missing, or names the field that does not fit."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read; {error.strerror}; check the path") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not JSON; {error}; make a report with detbench --json") from error
    try:
        return parse(BenchmarkReport, data, "")
    except FieldError as error:
        raise InputError(f"{path}: not a report of this detbench; {error}; make one with detbench --json") from error


def to_csv(results: Sequence[Result]) -> str:
    """A line for each case and stage, under a line of names; what does not apply is empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = [field.name for field in fields(Case)]
    writer.writerow([*names, "batches", "stage", *(f"{metric}_ms" for metric in METRICS), "fps", "peak_mib"])
    for result in results:
        case = [getattr(result.case, name) for name in names]
        fps = {"infer": result.model_fps, "e2e": result.e2e_fps}
        for stage, latency in result.ms.items():
            figures = [getattr(latency, metric) for metric in METRICS]
            writer.writerow([*case, result.batches, stage, *figures, fps.get(stage), result.peak_mib])
    return text.getvalue()
