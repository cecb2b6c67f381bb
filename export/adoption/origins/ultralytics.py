"""Files of Ultralytics: their metadata names the task, the classes and the size."""

import ast
from typing import Any, cast

from ....deploy.contract.parse import FieldError
from ..foreign import Foreign
from ..recipe import Recipe, changed_preset

_MOST_LISTED = 1000
"""More rows than a file has that suppresses duplicates itself."""


def recipe(foreign: Foreign) -> Recipe | None:
    """The recipe of a file with such metadata. Raises FieldError for a task that is not supported."""
    metadata = foreign.metadata
    if not {"names", "stride"} <= set(metadata) or not foreign.outputs:
        return None
    task = metadata.get("task", "detect")
    rows, width = (None, None, *foreign.outputs[0].shape)[-2:]
    changes: dict[str, Any] = {} if (size := _size(metadata)) is None else _canvas(size)
    if task == "pose":
        values = _literal(metadata.get("kpt_shape", ""))
        has_scores = not (isinstance(values, list | tuple) and len(cast(Any, values)) == 2 and values[1] == 2)
        return changed_preset("ultralytics-pose", changes | {"decode": {"keypoint_scores": has_scores}})
    if task != "detect":
        raise FieldError(f"task '{task}' is not supported; detect and pose are")
    if width == 6 and (rows or 0) <= _MOST_LISTED:
        return changed_preset("ultralytics-end2end", changes | {"labels": []})
    is_v5 = rows is not None and width is not None and rows > width
    return changed_preset("ultralytics-v5" if is_v5 else "ultralytics", changes)


def _size(metadata: dict[str, str]) -> list[int] | None:
    value = _literal(metadata.get("imgsz", ""))
    sides = list(cast(Any, value)) if isinstance(value, list | tuple) else []
    return sides if len(sides) == 2 and all(type(side) is int for side in sides) else None


def _canvas(size: list[int]) -> dict[str, Any]:
    return {"input": {"place": {"size": size, "pad": {"canvas": size}}}}


def _literal(text: str) -> Any:
    """The value that a text spells in Python; None if it spells none."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
