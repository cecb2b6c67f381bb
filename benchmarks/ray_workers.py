"""Time detinfer --ray with one and two workers against one process, on generated pictures, in one run.

    python benchmarks/ray_workers.py [--pictures 400] [--rounds 3] [--json FILE]

Every worker and the plain process have one thread. Times are of a picture, from its file to its results; the start of
Ray and of its workers, which does not grow with the pictures, is beside them.
"""

import os
import statistics
import tempfile
import time
from pathlib import Path

import cv2
from turns import Row, Table, deliver, parser

from detforge.deploy import load
from detforge.deploy.batch.run import Run
from detforge.deploy.bench.environment import Watch
from detforge.deploy.inputs.listing import find_items

PHOTO = Path(__file__).parents[1] / "examples/photos/desk.jpg"
PLAIN = "one process"


def main() -> None:
    """Print the median time of a picture each way."""
    flags = parser(__doc__, 3)
    flags.set_defaults(threads=1)
    flags.add_argument("--pictures", type=int, default=400)
    arguments = flags.parse_args()
    cv2.setNumThreads(1)
    watch = Watch()
    ways = {PLAIN: 0, "Ray, 1 worker": 1, "Ray, 2 workers": 2}
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder), arguments.pictures)
        for _ in range(arguments.rounds):
            for name, workers in ways.items():
                times[name].append(by_ray(folder, workers) if workers else by_one_process(folder))
    rows: list[Row] = []
    for name, timed in times.items():
        own = [ms for ms, _ in timed]
        ratio = statistics.median(ms / plain for ms, (plain, _) in zip(own, times[PLAIN], strict=True))
        start = statistics.median(s for _, s in timed)
        rows.append(Row(name, statistics.median(own), ratio, f"{start:.1f} s to start"))
    deliver("ray_workers", [Table(f"{arguments.pictures} pictures of 320x240, gfl_markers", rows)], watch, arguments)


def generate(folder: Path, count: int) -> None:
    """Write parts of a photograph with markers."""
    photo = cv2.imread(str(PHOTO))
    for i in range(count):
        x, y = i % 160, i // 160 % 160 + 200
        cv2.imwrite(str(folder / f"{i}.jpg"), photo[y : y + 240, x : x + 320])


def by_one_process(folder: str) -> tuple[float, float]:
    """Milliseconds of a picture, and seconds until the first result."""
    started = time.perf_counter()
    found = load("gfl_markers", threads=1).stream(folder)
    next(found)
    first = time.perf_counter()
    count = sum(1 for _ in found)
    return (time.perf_counter() - first) / count * 1e3, first - started


def by_ray(folder: str, workers: int) -> tuple[float, float]:
    """Milliseconds of a picture once every worker has done a part, and seconds until then."""
    with tempfile.TemporaryDirectory() as parts:
        share = max(1, (os.cpu_count() or 1) // workers)  # so many workers have room; the network keeps its one thread
        run = Run(load("gfl_markers", threads=1), Path(parts), 1, share)
        started = time.perf_counter()
        done = run.work(find_items(folder).items, "local")
        for _ in range(workers):
            next(done)
        first = time.perf_counter()
        count = sum(each.pictures for each in done)
        return (time.perf_counter() - first) / count * 1e3, first - started


if __name__ == "__main__":
    main()
