"""The names of classes and keypoints: from a file with one name per line, the checkpoint or the variant."""

import warnings
from dataclasses import replace
from pathlib import Path

from ..deploy.contract.skeleton import Skeleton
from ..deploy.system.errors import InputError
from ..models.checkpoint import Checkpoint
from ..models.config.labels import stated_skeleton
from ..models.config.text import ConfigError
from ..models.skeletons import unlinked
from ..models.variant import Variant
from .source import Source


def labels_of(variant: Variant, checkpoint: Checkpoint, classes: int, file: str | Path | None) -> tuple[str, ...]:
    """The name of each class of a detector: from the file, the checkpoint or the variant, else a number.

    Raises InputError for an unsuitable file.
    """
    if file is not None:
        return read_labels(Path(file), classes, "classes")
    stated = checkpoint.labels
    if stated is not None and len(stated) == classes:
        return stated
    if stated is not None:
        _warn(f"{checkpoint.name} has {classes} classes and names {len(stated)}; they are numbered")
    elif len(variant.labels) == classes:
        return variant.labels
    return tuple(f"class_{i}" for i in range(classes))


def skeleton_of(source: Source, checkpoint: Checkpoint, count: int, file: str | Path | None) -> Skeleton:
    """The keypoints of a pose network: by the checkpoint or the variant, else numbered. A file renames them.

    The variant's pairs and links hold only for its own names, and where these are assumed, there are no pairs: a wrong
    one would mix up keypoints. Raises InputError for an unsuitable file, and for a
    checkpoint that contradicts itself.
    """
    own = source.variant.skeleton
    assert own is not None
    try:
        stated = stated_skeleton(checkpoint.meta)
    except ConfigError as error:
        raise InputError(f"{checkpoint.name}: {error}; correct its metadata") from None
    names = None if file is None else read_labels(Path(file), count, "keypoints")
    if stated is not None and len(stated.keypoints) == count:
        return stated if names is None else replace(stated, keypoints=names)
    if names is not None:
        return own if names == own.keypoints else unlinked(names)
    if stated is not None:
        _warn(f"{checkpoint.name} has {count} keypoints and names {len(stated.keypoints)}; they are numbered")
    elif len(own.keypoints) == count:
        if source.is_own and not source.facts:
            _warn(
                f"{checkpoint.name} names no keypoints; those of {source.variant.name} are assumed, without a flip test"
            )
            return replace(own, pairs=())
        return own
    return unlinked(tuple(f"keypoint_{i}" for i in range(count)))


def _warn(what: str) -> None:
    warnings.warn(f"{what}; name them in a file with --labels", stacklevel=3)


def read_labels(path: Path, count: int | None, what: str) -> tuple[str, ...]:
    """Read `count` names of `what` ("classes") from a text file, or all if `count` is None.

    An empty line before the last name is the empty label of a number that is no class, unless there are `count` names.
    Raises InputError if the file cannot be read or has another number of names.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()  # Windows editors write a byte order mark.
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise InputError(
            f"{path}: the labels cannot be read; {reason}; give a text file with one name per line"
        ) from error
    every = [line.strip() for line in lines]
    names = [line for line in every if line]
    readings = [names]
    if what == "classes":
        to_the_last = every[: max((i for i, line in enumerate(every) if line), default=-1) + 1]
        readings = [to_the_last] if count is None else [names, to_the_last]
    for reading in readings:
        if names and len(reading) == (count or len(reading)):
            return tuple(reading)
    raise InputError(f"{path}: {len(names)} labels, but the model has {count} {what}; give one name per line")
