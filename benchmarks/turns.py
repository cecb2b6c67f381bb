"""Shared code of the side-by-side benchmarks: run ways in turns in one process, write JSON for docs/benchmarks.py."""

import argparse
import importlib.util
import json
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from detforge.deploy.bench.environment import Watch

REST_S = 0.02
"""Pause before every run, so that the threads of the previous way stop spinning."""


@dataclass(frozen=True)
class Row:
    """One way: its median in milliseconds, the median over rounds of its ratio to ours, and its result."""

    way: str
    ms: float
    ratio: float
    result: str = ""


@dataclass(frozen=True)
class Table:
    """The ways of one task, ours first."""

    title: str
    rows: Sequence[Row]


def in_turns(
    ways: Mapping[str, Callable[[], object]], rounds: int, results: Mapping[str, str] | None = None
) -> list[Row]:
    """Run every way once per round, after one untimed round. The first way is ours."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds + 1):
        for name, way in ways.items():
            time.sleep(REST_S)
            started = time.perf_counter()
            way()
            times[name].append((time.perf_counter() - started) * 1e3)
    ours = next(iter(times.values()))[1:]
    rows: list[Row] = []
    for name, ms in times.items():
        ratio = statistics.median(theirs / own for theirs, own in zip(ms[1:], ours, strict=True))
        rows.append(Row(name, statistics.median(ms[1:]), ratio, (results or {}).get(name, "")))
    return rows


def installed(*packages: str) -> bool:
    """Whether all packages are installed. Prints the missing ones on stderr."""
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    for name in missing:
        print(f"skipped, since it is not installed: {name}", file=sys.stderr)
    return not missing


def parser(about: str | None, rounds: int) -> argparse.ArgumentParser:
    """A parser with the flags that all scripts share."""
    made = argparse.ArgumentParser(description=(about or "").splitlines()[0])
    made.add_argument("--rounds", type=int, default=rounds)
    made.add_argument("--threads", type=int, default=2)
    made.add_argument("--json", type=Path, help="also write the results to this file")
    return made


def deliver(name: str, tables: Sequence[Table], watch: Watch, arguments: argparse.Namespace) -> None:
    """Print the tables, and write them as JSON to the file of --json."""
    for table in tables:
        print(table.title)
        for row in table.rows:
            print(f"  {row.way:34} {row.ms:10.3f} ms {row.ratio:8.2f}x  {row.result}")
    if arguments.json is not None:
        settings = {key: value for key, value in vars(arguments).items() if key != "json"}
        report = {"benchmark": name, "environment": watch.environment(arguments.threads), "settings": settings}
        report["tables"] = [asdict(table) for table in tables]
        arguments.json.write_text(json.dumps(report, indent=1, default=str) + "\n", encoding="utf-8")
