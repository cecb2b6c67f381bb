"""The names of an adopted file's classes and keypoints."""

import ast
from pathlib import Path
from typing import Any, cast

from ...deploy.contract.port import Arrays
from ...deploy.contract.skeleton import Skeleton
from ...deploy.system.errors import InputError, UsageError
from ...models.labels import COCO
from ...models.skeletons import COCO_PERSON, FACE, QUADRILATERAL, unlinked
from ..labels import read_labels
from .foreign import Foreign
from .recipe import Recipe


def labels_for(recipe: Recipe, foreign: Foreign, count: int | None, given: Path | None) -> tuple[str, ...]:
    """The names of `count` classes, if that is known: the given ones, the file's own, the recipe's, COCO's, or numbers.

    Raises InputError for given names of another number, UsageError if nothing says how many there are.
    """
    if given is not None and (given != Path("coco") or given.exists()):
        return read_labels(given, count, "classes")
    if given is not None:
        if count not in (None, len(COCO)):
            raise InputError(f"{foreign.path}: has {count} classes, not COCO's {len(COCO)}; name them in a text file")
        return COCO
    known = [names for names in (_in_metadata(foreign.metadata), recipe.labels) if names]
    for names in [*known, COCO]:
        if count == len(names) or (count is None and names is not COCO):
            return names
    if count is None:
        raise UsageError(f"{foreign.path}: does not say how many classes it has; name them with --labels FILE")
    return tuple(f"class_{i}" for i in range(count))


def skeleton_for(recipe: Recipe, decoded: Arrays, given: Path | None) -> Skeleton | None:
    """The keypoints of a file that finds some."""
    if recipe.form.has_keypoints:
        count = next(iter(decoded.values())).shape[1]
        names = recipe.keypoints if given is None else read_labels(given, count, "keypoints")
    elif "keypoints" in decoded:
        count, names = decoded["keypoints"].shape[2] // 2, recipe.keypoints
    else:
        count, names = len(recipe.keypoints), recipe.keypoints
    if not count:
        return None
    known = {len(each.keypoints): each for each in (COCO_PERSON, FACE, QUADRILATERAL)}
    if len(names) == count and (count not in known or names != known[count].keypoints):
        return unlinked(names)
    return known.get(count) or unlinked(tuple(f"keypoint_{i}" for i in range(count)))


def _in_metadata(metadata: dict[str, str]) -> tuple[str, ...]:
    """The class names that a file's metadata holds: as a list or dict in `names`, or one a line in `character`."""
    if lines := metadata.get("character", "").splitlines():
        return tuple(lines)
    try:
        names: Any = ast.literal_eval(metadata.get("names", "[]"))
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return ()
    values = list(cast(Any, names.values() if isinstance(names, dict) else names)) if names else []
    return tuple(values) if all(isinstance(each, str) for each in values) else ()
