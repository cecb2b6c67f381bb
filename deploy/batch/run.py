"""A run over a Ray cluster: parts of the pictures go to workers, and each finished part is a file.

A part is written whole or not at all, under a name that depends on its pictures alone. So a worker that dies loses no
picture, one that works twice doubles none, and a run that was stopped leaves out the pictures in the parts that exist.
An item that kills worker after worker, such as an image that needs more memory than there is, becomes a row with that
error.
"""

import contextlib
import hashlib
import json
import logging
import os
import signal
import sys
from collections.abc import Generator, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any, cast

from ..inputs.listing import Item
from ..inputs.sources import Picture
from ..pipelines.pipeline import Pipeline
from ..system.errors import AbsentError, DetforgeError, InputError
from .dataset import found_in
from .deaths import Deaths
from .packages import package
from .rows import items_of, read_part, records, row, write_part
from .sources import open_source

_MOST = 64
"""Items of a part at most. Loading a part again after a worker has died costs this much."""
_MOST_DEATHS = 2
"""An item is given up after so many deaths at it. The first in a part does not count: its item is unknown."""
_PARTS_OF_WORKER = 4
"""Parts for each worker at least, so that none waits long for the last."""


@dataclass(frozen=True)
class Done:
    """What a finished part held."""

    items: int
    pictures: int
    detections: int
    errors: list[str]


