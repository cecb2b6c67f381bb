"""Cards of older schemas, lifted to today's one breaking change at a time."""

from collections.abc import Callable, Mapping
from typing import Any

from .contract.parse import FieldError

Json = dict[str, Any]


def lifted(card: Mapping[str, Any], schema: int) -> Json:
    """A Card's JSON of an older schema as that of the newest; FieldError where it does not even have its own shape."""
    data = dict(card)
    for step in _STEPS[max(0, schema - 1) :]:
        try:
            data = step(data)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise FieldError(f"the Card of schema {schema} lacks what such Cards have ({error!r})") from None
    return data


def _from_1(card: Json) -> Json:
    """`input` became `inputs` of separate parts, `decode` became `form`, and where boxes end left `suppress`."""
    form, suppress = dict(card.pop("decode")), dict(card["suppress"])
    card.pop("task")
    if form["kind"] in ("dense", "graph"):
        form["clip"] = "last_pixel" if suppress.get("inclusive") else "image"
    if "visible" in form:
        form["least_score"] = form.pop("visible")
    return card | {"inputs": [_input_from_1(card.pop("input"))], "form": form, "schema": 2}


def _input_from_1(given: Json) -> Json:
    resize, size, multiple = given["resize"], given["size"], given["pad_multiple"]
    spacing = given.get("spacing", False)
    if resize == "crop":
        place: Json = {"kind": "crop", "size": size, "spacing": spacing, "multiple": multiple}
        place["enlarge"] = given.get("enlarge", [1.0, 1.0])
    elif resize == "warp":
        place = {"kind": "cover", "size": size, "spacing": spacing, "multiple": multiple}
    else:
        pad = {"multiple": multiple, "rule": given.get("pad_to", "ceil"), "centered": given.get("centered", False)}
        pad |= {"value": given.get("pad_value"), "canvas": size if resize == "canvas" else None}
        place = {"kind": "resize", "size": size, "by": "edges" if resize == "edges" else "sides", "pad": pad}
    pixels = {name: given[name] for name in ("color", "mean", "std")}
    return {"kind": "image", "place": place, **pixels}


_STEPS: list[Callable[[Json], Json]] = [_from_1]
"""The step at place i lifts schema i + 1 to i + 2."""
