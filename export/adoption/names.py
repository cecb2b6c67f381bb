"""The names of an adopted file's classes and keypoints."""

import ast
from pathlib import Path
from typing import Any, cast

from ...deploy.contract.port import Arrays
from ...deploy.contract.skeleton import Skeleton
from ...deploy.system.errors import IncompatibleError, InputError, UsageError
from ...models.labels import LABEL_SETS
from ...models.skeletons import COCO_PERSON, FACE, QUADRILATERAL, unlinked
from ..labels import read_labels
from .foreign import Foreign
from .recipe import Recipe

_MOST_CLASSES = 100_000
"""More than networks have."""


def labels_for(recipe: Recipe, foreign: Foreign, count: int | None, given: Path | None) -> tuple[str, ...]:
    """A label for each of `count` numbers, if that is known; the background's is empty.

    The names are the given ones (a file, or the name of a set), the file's own, the recipe's, COCO's, or numbers.
    Raises InputError for given names of another number, UsageError if nothing says how many there are.
    """
    background = recipe.decode.background
    if background is None:
        return _names_for(recipe, foreign, count, given)
    if count is not None and count <= max(background, 1):
        raise IncompatibleError(f"{foreign.path}: has {count} classes, too few for a background class {background}")
    names = _names_for(recipe, foreign, None if count is None else count - 1, given)
    return (*names[:background], "", *names[background:])


def _names_for(recipe: Recipe, foreign: Foreign, count: int | None, given: Path | None) -> tuple[str, ...]:
    if given is not None and (given.exists() or str(given) not in LABEL_SETS):
        return read_labels(given, count, "classes")
    if given is not None:
        names = LABEL_SETS[str(given)]
        if count not in (None, len(names)):
            raise InputError(f"{foreign.path}: has {count} classes, not COCO's {len(names)}; name them in a text file")
        return names
    for names in (_in_metadata(foreign.metadata), recipe.labels):
        if names and count in (None, len(names)):
            return names
    for names in LABEL_SETS.values():
        if count == len(names):
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
    values = list(cast(Any, _numbered(cast(Any, names)) if isinstance(names, dict) else names)) if names else []
    return tuple(values) if all(isinstance(each, str) for each in values) else ()


def _numbered(names: dict[Any, Any]) -> list[Any]:
    """The names in the order of their numbers, with empty ones for numbers that have none."""
    if not all(type(number) is int and 0 <= number < _MOST_CLASSES for number in names):
        return list(names.values())
    return [names.get(number, "") for number in range(max(names) + 1)]