class Run:
    """The detections of a pipeline in items, in a folder of parts."""

    def __init__(self, pipeline: Pipeline, folder: Path, batch: int, threads: int) -> None:
        self._pipeline, self._folder, self._batch, self._threads = pipeline, folder, batch, threads
        self._made_by = _described(pipeline)

    def left(self, items: Sequence[Item]) -> list[Item]:
        """The items that no part has yet. Raises UsageError for parts of another model."""
        done = {name for part in self._parts() for name in items_of(part, self._made_by)}
        return [item for item in items if item.shown not in done]

    def work(self, items: Sequence[Item], address: str) -> Iterator[Done]:
        """Run on a cluster, or on this machine if the address is "local".

        Raises AbsentError if no cluster answers, and DetforgeError if the workers fail.
        """
        if not items:
            return
        ray, data = package("ray"), package("ray.data")
        self._tidy()
        with _connected(ray, address):
            gpus = 1 if self._pipeline_is_on_gpu() else 0
            resources = ray.cluster_resources()
            room = int(resources.get("CPU", 1) // self._threads)
            workers = max(1, min(room, int(resources.get("GPU", 0))) if gpus else room)
            size = max(1, min(_MOST, len(items) // (workers * _PARTS_OF_WORKER)))
            parts = [{"items": json.dumps([asdict(item) for item in part])} for part in _in_parts(items, size)]
            given = {"pipeline": self._pipeline, "folder": str(self._folder.absolute()), "batch": self._batch}
            done = data.from_items(parts, override_num_blocks=len(parts)).map(
                Worker,
                fn_constructor_kwargs={**given, "made_by": self._made_by},
                compute=data.ActorPoolStrategy(size=min(workers, len(parts))),
                num_cpus=self._threads,
                num_gpus=gpus,
            )
            try:
                for each in done.iter_rows():
                    if each["failure"]:
                        raise DetforgeError(each["failure"])
                    yield Done(**json.loads(each["done"]))
            except ray.exceptions.RayError as error:
                first = str(error).strip().splitlines()[0]
                raise DetforgeError(
                    f"the workers of {address} failed; {first}; finished parts are kept, and the same command goes on"
                ) from error
        self._tidy()

    def records(self, items: Sequence[Item]) -> Iterator[dict[str, Any]]:
        """All detections in the order of the items, as detinfer --json has them."""
        counts = {part: items_of(part, self._made_by) for part in self._parts()}
        part_of = {name: part for part, names in counts.items() for name in names}
        opened: Path | None = None
        rows: dict[str, list[dict[str, Any]]] = {}
        for item in items:
            part = part_of[item.shown]
            if part != opened:
                every = iter(read_part(part))
                opened = part
                rows = {name: list(islice(every, count)) for name, count in counts[part].items()}
            for each in rows[item.shown]:
                yield from records(each)

    def remove(self) -> None:
        """Delete the parts."""
        for part in self._parts():
            part.unlink()
        self._folder.rmdir()

    def _tidy(self) -> None:
        """Delete what workers that were killed have left."""
        for leftover in [*self._folder.glob(".part-*"), *self._folder.glob("part-*.begun")]:
            leftover.unlink()

    def _parts(self) -> list[Path]:
        return sorted(self._folder.glob("part-*.parquet"))

    def _pipeline_is_on_gpu(self) -> bool:
        asked: Any = getattr(self._pipeline.reopen, "keywords", {})
        return asked.get("device") not in (None, "cpu")


class Worker:
    """One loaded model in a process of its own, which turns parts of the items into files."""

    def __init__(self, pipeline: Pipeline, folder: str, batch: int, made_by: str) -> None:
        self._pipeline, self._folder, self._batch, self._made_by = pipeline, Path(folder), batch, made_by

    def __call__(self, part: dict[str, Any]) -> dict[str, str]:
        try:
            done = self._work([Item(**item) for item in json.loads(part["items"])])
        except DetforgeError as error:  # a line of its own, without the traces of the processes between
            return {"done": "", "failure": str(error)}
        return {"done": json.dumps(asdict(done)), "failure": ""}

    def _work(self, items: Sequence[Item]) -> Done:
        name = hashlib.sha256("\0".join(item.shown for item in items).encode()).hexdigest()[:16]
        deaths = Deaths(self._folder / f"part-{name}.begun")
        pictures = _pictures(items, deaths)
        counts = dict.fromkeys((item.shown for item in items), 0)
        rows: list[dict[str, Any]] = []
        while group := list(islice(pictures, 1 if deaths.again else self._batch)):
            found = found_in(self._pipeline, [picture for *_, picture in group])
            for (item, called, picture), one in zip(group, found, strict=True):
                rows.append(row(one, called, picture.index if isinstance(picture, Picture) else None))
                counts[item.shown] += 1
        write_part(self._folder / f"part-{name}.parquet", rows, self._made_by, counts)
        deaths.forget()
        errors = [each["error"] for each in rows if each["error"] is not None]
        found_count = sum(len(each["detections"]) for each in rows)
        return Done(len(items), len(rows) - len(errors), found_count, errors)


def _pictures(items: Sequence[Item], deaths: Deaths) -> Iterator[tuple[Item, str, Picture | InputError]]:
    """Every picture of the items, with its name, or why there is none."""
    for number, item in enumerate(items):
        if deaths.at(number) >= _MOST_DEATHS:
            yield item, item.name, InputError(f"{item.shown}: workers die of it; it may need more memory than there is")
            continue
        if deaths.again:
            deaths.note(number)
        for name, picture in open_source(item):
            yield item, name, picture


def _in_parts(items: Sequence[Item], size: int) -> list[Sequence[Item]]:
    """So many items in each part; a shard is a part of its own."""
    shards = [item for item in items if item.kind == "shard"]
    others = [item for item in items if item.kind != "shard"]
    return [*([shard] for shard in shards), *(others[i : i + size] for i in range(0, len(others), size))]


def _described(pipeline: Pipeline) -> str:
    """Which files, by their content, and which options a pipeline was opened with."""
    asked: dict[str, Any] = dict(getattr(pipeline.reopen, "keywords", {}))
    told = {name: _told(value) for name, value in asked.items() if name not in ("threads", "streams")}
    return json.dumps(told, sort_keys=True, default=str)


def _told(value: Any) -> Any:
    if isinstance(value, list):
        return [_told(each) for each in cast(list[Any], value)]
    return hashlib.sha256(value.read_bytes()).hexdigest() if isinstance(value, Path) else value


@contextlib.contextmanager
def _connected(ray: Any, address: str) -> Generator[None]:
    """A connection to a cluster that says nothing unless something is wrong."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR, "include_dashboard": False}
    if address != "local":
        quiet = {"log_to_driver": False, "logging_level": logging.ERROR, "address": address}
    ended = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(**quiet)
    except (ConnectionError, ValueError, RuntimeError) as error:
        first = str(error).strip().splitlines()[0]
        raise AbsentError(
            f"--ray {address}: no cluster answers; {first}; check the address or use --ray local"
        ) from error
    signal.signal(signal.SIGTERM, ended)  # Ray's own would end the command before it can say how to go on
    context = package("ray.data").DataContext.get_current()
    context.enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # what fails is our error
    with contextlib.redirect_stdout(sys.stderr):  # Ray prints there what happens to its processes
        try:
            yield
        finally:
            ray.shutdown()
