"""Converts Cards of older schemas to the current one, one breaking change at a time."""

from collections.abc import Callable, Mapping
from typing import Any

from .contract.parse import FieldError

Json = dict[str, Any]


def lifted(card: Mapping[str, Any], schema: int) -> Json:
    """Convert a Card's JSON from an older schema to the newest. Raises FieldError if it does not fit its own schema."""
    data = dict(card)
    for step in _STEPS[max(0, schema - 1) :]:
        try:
            data = step(data)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise FieldError(f"the Card does not fit its schema {schema} ({error!r})") from None
    return data


def _from_1(card: Json) -> Json:
    """Split `input` into `inputs` of separate parts, rename `decode` to `form`, and move clipping out of `suppress`."""
    form, suppress = dict(card.pop("decode")), dict(card["suppress"])
    card.pop("task")
    if form["kind"] in ("dense", "graph"):
        form["clip"] = "last_pixel" if suppress.get("inclusive") else "image"
    if "visible" in form:
        form["least_score"] = form.pop("visible")
    return card | {"inputs": [_input_from_1(card.pop("input"))], "form": form, "schema": 2}


def _input_from_1(given: Json) -> Json:
    rest = dict(given)
    resize, size, multiple = rest.pop("resize"), rest.pop("size"), rest.pop("pad_multiple")
    rule, centered, value = rest.pop("pad_to", "ceil"), rest.pop("centered", False), rest.pop("pad_value", None)
    enlarge, spacing = rest.pop("enlarge", [1.0, 1.0]), rest.pop("spacing", False)
    rest.pop("layout", None)  # always "nchw"
    place: Json
    if resize == "crop":
        place = {"kind": "crop", "size": size, "spacing": spacing, "multiple": multiple, "enlarge": enlarge}
    elif resize == "warp":
        place = {"kind": "cover", "size": size, "spacing": spacing, "multiple": multiple}
    else:
        pad = {"multiple": multiple, "rule": rule, "centered": centered, "value": value}
        pad["canvas"] = size if resize == "canvas" else None
        place = {"kind": "resize", "size": size, "by": "edges" if resize == "edges" else "sides", "pad": pad}
    return {"kind": "image", "place": place, **rest}  # the parser checks the rest


_STEPS: list[Callable[[Json], Json]] = [_from_1]
"""Step i converts schema i + 1 to i + 2."""
