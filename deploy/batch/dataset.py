"""Detection in the images of a Ray dataset."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..inputs.image import decode_image
from ..inputs.sources import Picture
from ..loader import load
from ..pipelines.each import found_in_each
from ..pipelines.pipeline import Pipeline
from ..results.instances import Instances
from ..system.errors import InputError
from ..system.typed import typed
from .packages import package
from .rows import row, schema


def detect(
    dataset: Any, *, model: str | Path, image: str = "bytes", batch: int = 1, threads: int = 1, **options: Any
) -> Any:
    """Detect in every row of a Ray dataset, whose column `image` has the bytes of an image file.

    Returns a dataset with the columns `width`, `height`, `detections` and `error` added. Detections are records as of
    detinfer --json, with fields that not every network has as JSON in `more`; a row without an image has its `error`.
    `model` and `options` are those of `load()`; the file must be readable by every worker. Each worker has `threads`
    CPUs and loads the model once. Ray starts as many as the cluster has room for, and needs one CPU more to read.
    `batch` images run together if their canvases have the same size. Raises what `load()` raises.

    >>> found = detect(ray.data.read_binary_files("photos"), model="gfl_markers")
    >>> sorted(found.take(1)[0])
    ['bytes', 'detections', 'error', 'height', 'path', 'width']
    """
    typed("image", str, image)
    pipeline = load(model, threads=threads, **options)
    return dataset.map_batches(
        _Detections,
        fn_constructor_kwargs={"pipeline": pipeline, "image": image},
        batch_size=batch,
        batch_format="pyarrow",
        num_cpus=threads,
        compute=package("ray.data").ActorPoolStrategy(min_size=1),
    )


class _Detections:
    """One loaded model in a worker."""

    def __init__(self, pipeline: Pipeline, image: str) -> None:
        self._pipeline, self._image = pipeline, image

    def __call__(self, table: Any) -> Any:
        files: list[bytes | None] = table.column(self._image).to_pylist()
        rows = [row(one, "") for one in found_in(self._pipeline, [_picture(data) for data in files])]
        added = package("pyarrow").Table.from_pylist(rows, schema=schema()).drop_columns(["image", "frame"])
        for name in added.column_names:
            table = table.append_column(name, added.column(name))
        return table


def found_in(pipeline: Pipeline, pictures: Sequence[Picture | InputError]) -> list[Instances | InputError]:
    """What is in each picture; errors stay where they are."""
    good = [each for each in pictures if isinstance(each, Picture)]
    found = iter(found_in_each(good, lambda some: pipeline([picture.image for picture in some])))
    return [next(found) if isinstance(each, Picture) else each for each in pictures]


def _picture(data: bytes | None) -> Picture | InputError:
    try:
        return Picture("the image", decode_image(data or b"", "the image"))
    except InputError as error:
        return error
