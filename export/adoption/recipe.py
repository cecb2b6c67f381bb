"""Recipes: what must be known of a foreign file to adopt it, as TOML."""

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

from ...deploy.contract.fusion import Fusion
from ...deploy.contract.parse import FieldError, parse, require
from ...deploy.contract.suppression import Suppress
from ...deploy.forms import Dense, Graph
from ...deploy.forms.form import Form
from ...deploy.inputs.network_inputs import ImageInput
from ...deploy.system.errors import InputError, UsageError
from ...models.labels import LABEL_SETS

PRESETS = Path(__file__).parent / "presets"

Layout = Literal["rows", "columns", "maps", "maps_last"]
Box = Literal[
    "offset_exp",
    "distances",
    "distances_px",
    "distribution",
    "priors",
    "centre_size",
    "corners",
    "cxcywh",
    "xyxy",
    "none",
]


@dataclass(frozen=True)
class Decode:
    """What the file left undone. Points are the cells of a level of `strides`, plus `centre` of a cell.

    `layout` is that of each output: "rows" (n, a, c), "columns" (n, c, a), "maps" (n, c, h, w), or "maps_last".
    `scores_layout` is that of the classes' scores, if it is another.
    `split` names the parts of the last axis of the output `rows`, as "box 4"; "cls *" takes the rest.
    `scores` are probabilities, logits, or need a softmax; `background` is the number of the class that is none.

    | box | meaning |
    |---|---|
    | offset_exp | centre = (point + xy) * stride, size = exp(wh) * stride |
    | distances | to the left, top, right and bottom side of the point, in strides; with _px in px |
    | distribution | like distances, each the mean of a softmax over `bins` |
    | priors | relative to boxes with the sides `sides` of each level, with the two `variances` of SSD |
    | centre_size | outputs `size`, the logarithm of (h, w) in strides, and `offset` (y, x) of the centre |
    | corners | outputs `corners`, the centre minus (x, y) of four corners in strides, and `offset` (x, y) of it |
    | cxcywh, xyxy | in px of the canvas, or with `relative` 0..1 |

    `keypoints` are offsets from the point in strides ("point"), relative to the prior ("prior"), parts of the box in
    the order y, x ("box_yx"), or px ("px"). With `keypoint_scores` each has x, y and a score.
    """

    layout: Layout = "rows"
    scores_layout: Layout | None = None
    split: tuple[str, ...] = ()
    scores: Literal["probabilities", "logits", "softmax"] = "probabilities"
    background: int | None = None
    box: Box = "none"
    centre: float = 0.0
    bins: int = 1
    sides: tuple[tuple[float, ...], ...] = ()
    variances: tuple[float, float] = (0.1, 0.2)
    relative: bool = False
    keypoints: Literal["point", "prior", "box_yx", "px"] = "px"
    keypoint_scores: bool = False
    peaks: bool = False

    def __post_init__(self) -> None:
        require(1 <= self.bins <= 1024, "decode.bins", "1..1024")
        require(self.background is None or self.background >= 0, "decode.background", "an index from 0")
        for part in self.split:
            name, _, width = part.partition(" ")
            valid = bool(name) and (width == "*" or (width.isdecimal() and int(width) > 0))
            require(valid, "decode.split", "parts like 'box 4', or 'cls *'")
        require(sum(part.endswith(" *") for part in self.split) <= 1, "decode.split", "'*' once at most")

    def layout_of(self, role: str) -> Layout:
        """The layout of the outputs of a role."""
        return self.layout if role != "cls" or self.scores_layout is None else self.scores_layout


