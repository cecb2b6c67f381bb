"""How pictures pass through detinfer: how many px are read of them, and the stages that overlap."""

import argparse
from collections.abc import Callable, Generator, Iterator
from itertools import islice

from .detector import Detector
from .errors import UsageError
from .image import Size
from .instances import Instances
from .loader import Model
from .overlap import ahead
from .preprocess import frame_for
from .report import Report
from .sources import Picture


def needed(model: Model, arguments: argparse.Namespace) -> Callable[[Size], Size] | None:
    """How many px the network wants of an image's, where --reduced asks for no more."""
    if not arguments.reduced:
        return None
    if not isinstance(model, Detector) or arguments.tile is not None:
        raise UsageError("--reduced is for a detector alone that sees whole images; leave it out, or name a --model")
    if not arguments.no_save or arguments.save_crops:
        raise UsageError("--reduced leaves too few pixels to save; use it with --no-save and without --save-crops")
    spec = model.card.input
    return lambda size: frame_for(size, spec).resized_size


def in_stages(
    pictures: Iterator[Picture], find: Callable[[list[Picture]], list[Instances]], report: Report, batch: int
) -> Generator[tuple[Picture, Instances]]:
    """Every picture and what is in it: the next ones are read and looked at while the caller works on one."""

    def groups() -> Generator[list[Picture]]:
        while group := report.timed("read", lambda: list(islice(pictures, batch))):
            yield group

    found = ((group, report.timed("detect", lambda g=group: _in_full(g, find(g)))) for group in ahead(groups(), 1))
    for group, instances in ahead(found, 1):
        yield from zip(group, instances, strict=True)


def _in_full(pictures: list[Picture], found: list[Instances]) -> list[Instances]:
    """In px of the files."""
    return [
        one if picture.full_size is None else one.scaled((picture.full_size[1], picture.full_size[0]))
        for picture, one in zip(pictures, found, strict=True)
    ]
