"""The Card: the metadata that is needed to run a model.

It is stored as JSON in the model file. Parsing is strict: an unknown field, a wrong type or a value out of range is an
error that names the field. An absent field takes its default. `schema` counts breaking changes. An older Card is
converted to the current schema (card_history.py); a newer one is an error.
"""

import json
from dataclasses import asdict, dataclass, field, replace
from typing import Any, cast

from .card_history import lifted
from .columns.palette import Color
from .contract.choices import SUPPRESSION, Precision
from .contract.fusion import Fusion
from .contract.parse import FieldError, parse, require
from .contract.skeleton import Skeleton
from .contract.suppression import READS, Suppress
from .forms.form import Form
from .inputs.network_inputs import ImageInput, NetworkInput, PlacedInput
from .system.errors import IncompatibleError

SCHEMA = 2
METADATA_KEY = "detforge_card"


@dataclass(frozen=True)
class Parity:
    """The largest differences that the verification measured between the file and its reference.

    `detections` is the number of detections compared: boxes, or keypoints of a pose network. `box_shift_px` is their
    largest shift.
    """

    max_abs: float
    max_rel: float
    cosine: float
    detections: int
    match_rate: float
    box_shift_px: float
    score_shift: float


@dataclass(frozen=True)
class Provenance:
    """Where the file comes from: a checkpoint, or an ONNX file that was adopted as a preset or by a description."""

    checkpoint: str
    sha256: str | None
    precision: Precision
    versions: dict[str, str] = field(default_factory=dict[str, str])
    parity: Parity | None = None
    adopted_as: str | None = None
    verified_against: str = "PyTorch"


@dataclass(frozen=True)
class Card:
    """The description of one exported model: its inputs, the form of its outputs, and their postprocessing.

    `labels` has one for each number that the network gives a class. An empty label is that of the background, or of a
    number that no class has: nothing is found of it. `colors` are those of the labels, red, green and blue of 0..255;
    without any they are chosen when drawing.
    """

    model: str
    inputs: tuple[NetworkInput, ...]
    form: Form
    labels: tuple[str, ...]
    provenance: Provenance
    fusion: Fusion = Fusion()
    suppress: Suppress = Suppress()
    skeleton: Skeleton | None = None
    colors: tuple[Color, ...] = ()
    ops: tuple[str, ...] = ()
    schema: int = SCHEMA

    def __post_init__(self) -> None:
        require(bool(self.model), "model", "a name")
        require(any(self.labels), "labels", "at least one label that is not empty")
        require(len(self.colors) in (0, len(self.labels)), "colors", "one for each label, or none")
        require(all(0 <= part <= 255 for color in self.colors for part in color), "colors", "0..255")
        names = [each.name for each in self.inputs]
        require(len(set(names)) == len(names), "inputs", "unique names")
        placed = [each for each in self.inputs if isinstance(each, PlacedInput)]
        seconds = [each for each in placed if isinstance(each, ImageInput) and each.second]
        require(len(placed) - len(seconds) == 1, "inputs", "one image that is not the second of a pair, or points")
        require((self.form.runs_on == "pairs") == bool(seconds), "inputs", "a second image only if the form needs it")
        place = self.form.place
        require(self.input.place.kind == place, "inputs.place.kind", f"{place}, as form '{self.form.kind}' needs")
        self.form.check(self.skeleton)
        allowed = SUPPRESSION[self.form.compares]
        require(self.suppress.kind in allowed, "suppress.kind", " or ".join(allowed))
        read = READS.get(self.suppress.kind)
        outputs = {output.name for output in self.form.outputs}
        require(read is None or read in outputs, "suppress.kind", "a kind whose output this network has")

    @property
    def input(self) -> PlacedInput:
        """The input with the geometry in whose coordinates boxes and keypoints are."""
        placed = (each for each in self.inputs if isinstance(each, PlacedInput))
        return next(each for each in placed if not (isinstance(each, ImageInput) and each.second))

    @property
    def names(self) -> tuple[str, ...]:
        """The names of what the network has channels for: the keypoints of a pose network, or the labels."""
        return self.skeleton.keypoints if self.skeleton is not None and self.form.has_keypoints else self.labels

    def with_place(self, place: Any) -> "Card":
        """A copy of the Card in which every input with a geometry has this one."""
        inputs = tuple(replace(each, place=place) if isinstance(each, PlacedInput) else each for each in self.inputs)
        return replace(self, inputs=inputs)

    @property
    def reported_skeleton(self) -> Skeleton | None:
        """The keypoints in results, None without a skeleton."""
        return None if self.skeleton is None else self.form.reported(self.skeleton)

    def missing(self, names: set[str]) -> list[str]:
        """The outputs that the form, the suppression and the skeleton need but that are not in `names`."""
        read, known = {READS.get(self.suppress.kind)}, {output.name for output in self.form.outputs}
        if self.skeleton is not None and "keypoints" in known and "heatmaps" not in known & names:
            read.add("keypoints")
        return sorted({*self.form.missing(names), *(name for name in read if name is not None and name not in names)})

    def to_json(self) -> str:
        return json.dumps(asdict(self), ensure_ascii=False, sort_keys=True, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> "Card":
        """Parse a Card. Raises FieldError that names the first invalid field."""
        try:
            data: Any = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise FieldError(f"not JSON ({error})") from None
        if not isinstance(data, dict):
            raise FieldError("not a JSON object")
        card = cast(dict[str, Any], data)
        schema: Any = card.get("schema")
        if not isinstance(schema, int) or isinstance(schema, bool):
            raise FieldError("field 'schema' is missing or not a number")
        if schema > SCHEMA:
            raise FieldError(f"schema {schema} is newer than {SCHEMA}, the newest this version reads")
        return parse(cls, lifted(card, schema), "")


def parse_card(text: str | None, path: object) -> Card:
    """The Card in a model file's metadata. Raises IncompatibleError if it is absent or does not parse."""
    if text is None:
        raise IncompatibleError(f"{path}: not a detforge model; it holds no Card; export it with detexport")
    try:
        return Card.from_json(text)
    except FieldError as error:
        raise IncompatibleError(
            f"{path}: its Card does not parse; {error}; export it again or update detforge"
        ) from None
