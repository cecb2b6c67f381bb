"""Results as rows of Parquet: one for each picture, with its detections or the error that it gave."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..results.instances import Instances
from ..system.errors import InputError, UsageError
from ..system.files import replacing
from .packages import package

RUN = b"detforge_run"
"""The key of a part's metadata that says which model and options made it."""
ITEMS = b"detforge_items"
"""The key of the sources in a part, in order, each with its number of rows."""
_TYPED = ("bbox", "score", "label", "category", "keypoints")


def schema() -> Any:
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
    return arrow.schema(columns)


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


def write_part(path: Path, rows: Sequence[Mapping[str, Any]], run: str, items: Mapping[str, int]) -> None:
    """Write the rows of items to a Parquet file, whole or not at all."""
    metadata = {RUN: run.encode(), ITEMS: json.dumps(items).encode()}
    table = package("pyarrow").Table.from_pylist(list(rows), schema=schema().with_metadata(metadata))
    with replacing(path) as temporary:
        package("pyarrow.parquet").write_table(table, temporary)


def read_part(path: Path) -> list[dict[str, Any]]:
    """The rows of a part. Raises InputError if it is none."""
    return _read("read_table", path).to_pylist()


def items_of(path: Path, run: str) -> dict[str, int]:
    """The sources in a part, in order, each with its number of rows.

    Raises InputError if it is no part, and UsageError if another model made it.
    """
    metadata: dict[bytes, bytes] = _read("read_schema", path).metadata or {}
    if metadata.get(RUN) != run.encode() or ITEMS not in metadata:
        raise UsageError(f"{path}: of another model or of other options; choose another place for the results")
    return json.loads(metadata[ITEMS])


def _detection(record: Mapping[str, Any]) -> dict[str, Any]:
    typed = {name: record.get(name) for name in _TYPED}
    more = {name: value for name, value in record.items() if name not in (*_TYPED, "image", "image_size")}
    return {**typed, "more": json.dumps(more)}


def _read(function: str, path: Path) -> Any:
    try:
        return getattr(package("pyarrow.parquet"), function)(path)
    except (OSError, package("pyarrow").ArrowInvalid) as error:
        first = str(error).splitlines()[0]
        raise InputError(f"{path}: not a Parquet file; {first}; remove it, and its pictures are done again") from error
