"""What detinfer prints: a table for each picture, or JSON, and a summary."""

import json
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from ..inputs.sources import Picture
from ..results.instances import Instances
from ..system.files import replacing

_ROWS = 15
_MOST_CHARACTERS = 1 << 25
_MOST_NAMES = 20

T = TypeVar("T")


class Printer:
    """Collects and prints the results of a run.

    `json_target` is a file, "-" for stdout, where nothing else is printed then, or None; with `stream` stdout
    gets a JSON line for each picture. A context: a long document grows in a temporary file, so that memory does not.
    """

    def __init__(self, json_target: str | None, *, stream: bool) -> None:
        self._json_target = json_target
        self._stream = stream
        # It ends with the report. A short one is kept in memory: there may be no place for files.
        self._records = tempfile.SpooledTemporaryFile(_MOST_CHARACTERS, "w+", encoding="utf-8")  # noqa: SIM115
        self._is_empty = True
        self._started = time.perf_counter()
        self._pictures = self._detections = 0
        self._seconds: dict[str, float] = {"read": 0.0, "detect": 0.0, "save": 0.0}

    def __enter__(self) -> "Printer":
        return self

    def __exit__(self, *_: object) -> None:
        self._records.close()

    def timed(self, stage: str, work: Callable[[], T]) -> T:
        """Do some work and count its time to a stage of the summary; stages overlap."""
        started = time.perf_counter()
        try:
            return work()
        finally:
            self._seconds[stage] += time.perf_counter() - started

    def add(self, picture: Picture, found: Instances, facts: Mapping[str, Any]) -> None:
        """One picture's results, and what else is known of it for the JSON."""
        self._pictures += 1
        self._detections += len(found)
        name = picture.name
        place = {"image": name, **facts} if picture.index is None else {"image": name, "frame": picture.index, **facts}
        records = [{**record, **place} for record in found.to_coco(name)]
        if self._stream:
            line = {**place, "image_size": list(found.image_size), "detections": records}
            print(json.dumps(line), flush=True)
        elif self._json_target is not None:
            for record in records:
                self._records.write(("[" if self._is_empty else ", ") + json.dumps(record))
                self._is_empty = False
        if self._json_target != "-":
            print(_table(picture, found))

    def finish(self, saved_to: Path | None, skipped: Sequence[str]) -> None:
        """Write the JSON document and the summary, unless nothing could be read; it names the files `skipped`."""
        if not self._pictures:
            return
        if self._json_target is not None and not self._stream:
            self._write_document(self._json_target)
        stages = ", ".join(f"{stage} {seconds:.2f}" for stage, seconds in self._seconds.items())
        where = f"; saved to {saved_to}/" if saved_to is not None else ""
        if skipped:
            names = ", ".join([*skipped[:_MOST_NAMES], *["…"] * (len(skipped) > _MOST_NAMES)])
            where += f"; skipped {len(skipped)} that are no picture or video: {names}"
        total = time.perf_counter() - self._started
        print(
            f"pictures: {self._pictures}, detections: {self._detections}, {total:.2f} s ({stages}){where}",
            file=sys.stderr if self._json_target == "-" else sys.stdout,
        )

    def _write_document(self, target: str) -> None:
        self._records.write("[]\n" if self._is_empty else "]\n")
        self._records.seek(0)
        if target == "-":
            shutil.copyfileobj(self._records, sys.stdout)
            return
        with replacing(Path(target)) as temporary, temporary.open("w", encoding="utf-8") as file:
            shutil.copyfileobj(self._records, file)


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
    notes = ["".join(row) for row in zip(*(column.notes() for column in found.columns.values()), strict=True)]
    rows = zip(names, found.scores.tolist(), found.boxes.tolist(), notes or [""] * len(found), strict=True)
    for name, score, box, note in islice(rows, _ROWS):
        lines.append(f"  {name:{pad}}  {score:.3f}  " + " ".join(f"{side:8.1f}" for side in box) + note)
    if len(found) > _ROWS:
        lines.append(f"  … {len(found) - _ROWS} more")
    return "\n".join([*lines, speed])
