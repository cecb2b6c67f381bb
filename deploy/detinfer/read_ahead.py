"""Reading, detecting and saving at the same time."""

import argparse
from collections.abc import Callable, Generator, Iterator
from itertools import islice

from ..inputs.image import Size
from ..inputs.sources import Picture
from ..pipelines.each import found_in_each
from ..pipelines.pipeline import Pipeline
from ..results.instances import Instances
from ..system.errors import InputError, UsageError
from ..system.overlap import ahead
from .printer import Printer


def needed(model: Pipeline, arguments: argparse.Namespace) -> Callable[[Size], Size] | None:
    """How many px of an image the network needs; None without --reduced, which asks for no more."""
    if not arguments.reduced:
        return None
    if not arguments.no_save or arguments.save_crops:
        raise UsageError("--reduced leaves too few pixels to save; use it with --no-save and without --save-crops")
    if arguments.tile is not None:
        raise UsageError("--reduced leaves too few pixels for tiles; leave out one of --reduced and --tile")
    return model.needed()


def find_ahead(
    pictures: Iterator[Picture], find: Callable[[list[Picture]], list[Instances]], printer: Printer, batch: int
) -> Generator[tuple[Picture, Instances | InputError]]:
    """Every picture and what is in it, or why the network cannot take it; the next ones are read and looked at while
    the caller works on one.
    """

    def groups() -> Generator[list[Picture]]:
        while group := printer.timed("read", lambda: list(islice(pictures, batch))):
            yield group

    found = ((group, printer.timed("detect", lambda g=group: found_in_each(g, find))) for group in ahead(groups(), 1))
    for group, instances in ahead(found, 1):
        for picture, one in zip(group, instances, strict=True):
            yield picture, _in_full(picture, one)


def _in_full(picture: Picture, found: Instances | InputError) -> Instances | InputError:
    """The detections in px of the file, which may have been decoded to fewer px."""
    if picture.full_size is None or isinstance(found, InputError):
        return found
    return found.scaled((picture.full_size[1], picture.full_size[0]))
