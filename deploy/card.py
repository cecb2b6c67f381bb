"""The Card: everything that running a model needs beside its weights.

It travels as JSON in the model file. Reading is strict: an unknown or missing field, a wrong type or a value out
of range is an error that names the field, and a newer schema is refused.
"""

import json
from dataclasses import asdict, dataclass
from typing import Any, Literal, cast

from .forms import CropDecode, Decode, DenseDecode, GraphDecode, TagDecode
from .parse import FieldError, parse, require
from .skeleton import Skeleton

SCHEMA = 1
METADATA_KEY = "detforge_card"

Precision = Literal["fp32", "fp16", "bf16", "int8"]


@dataclass(frozen=True)
class Input:
    """How an image becomes the network's input (n, 3, h, w), float32.

    resize "edges": keep the aspect; the short and the long side are bounded by size = (short, long).
    resize "canvas": keep the aspect, fit into size = (height, width) and pad to exactly that.
    resize "keep": as large as the image is; size is None.
    resize "crop": one box of the image, its width and height times `enlarge` and then the shorter of them widened to
    the aspect of size = (height, width), warped onto exactly that.
    resize "warp": the whole image, warped so that it covers size = (height, width), with sides of whole
    `pad_multiple`. Both warps map lengths in px, or where `spacing` from one pixel's centre to another's, which is
    what makes them and their mirror image agree (UDP, arXiv 1911.07524, section 3.1).
    With m = `pad_multiple` a side is padded to the next multiple of m where `pad_to` is "ceil", to side | (m - 1) where
    it is "or", as in CornerNet, and to one px more where it is "or+1", as in CenterNet. Padding goes to the right and
    the bottom, or all around where `centered`; it is zero after normalisation, or `pad_value` before.
    mean and std are in the channel order `color`, on the scale 0..255.
    """

    resize: Literal["edges", "canvas", "keep", "crop", "warp"]
    size: tuple[int, int] | None
    pad_multiple: int
    color: Literal["rgb", "bgr"]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    layout: Literal["nchw"] = "nchw"
    pad_to: Literal["ceil", "or", "or+1"] = "ceil"
    centered: bool = False
    pad_value: float | None = None
    enlarge: tuple[float, float] = (1.0, 1.0)
    spacing: bool = False

    def __post_init__(self) -> None:
        require((self.size is None) == (self.resize == "keep"), "input.size", "two sides, or null to keep the image's")
        short, long = self.size or (1, 1)
        require(1 <= short <= 16384 and 1 <= long <= 16384, "input.size", "sides of 1..16384 px")
        require(self.resize != "edges" or short <= long, "input.size", "short side first")
        require(all(0.1 <= factor <= 10 for factor in self.enlarge), "input.enlarge", "factors of 0.1..10")
        require(1 <= self.pad_multiple <= 1024, "input.pad_multiple", "1..1024")
        is_power = self.pad_multiple & (self.pad_multiple - 1) == 0
        require(self.pad_to == "ceil" or is_power, "input.pad_multiple", f'a power of two, to pad to "{self.pad_to}"')
        require(all(s > 0 for s in self.std), "input.std", "positive values")


@dataclass(frozen=True)
class Fusion:
    """final score = score ** score_exponent * quality ** quality_exponent.

    `threshold_by` says which of the two has to exceed `suppress.conf`, the class score alone or the final one, and
    `rank_by` which of them the top-k goes by. With "points" the class that scores best speaks for its point.
    For a pose in a crop the score is that of the box, and the quality that of its keypoints.
    """

    score_exponent: float = 1.0
    quality_exponent: float = 0.0
    threshold_by: Literal["score", "fused"] = "score"
    rank_by: Literal["score", "fused"] = "score"

    def __post_init__(self) -> None:
        for name in ("score_exponent", "quality_exponent"):
            require(0.0 <= getattr(self, name) <= 4.0, f"fusion.{name}", "0..4")


COMPARES = {"guided": "quality", "visible": "visible"}
"""The output of dense detectors that a kind of suppression reads beside boxes and scores."""


@dataclass(frozen=True)
class Suppress:
    """Which detections stay: score above `conf`, class-aware suppression, at most `max_det` an image.

    "hard" is NMS at `iou`. Soft-NMS (Bodla et al., arXiv 1704.04503) lowers scores instead, and what it lowers to
    `conf` goes: "linear" by 1 - IoU from `iou` on, "gaussian" by exp(-IoU^2 / `sigma`). "guided" is IoU-guided NMS
    (Jiang et al., arXiv 1807.11590, algorithm 1), for networks that predict a quality; "visible" is R2NMS (Huang et
    al., arXiv 2003.12729), NMS by the IoU of what can be seen, for networks that predict it of people in a crowd.
    Poses are compared by their OKS instead: "oks" is NMS at `oks`, "oks_linear" and "oks_gaussian" lower scores.
    Boxes that are `inclusive` have their last pixel counted in, as before 2020: sides are x2 - x1 + 1, and the
    image ends at its size - 1.
    """

    kind: Literal["hard", "linear", "gaussian", "guided", "visible", "oks", "oks_linear", "oks_gaussian", "none"] = (
        "hard"
    )
    conf: float = 0.25
    iou: float = 0.6
    max_det: int = 100
    inclusive: bool = False
    sigma: float = 0.5
    oks: float = 0.9

    def __post_init__(self) -> None:
        require(self.sigma > 0, "suppress.sigma", "a positive number")
        for name in ("conf", "iou", "oks"):
            require(0.0 <= getattr(self, name) <= 1.0, f"suppress.{name}", "0..1")
        require(1 <= self.max_det <= 100_000, "suppress.max_det", "1..100000")


@dataclass(frozen=True)
class Parity:
    """What the verification measured between PyTorch and the exported file, at its worst.

    `detections` is how many final detections were compared, on both sides, or how many keypoints of a pose network,
    whose shift then stands in `box_shift_px`.
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
    task: Literal["detection", "pose"]
    input: Input
    decode: Decode | GraphDecode
    fusion: Fusion
    suppress: Suppress
    labels: tuple[str, ...]
    ops: tuple[str, ...]
    provenance: Provenance
    skeleton: Skeleton | None = None
    schema: int = SCHEMA

    def __post_init__(self) -> None:
        require(bool(self.model), "model", "a name")
        require(bool(self.labels), "labels", "at least one label")
        require(
            (self.skeleton is None) == (self.task == "detection"), "skeleton", "keypoints, for a pose network alone"
        )
        is_crop, is_whole = isinstance(self.decode, CropDecode), isinstance(self.decode, TagDecode)
        fits = is_crop == (self.input.resize == "crop") and is_whole == (self.input.resize == "warp")
        require(fits, "input.resize", 'what fits the decoder: "crop" for crops alone, "warp" for tags')
        is_dense = isinstance(self.decode, DenseDecode)
        require(is_dense or self.suppress.kind not in COMPARES, "suppress.kind", "what this network's outputs allow")
        if isinstance(self.decode, TagDecode) and self.skeleton is not None:
            require(len(self.decode.order) == len(self.skeleton.keypoints), "decode.order", "the skeleton's keypoints")

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
