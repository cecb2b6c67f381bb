"""Results as rows of Parquet: one for each picture, with its detections or the error that it gave."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..results.instances import Instances
from ..system.errors import InputError, UsageError
from ..system.files import replacing
from .packages import package

RUN = b"detforge_run"
"""The key of a part's metadata that says which model and options made it."""
_TYPED = ("bbox", "score", "label", "category", "keypoints")


def schema(run: str) -> Any:
    """The columns of a part. Fields of a detection that are not typed are in `more`, as JSON."""
    arrow = package("pyarrow")
    numbers = arrow.list_(arrow.float64())
    detection = [
        ("bbox", numbers),
        ("score", arrow.float64()),
        ("label", arrow.int64()),
        ("category", arrow.string()),
        ("keypoints", numbers),
        ("more", arrow.string()),
    ]
    columns = [
        ("image", arrow.string()),
        ("frame", arrow.int64()),
        ("width", arrow.int64()),
        ("height", arrow.int64()),
        ("detections", arrow.list_(arrow.struct(detection))),
        ("error", arrow.string()),
    ]
    return arrow.schema(columns, metadata={RUN: run.encode()})


def row(found: Instances | InputError, image: str, frame: int | None = None) -> dict[str, Any]:
    """The row of one picture."""
    place = {"image": image, "frame": frame}
    if isinstance(found, InputError):
        return {**place, "width": None, "height": None, "detections": list[Any](), "error": str(found)}
    width, height = found.image_size
    detections = [_detection(record) for record in found.to_coco()]
    return {**place, "width": width, "height": height, "detections": detections, "error": None}


def records(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The detections of a row as detinfer --json has them."""
    place = {"image": row["image"]} | ({} if row["frame"] is None else {"frame": row["frame"]})
    size = {"image_size": [row["width"], row["height"]]}
    return [
        {**place, **size, **{name: each[name] for name in _TYPED if each[name] is not None}, **json.loads(each["more"])}
        for each in row["detections"]
    ]


def write_part(path: Path, rows: Sequence[Mapping[str, Any]], run: str) -> None:
    """Write rows to a Parquet file, whole or not at all."""
    table = package("pyarrow").Table.from_pylist(list(rows), schema=schema(run))
    with replacing(path) as temporary:
        package("pyarrow.parquet").write_table(table, temporary)


def read_part(path: Path) -> list[dict[str, Any]]:
    """The rows of a part. Raises InputError if it is none."""
    return _read(path, None).to_pylist()


def pictures_of(path: Path, run: str) -> Iterable[str]:
    """The names of the pictures in a part. Raises InputError if it is none, UsageError if another model made it."""
    table = _read(path, ["image"])
    metadata: dict[bytes, bytes] = table.schema.metadata or {}
    if metadata.get(RUN) != run.encode():
        raise UsageError(f"{path}: of another model or of other options; choose another place for the results")
    return table.column("image").to_pylist()


def _detection(record: Mapping[str, Any]) -> dict[str, Any]:
    typed = {name: record.get(name) for name in _TYPED}
    more = {name: value for name, value in record.items() if name not in (*_TYPED, "image", "image_size")}
    return {**typed, "more": json.dumps(more)}


def _read(path: Path, columns: list[str] | None) -> Any:
    arrow = package("pyarrow")
    try:
        return package("pyarrow.parquet").read_table(path, columns=columns)
    except (OSError, arrow.ArrowInvalid) as error:
        first = str(error).splitlines()[0]
        raise InputError(f"{path}: not a Parquet file; {first}; remove it, and its pictures are done again") from error