@dataclass(frozen=True)
class Recipe:
    """What a Card and the graph to attach are made from.

    `outputs` names each role's outputs by a pattern; if the patterns do not fit, the roles take the outputs in order.
    `constants` are the values of further inputs: a list of numbers, or the size of the canvas as "hw" or "wh". `input`
    has the fields of the Card's image input. `labels` is a list, or the name of one (`LABEL_SETS`), for files with that
    number of classes; empty labels are those of no class.
    With `input_layout` "nhwc" the file takes channels last. `any_size` is for files whose declared size means nothing.
    """

    about: str
    input: ImageInput
    outputs: dict[str, str]
    form: Form
    decode: Decode = Decode()
    fusion: Fusion = Fusion()
    suppress: Suppress = Suppress()
    labels: tuple[str, ...] = ()
    keypoints: tuple[str, ...] = ()
    constants: dict[str, Any] = field(default_factory=dict[str, Any])
    input_layout: Literal["nchw", "nhwc"] = "nchw"
    any_size: bool = False

    def __post_init__(self) -> None:
        require(bool(self.outputs), "outputs", "a pattern of names for each role")
        for name, value in self.constants.items():
            is_list = isinstance(value, list) and all(type(each) in (int, float) for each in cast(list[Any], value))
            require(is_list or value in ("hw", "wh"), f"constants.{name}", "a list of numbers, 'hw' or 'wh'")
        self._check_roles()

    def _check_roles(self) -> None:
        """Check that the form gets all that it reads. Raises FieldError."""
        given = set(self.outputs) | {part.split(" ")[0] for part in self.decode.split}
        if isinstance(self.form, Dense | Graph):
            boxes = {"centre_size": ["size", "offset"], "corners": ["corners", "offset"]}.get(self.decode.box, ["box"])
            wanted = [*boxes, "cls" if isinstance(self.form, Dense) else "score"]
            known = {*wanted, "rows", "unused", "obj", "keypoints", "label"}
        else:
            wanted = [output.name for output in self.form.outputs if not output.optional]
            known = set(wanted)
        require(given <= known, "outputs", f"roles of the form: {', '.join(sorted(known))}")
        require(
            ("rows" in self.outputs) == bool(self.decode.split), "decode.split", "parts, if there are rows to split"
        )
        for name in wanted:
            require(name in given, "outputs", f"a pattern for {name}")
        is_level = len(self.strides) == 1 and self.decode.layout == "maps"
        require(not self.decode.peaks or is_level, "decode.peaks", "nothing unless there is one level of maps")
        if self.decode.sides:
            require(len(self.decode.sides) == len(self.strides), "decode.sides", "the sides for each stride")

    @property
    def strides(self) -> tuple[int, ...]:
        """The strides of the levels, without any if the boxes do not depend on points."""
        return self.form.strides if isinstance(self.form, Dense) else ()


def presets() -> list[str]:
    """The names of all presets."""
    return sorted(path.stem for path in PRESETS.glob("*.toml"))


def preset(name: str) -> Recipe:
    """The recipe of a preset. Raises UsageError for an unknown name."""
    if name not in presets():
        raise UsageError(f"unknown preset '{name}'; choose {', '.join(presets())}, or describe the file with --card")
    return read_recipe(PRESETS / f"{name}.toml")


def changed_preset(name: str, changes: dict[str, Any]) -> Recipe:
    """A preset with some fields changed. Raises FieldError."""
    data = tomllib.loads((PRESETS / f"{name}.toml").read_text(encoding="utf-8"))
    return _parsed(_changed(data, changes))


def read_recipe(path: Path) -> Recipe:
    """The recipe in a TOML file. Raises InputError that names the file and the first invalid field."""
    try:
        return parse_recipe(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read; {error.strerror}; give a TOML file to --card") from error
    except (FieldError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{path}: not a valid description; {error}; docs/adopt.md lists its fields") from None


def parse_recipe(text: str) -> Recipe:
    """The recipe in a TOML text. With `preset` it changes only some fields of that one.

    Raises FieldError or TOMLDecodeError.
    """
    data = tomllib.loads(text)
    if (base := data.pop("preset", None)) is None:
        return _parsed(data)
    require(base in presets(), "preset", " or ".join(presets()))
    return changed_preset(base, data)


def _parsed(data: dict[str, Any]) -> Recipe:
    labels = data.get("labels", [])
    if isinstance(labels, str):
        require(labels in LABEL_SETS, "labels", f"a list, or {' or '.join(LABEL_SETS)}")
        labels = list(LABEL_SETS[labels])
    return parse(Recipe, data | {"labels": labels}, "")


def _changed(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """The nested tables with changed values."""
    tables: dict[str, Any] = {
        key: _changed(cast(dict[str, Any], own), changes[key])
        for key, own in base.items()
        if isinstance(own, dict) and isinstance(changes.get(key), dict)
    }
    return base | changes | tables
