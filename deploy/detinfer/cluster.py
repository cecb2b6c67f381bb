"""detinfer --ray: the pictures go to the workers of a Ray cluster, the results to Parquet or one JSON document."""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from ..batch.run import Run
from ..inputs.listing import Item
from ..options import Options
from ..system.console import ended_by
from ..system.errors import InputError, UsageError
from ..system.files import replacing
from .model import open_model
from .progress import progress

_SHARED = {
    *("source", "recursive", "model", "pose_model", "refine", "backend", "device", "threads", "batch"),
    *("json", "parquet", "ray", "out", "no_save", "overlap", "debug"),
    *(field.name for field in fields(Options)),
}
"""Flags that have a meaning on a cluster, or a default that does no harm. All others are refused."""


def check(arguments: argparse.Namespace) -> None:
    """Raise UsageError for flags that do not go together."""
    if arguments.ray is None:
        if arguments.parquet is not None:
            raise UsageError("--parquet is the output of --ray; use --json, or add --ray local")
        return
    for name, value in vars(arguments).items():
        if value and name not in _SHARED:
            raise UsageError(f"--{name.replace('_', '-')} does not go with --ray; leave one of them out")
    if (arguments.json is None) == (arguments.parquet is None):
        raise UsageError("--ray writes --json FILE or --parquet DIR; give one of them")
    if arguments.json == "-":
        raise UsageError("--ray keeps what is done in a folder beside --json FILE; give a file")


def infer(
    arguments: argparse.Namespace,
    items: Sequence[Item],
    report: Callable[[Exception], None],
) -> int | None:
    """Run on a cluster. Returns the exit code of a run that was stopped, else None."""
    arguments.threads = arguments.threads or 1
    model = open_model(arguments)
    if model.takes_boxes:
        raise UsageError(f"{model.card.model} needs boxes; make it the --pose-model of a detector")
    if model.takes_camera:
        raise UsageError(f"{model.card.model} finds poses in space, which --ray does not run; leave out --ray")
    items = [*{item.shown: item for item in map(_absolute, items)}.values()]
    folder = Path(arguments.parquet or f"{arguments.json}.parts")
    run = Run(model, folder, arguments.batch, arguments.threads)
    left = run.left(items)
    if len(left) < len(items):
        print(f"{len(items) - len(left)} of {len(items)} are done already, in {folder}/", file=sys.stderr)
    started, pictures, detections = time.perf_counter(), 0, 0
    with progress(left) as advance:
        try:
            for done in run.work(left, arguments.ray):
                pictures, detections = pictures + done.pictures, detections + done.detections
                for error in done.errors:
                    report(InputError(error))
                for _ in range(done.items):
                    advance()
        except KeyboardInterrupt as stop:
            print(f"stopped; the same command goes on, with what is in {folder}/", file=sys.stderr)
            return ended_by(stop)
    seconds = time.perf_counter() - started
    if arguments.json is not None:
        with replacing(Path(arguments.json)) as temporary, temporary.open("w", encoding="utf-8") as file:
            file.writelines(_document(run.records(items)))
        run.remove()
    print(f"pictures: {pictures}, detections: {detections}, {seconds:.2f} s; in {arguments.json or f'{folder}/'}")
    return None


def _document(records: Iterator[dict[str, Any]]) -> Iterator[str]:
    """A JSON list, a record at a time."""
    start = "["
    for record in records:
        yield start + json.dumps(record)
        start = ", "
    yield "[]\n" if start == "[" else "]\n"


def _absolute(item: Item) -> Item:
    return item if "://" in item.path else replace(item, path=str(Path(item.path).absolute()))
