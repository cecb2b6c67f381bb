"""What detinfer prints: a table for each picture, or JSON, and a summary."""

import json
import sys
import time
from collections import Counter
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from .files import write_text
from .instances import Instances
from .sources import Picture

_ROWS = 15

T = TypeVar("T")


class Report:
    """Collects and prints the results of a run.

    `json_target` is a file, "-" for stdout, where nothing else is printed then, or None; with `stream` stdout
    gets a JSON line for each picture.
    """

    def __init__(self, json_target: str | None, *, stream: bool) -> None:
        self._json_target = json_target
        self._stream = stream
        self._records: list[dict[str, Any]] = []
        self._pictures = self._detections = 0
        self._seconds: dict[str, float] = {"read": 0.0, "detect": 0.0, "save": 0.0}

    def timed(self, stage: str, work: Callable[[], T]) -> T:
        """Do some work and count its time to a stage of the summary."""
        started = time.perf_counter()
        try:
            return work()
        finally:
            self._seconds[stage] += time.perf_counter() - started

    def add(self, picture: Picture, found: Instances) -> None:
        """One picture's results."""
        self._pictures += 1
        self._detections += len(found)
        name = Path(picture.name).name
        place = {"image": name} if picture.index is None else {"image": name, "frame": picture.index}
        records = [{**record, **place} for record in found.to_coco(name)]
        if self._stream:
            line = {**place, "image_size": list(found.image_size), "detections": records}
            print(json.dumps(line), flush=True)
        elif self._json_target is not None:
            self._records += records
        if self._json_target != "-":
            print(_table(picture, found))

    def finish(self, saved_to: Path | None) -> None:
        """Write the JSON document and the summary, unless nothing could be read."""
        if not self._pictures:
            return
        if self._json_target == "-" and not self._stream:
            print(json.dumps(self._records))
        elif self._json_target is not None and not self._stream:
            write_text(Path(self._json_target), json.dumps(self._records) + "\n")
        stages = ", ".join(f"{stage} {seconds:.2f}" for stage, seconds in self._seconds.items())
        where = f"; saved to {saved_to}/" if saved_to is not None else ""
        total = sum(self._seconds.values())
        print(
            f"pictures: {self._pictures}, detections: {self._detections}, {total:.2f} s ({stages}){where}",
            file=sys.stderr if self._json_target == "-" else sys.stdout,
        )


def _table(picture: Picture, found: Instances) -> str:
    """Label, score and box of the best detections; a frame of a video gets one line."""
    speed = "speed: " + ", ".join(f"{stage} {ms:.1f} ms" for stage, ms in found.timing.items())
    names = [found.names[int(label)] for label in found.labels]
    if picture.index is not None:
        what = ", ".join(f"{count} {name}" for name, count in Counter(names).most_common()) or "nothing"
        return f"{picture.name} {picture.index}: {what}; {speed}"
    width, height = found.image_size
    lines = [f"{picture.name}: {width}x{height}, {len(found)} found"]
    pad = max(map(len, names[:_ROWS]), default=0)
    rows = zip(names, found.scores.tolist(), found.boxes.tolist(), strict=True)
    for name, score, box in islice(rows, _ROWS):
        lines.append(f"  {name:{pad}}  {score:.3f}  " + " ".join(f"{side:8.1f}" for side in box))
    if len(found) > _ROWS:
        lines.append(f"  … {len(found) - _ROWS} more")
    return "\n".join([*lines, speed])
