"""Files of PaddleDetection: infer_cfg.yml beside the model describes its input and its classes."""

from pathlib import Path
from typing import Any, cast

from ....deploy.contract.parse import FieldError, require
from ....deploy.system.errors import InputError
from ..foreign import Foreign
from ..recipe import Recipe, changed_preset

_BOXES_AND_SCORES = 2
_LINEAR = 1
"""OpenCV's code of the bilinear filter."""


def recipe(foreign: Foreign) -> Recipe | None:
    """The recipe of a file with an infer_cfg.yml beside it. Raises InputError or FieldError."""
    place = foreign.path.with_name("infer_cfg.yml")
    if not place.is_file():
        return None
    settings = _read(place)
    changes: dict[str, Any] = {"input": _input(settings.get("Preprocess"))}
    labels: Any = settings.get("label_list")
    if isinstance(labels, list):
        changes["labels"] = [str(name) for name in cast(list[Any], labels)]
    with_suppression = any("nms" in output.name for output in foreign.outputs)
    if with_suppression:
        return changed_preset("picodet-nms", changes)
    if len(foreign.outputs) == _BOXES_AND_SCORES:
        return changed_preset("ppyoloe", changes)
    if "PicoDet" not in f"{settings.get('arch')}":
        raise FieldError(f"arch '{settings.get('arch')}' with {len(foreign.outputs)} outputs is not supported")
    return changed_preset("picodet", changes)


def _read(place: Path) -> dict[str, Any]:
    import yaml

    try:
        data: Any = yaml.safe_load(place.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise InputError(f"{place}: cannot be read; {type(error).__name__}; give --as or --card") from error
    require(isinstance(data, dict), "infer_cfg.yml", "an object")
    return cast(dict[str, Any], data)


def _input(steps: Any) -> dict[str, Any]:
    """The input: images are RGB; a mean and a standard deviation are on the scale 0..1 if `is_scale` is set."""
    require(isinstance(steps, list), "Preprocess", "a list")
    made: dict[str, Any] = {"color": "rgb", "mean": [0, 0, 0], "std": [1, 1, 1]}
    place: dict[str, Any] = {"kind": "resize", "pad": {"multiple": 1}}
    for step in cast(list[Any], steps):
        require(isinstance(step, dict), "Preprocess", "objects")
        kind: Any = step.get("type")
        if kind == "Resize":
            size = step.get("target_size")
            place["keep_aspect"] = bool(step.get("keep_ratio", True))
            place["size"] = sorted(size) if place["keep_aspect"] else size
            place["by"] = "edges" if place["keep_aspect"] else "sides"
            place["filter"] = "opencv" if step.get("interp", _LINEAR) == _LINEAR else "cubic"
            if not place["keep_aspect"]:
                place["pad"]["canvas"] = size
        elif kind == "NormalizeImage":
            whole = 255.0 if step.get("is_scale", True) else 1.0
            if step.get("norm_type", "mean_std") == "none":
                made["std"] = [whole] * 3
            else:
                made["mean"] = [whole * value for value in step["mean"]]
                made["std"] = [whole * value for value in step["std"]]
        elif kind == "PadStride":
            place["pad"]["multiple"] = max(1, step.get("stride", 1))
        elif kind != "Permute":
            raise FieldError(f"transform '{kind}' is unknown")
    return made | {"place": place}
