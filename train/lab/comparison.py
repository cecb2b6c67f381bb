"""A comparison: ways that differ in one choice, trained with several seeds and measured; its table and charts."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...deploy.system.errors import UsageError
from ...deploy.system.files import read_json, write_text
from ..fit import progress_bar
from .chart import chart


@dataclass(frozen=True)
class Settings:
    """What all runs of a comparison share: steps of training, and generated scenes for training and for measuring."""

    steps: int
    scenes: int
    held_out: int


@dataclass(frozen=True)
class Reading:
    """What one trained network gave: values by name, and curves, of which each is values by place."""

    values: dict[str, float]
    curves: dict[str, dict[str, float]]


@dataclass(frozen=True)
class Way:
    """A kind of network, whose name is the same in all comparisons that have it.

    `train` trains one with a seed and settings, on scenes that are kept in a folder, on a device, and measures it.
    """

    network: str
    train: Callable[[int, Settings, Path, str], Reading]


@dataclass(frozen=True)
class Comparison:
    """Ways by name, and what the papers claim of them."""

    claim: str
    ways: Mapping[str, Way]


Runs = dict[str, dict[str, Reading]]
"""The readings by way and seed."""


def compare(
    name: str, comparison: Comparison, seeds: int, settings: Settings, folder: Path, scenes: Path, device: str
) -> Runs:
    """Train every way with each of `seeds` seeds, and write the readings into `folder` after each run.

    Runs that the folder has, of this comparison or of another, are not repeated. Raises UsageError if these have other
    settings.
    """
    files = {way: folder / f"{one.network}.json" for way, one in comparison.ways.items()}
    runs = {way: _read(file, settings) for way, file in files.items()}
    with progress_bar() as progress:
        task = progress.add_task(name, total=seeds * len(comparison.ways), losses="")
        for seed in range(seeds):
            for way, one in comparison.ways.items():
                progress.update(task, losses=f"{way}, seed {seed}")
                if str(seed) not in runs[way]:
                    runs[way][str(seed)] = one.train(seed, settings, scenes, device)
                    _write(files[way], settings, runs[way])
                progress.advance(task)
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / f"{name}.md", table(runs))
    for curve in next(iter(next(iter(runs.values())).values())).curves:
        write_text(folder / f"{name}-{curve.replace(' ', '_')}.svg", chart(curve, mean_curves(runs, curve)))
    return runs


def table(runs: Runs) -> str:
    """Markdown: for each way the mean of every value over the seeds, and their standard deviation."""
    names = list(dict.fromkeys(name for own in runs.values() for reading in own.values() for name in reading.values))
    lines = ["| | " + " | ".join(names) + " | seeds |", "|---" * (len(names) + 2) + "|"]
    for way, own in runs.items():
        cells: list[str] = []
        for name in names:
            values = [reading.values[name] for reading in own.values() if name in reading.values]
            cells.append(f"{np.mean(values):.2f} ± {np.std(values):.2f}" if values else "")
        lines.append(f"| {way} | " + " | ".join(cells) + f" | {len(own)} |")
    return "\n".join(lines) + "\n"


def mean_curves(runs: Runs, curve: str) -> dict[str, dict[float, float]]:
    """A curve of each way: the mean over the seeds that have a value, by place."""
    result: dict[str, dict[float, float]] = {}
    for way, own in runs.items():
        places = sorted({float(place) for reading in own.values() for place in reading.curves[curve]})
        found = [{float(place): value for place, value in reading.curves[curve].items()} for reading in own.values()]
        result[way] = {place: float(np.mean([one[place] for one in found if place in one])) for place in places}
    return result


def _read(file: Path, settings: Settings) -> dict[str, Reading]:
    """The readings of one kind of network by seed."""
    if not file.exists():
        return {}
    remedy = "give another folder with --output"
    kept: Any = read_json(file, remedy)
    try:
        if kept["settings"] != asdict(settings):
            raise UsageError(f"{file}: has runs with other settings; {remedy}")
        return {seed: Reading(**one) for seed, one in kept["runs"].items()}
    except (KeyError, TypeError, AttributeError):
        raise UsageError(f"{file}: does not hold runs of the lab; {remedy}") from None


def _write(file: Path, settings: Settings, runs: dict[str, Reading]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    kept = {seed: asdict(one) for seed, one in runs.items()}
    write_text(file, json.dumps({"settings": asdict(settings), "runs": kept}, indent=1) + "\n")
