"""Files of OpenMMLab's mmdeploy: pipeline.json beside the model describes its input and its decoding."""

from pathlib import Path
from typing import Any, cast

from ....deploy.contract.parse import FieldError, require
from ....deploy.system.errors import InputError
from ....deploy.system.files import read_json
from ..foreign import Foreign
from ..recipe import Recipe, changed_preset

_IGNORED = {
    *("LoadImageFromFile", "LoadAnnotations", "DefaultFormatBundle", "ImageToTensor", "Collect", "ToTensor"),
    *("PackDetInputs", "PackPoseInputs", "PackTextDetInputs", "CastFloat"),
}
"""Transforms that leave the image as it is."""


def recipe(foreign: Foreign) -> Recipe | None:
    """The recipe of a file with a pipeline.json beside it. Raises InputError or FieldError for an invalid one."""
    place = foreign.path.with_name("pipeline.json")
    if not place.is_file():
        return None
    tasks = _tasks(place)
    steps = [step for task in tasks if task.get("module") == "Transform" for step in _dicts(task.get("transforms"))]
    last = tasks[-1]
    outputs = {output.name for output in foreign.outputs}
    if {"simcc_x", "simcc_y"} <= outputs:
        form: dict[str, Any] = {"split": _number(_params(last), "simcc_split_ratio", 2.0)}
        if _params(last).get("use_dark"):
            raise FieldError("field 'use_dark' of SimCC is not supported")
        return changed_preset("simcc", {"input": _crop(steps), "form": form})
    if "keypoints" in outputs:
        return changed_preset("rtmo", {"input": _whole(steps)})
    if "dets" in outputs:
        return changed_preset("mmdeploy", {"input": _whole(steps), "labels": []})
    if len(outputs) == 1 and "Decode" in f"{last.get('component')}":
        return changed_preset("heatmap", {"input": _crop(steps), "form": _heatmap(_params(last))})
    raise FieldError(f"component '{last.get('component')}' with the outputs {', '.join(sorted(outputs))} is unknown")


def _tasks(place: Path) -> list[dict[str, Any]]:
    data = read_json(place, "give --as or --card")
    try:
        tasks = _dicts(data["pipeline"]["tasks"])
    except (KeyError, TypeError) as error:
        raise InputError(f"{place}: not a pipeline of mmdeploy; {type(error).__name__}; give --as or --card") from error
    require(bool(tasks), "pipeline.tasks", "at least one task")
    return tasks


def _dicts(value: Any) -> list[dict[str, Any]]:
    """The objects of a list."""
    return [cast(dict[str, Any], each) for each in cast(list[Any], value or []) if isinstance(each, dict)]


def _params(task: dict[str, Any]) -> dict[str, Any]:
    found: Any = task.get("params")
    return cast(dict[str, Any], found) if isinstance(found, dict) else {}


def _number(table: dict[str, Any], key: str, default: float) -> float:
    value: Any = table.get(key, default)
    require(type(value) in (int, float), key, "a number")
    return float(value)


def _pair(value: Any, name: str) -> list[int]:
    """A size (width, height) as [height, width]."""
    sides: list[Any] = [value, value] if type(value) is int else cast(list[Any], value)
    valid = isinstance(sides, list) and len(sides) == 2 and all(type(side) is int for side in sides)  # pyright: ignore[reportUnnecessaryIsInstance]
    require(valid, name, "a width and a height")
    return [sides[1], sides[0]]


def _normalised(steps: list[dict[str, Any]]) -> dict[str, Any]:
    """The colour order, mean and standard deviation."""
    made: dict[str, Any] = {"color": "bgr", "mean": [0, 0, 0], "std": [1, 1, 1]}
    for step in steps:
        if step.get("type") == "Normalize":
            made["color"] = "rgb" if step.get("to_rgb", True) else "bgr"
            made["mean"], made["std"] = step.get("mean"), step.get("std")
    return made


def _whole(steps: list[dict[str, Any]]) -> dict[str, Any]:
    """The input of a network for whole images."""
    place: dict[str, Any] = {"kind": "resize", "by": "sides", "keep_aspect": True, "pad": {"multiple": 1}}
    is_normal = False
    for step in steps:
        kind: Any = step.get("type")
        if kind == "Resize":
            size = _pair(step.get("size"), "Resize.size")
            place["keep_aspect"] = bool(step.get("keep_ratio"))
            place["by"] = "edges" if place["keep_aspect"] else "sides"
            place["size"] = sorted(size) if place["keep_aspect"] else size
        elif kind == "Pad":
            place["pad"].update(_pad(step, place, is_normal))
        elif kind == "Normalize":
            is_normal = True
        elif kind not in _IGNORED:
            raise FieldError(f"transform '{kind}' is unknown")
    if (canvas := place["pad"].get("canvas")) is not None and place["keep_aspect"] and "size" in place:
        place |= {"by": "sides", "size": canvas}
    return _normalised(steps) | {"place": place}


def _pad(step: dict[str, Any], place: dict[str, Any], is_normal: bool) -> dict[str, Any]:
    """The padding of one step. Values before the normalisation are those of the image."""
    value: Any = step.get("pad_val", 0)
    value = cast(dict[str, Any], value).get("img", 0) if isinstance(value, dict) else value
    values: list[Any] = cast(list[Any], value) if isinstance(value, list) else [value]
    require(len(set(map(str, values))) == 1 and type(values[0]) in (int, float), "Pad.pad_val", "one number")
    made: dict[str, Any] = {}
    if step.get("size") is not None:
        made["canvas"] = _pair(step["size"], "Pad.size")
    elif step.get("pad_to_square") and "size" in place:
        made["canvas"] = [max(place["size"])] * 2
    elif step.get("size_divisor", 1) != 1:
        made["multiple"] = step["size_divisor"]
    if made and not is_normal:
        made["value"] = values[0]
    return made


def _crop(steps: list[dict[str, Any]]) -> dict[str, Any]:
    """The input of a network for crops of boxes."""
    place: dict[str, Any] = {"kind": "crop", "enlarge": [1.25, 1.25]}
    for step in steps:
        kind: Any = step.get("type")
        if kind in ("TopDownGetBboxCenterScale", "GetBBoxCenterScale"):
            place["enlarge"] = [_number(step, "padding", 1.25)] * 2
        elif kind in ("TopDownAffine", "TopdownAffine"):
            place["spacing"] = bool(step.get("use_udp", False))
        elif kind not in _IGNORED and kind != "Normalize":
            raise FieldError(f"transform '{kind}' is unknown")
        if (size := step.get("image_size", step.get("input_size"))) is not None:
            place["size"] = _pair(size, "image_size")
    return _normalised(steps) | {"place": place}


def _heatmap(params: dict[str, Any]) -> dict[str, Any]:
    """How heatmaps become keypoints, in the terms of mmpose 0.x (test_cfg) or 1.x (codec)."""
    process, kind = params.get("post_process", "default"), params.get("type", "MSRAHeatmap")
    blur = params.get("blur_kernel_size", params.get("modulate_kernel", 11))
    if "Heatmap" not in f"{kind}" or "Megvii" in f"{kind}" or process == "megvii" or params.get("target_type"):
        raise FieldError(f"heatmaps of the kind '{kind}', '{process}' are not supported")
    if kind == "UDPHeatmap" or params.get("use_udp"):
        return {"method": "udp", "blur": blur}
    is_dark = process == "unbiased" or params.get("unbiased") or params.get("unbiased_decoding")
    return {"method": "dark", "blur": blur} if is_dark else {"method": "quarter"}
