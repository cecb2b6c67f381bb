"""The Card: everything that running a model needs beside its weights.

It travels as JSON in the model file. Reading is strict: an unknown or missing field, a wrong type or a value out
of range is an error that names the field, and a newer schema is refused.
"""

import json
from dataclasses import asdict, dataclass
from typing import Any, Literal, cast

from .parse import FieldError, parse, require

SCHEMA = 1
METADATA_KEY = "detforge_card"

Precision = Literal["fp32", "fp16"]


@dataclass(frozen=True)
class Input:
    """How an image becomes the network's input (n, 3, h, w), float32.

    resize "edges": keep the aspect; the short and the long side are bounded by size = (short, long).
    resize "canvas": keep the aspect, fit into size = (height, width) and pad to exactly that.
    Padding goes to the right and the bottom, after normalisation, with zeros, up to a multiple of `pad_multiple`.
    mean and std are in the channel order `color`, on the scale 0..255.
    """

    resize: Literal["edges", "canvas"]
    size: tuple[int, int]
    pad_multiple: int
    color: Literal["rgb", "bgr"]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    layout: Literal["nchw"] = "nchw"

    def __post_init__(self) -> None:
        require(all(1 <= side <= 16384 for side in self.size), "input.size", "sides of 1..16384 px")
        require(self.resize == "canvas" or self.size[0] <= self.size[1], "input.size", "short side first")
        require(1 <= self.pad_multiple <= 1024, "input.pad_multiple", "1..1024")
        require(all(s > 0 for s in self.std), "input.std", "positive values")


@dataclass(frozen=True)
class DenseDecode:
    """One prediction per point of a pyramid: `boxes` (n, a, 4), `scores` (n, a, classes), maybe `quality` (n, a).

    Points are ordered level by level with the given strides, row by row. The best `top_k` pairs of point and
    class of every level are kept.
    """

    strides: tuple[int, ...]
    top_k: int = 1000
    kind: Literal["dense"] = "dense"

    def __post_init__(self) -> None:
        require(bool(self.strides) and all(s >= 1 for s in self.strides), "decode.strides", "positive strides")
        require(1 <= self.top_k <= 100_000, "decode.top_k", "1..100000")


@dataclass(frozen=True)
class GraphDecode:
    """Suppression runs inside the file: `boxes` (n, m, 4), `scores` and `labels` (n, m), `num` (n,)."""

    kind: Literal["graph"] = "graph"


@dataclass(frozen=True)
class Fusion:
    """final score = score ** score_exponent * quality ** quality_exponent.

    `rank_by` says which of the two the threshold and the top-k act on: the class score alone, or the product.
    """

    score_exponent: float = 1.0
    quality_exponent: float = 0.0
    rank_by: Literal["score", "fused"] = "score"

    def __post_init__(self) -> None:
        for name in ("score_exponent", "quality_exponent"):
            require(0.0 <= getattr(self, name) <= 4.0, f"fusion.{name}", "0..4")


@dataclass(frozen=True)
class Suppress:
    """Which detections stay: score above `conf`, hard class-aware NMS at `iou`, at most `max_det` an image."""

    kind: Literal["hard", "none"] = "hard"
    conf: float = 0.25
    iou: float = 0.6
    max_det: int = 100

    def __post_init__(self) -> None:
        for name in ("conf", "iou"):
            require(0.0 <= getattr(self, name) <= 1.0, f"suppress.{name}", "0..1")
        require(1 <= self.max_det <= 100_000, "suppress.max_det", "1..100000")


@dataclass(frozen=True)
class Parity:
    """What the verification measured between PyTorch and the exported file, at its worst.

    `detections` is how many final detections were compared, on both sides.
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
    """Where the file comes from."""

    checkpoint: str
    sha256: str | None
    precision: Precision
    versions: dict[str, str]
    parity: Parity | None = None


@dataclass(frozen=True)
class Card:
    """The contract of one exported model."""

    model: str
    task: Literal["detection"]
    input: Input
    decode: DenseDecode | GraphDecode
    fusion: Fusion
    suppress: Suppress
    labels: tuple[str, ...]
    ops: tuple[str, ...]
    provenance: Provenance
    schema: int = SCHEMA

    def __post_init__(self) -> None:
        require(bool(self.model), "model", "a name")
        require(bool(self.labels), "labels", "at least one label")

    def to_json(self) -> str:
        return json.dumps(asdict(self), ensure_ascii=False, sort_keys=True, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> "Card":
        """Parse strictly; FieldError names the first field that does not fit."""
        try:
            data: Any = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise FieldError(f"not JSON ({error})") from None
        if not isinstance(data, dict):
            raise FieldError("not a JSON object")
        schema: Any = cast(dict[str, Any], data).get("schema")
        if not isinstance(schema, int) or isinstance(schema, bool):
            raise FieldError("field 'schema' is missing or not a number")
        if schema > SCHEMA:
            raise FieldError(f"schema {schema} is newer than {SCHEMA}, the newest this version reads")
        return parse(cls, data, "")
