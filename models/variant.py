"""What the zoo says of each named model."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from ..deploy.card import Card, Fusion, Input, Provenance, Suppress
from ..deploy.forms import Decode
from ..deploy.skeleton import Skeleton

State = Mapping[str, Tensor]

RGB = Input("edges", (800, 1333), 32, "rgb", (123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
"""The preprocessing of networks that start from PyTorch's ImageNet weights."""

CAFFE_1 = replace(RGB, color="bgr", mean=(102.9801, 115.9465, 122.7717), std=(1.0, 1.0, 1.0))
"""Of networks that start from Detectron's ImageNet weights."""

CAFFE_2 = replace(CAFFE_1, mean=(103.53, 116.28, 123.675))
"""Of networks that start from Detectron2's ImageNet weights."""

KEEP_RGB = replace(RGB, resize="keep", size=None, pad_multiple=128, pad_to="or", centered=True)
"""Of CornerNet and its descendants in OpenMMLab: images as large as they are, in the middle of the canvas."""

KEEP_BGR = replace(
    KEEP_RGB,
    color="bgr",
    mean=(104.0136177, 114.0342201, 119.9165958),
    std=(73.6027614, 69.8908182, 70.9150793),
    pad_value=0.0,
)
"""The same by their authors: another colour order and normalisation, and black around the image."""

WEIGHTS = Path(__file__).parent / "weights"
"""Where the weights lie that come with this package."""


@dataclass(frozen=True)
class Published:
    """A published checkpoint: where it is, and the AP that its authors state: COCO's of boxes, or of keypoints.

    `url` is None where no program can fetch it, as from a drive that wants a click.
    """

    url: str | None
    ap: float


def openmmlab(folder: str, name: str, suffix: str, ap: float) -> Published:
    """A checkpoint of mmdet: most repeat their folder's name in the file's."""
    return Published(f"https://download.openmmlab.com/mmdetection/v2.0/{folder}/{name}/{name}{suffix}.pth", ap)


_CHANNELS = {"offsets": 3, "hough": 3, "tags": 2}
"""How many channels such a form has for each keypoint; others have one."""

_BACKBONES = {"r": "ResNet-", "x": "ResNeXt-", "w": "HRNet-W"}
_TRAITS = {
    "caffe": "caffe style",
    "dcn": "deformable",
    "dcnv2": "modulated deformable",
    "imprv": "improved",
    "mobilenetv2": "MobileNetV2",
    "128": "crops of 128x96",
    "384": "crops of 384x288",
    "640": "images of 640 px",
}


def spelled(name: str) -> str:
    """What the parts of a variant's name stand for: "r50_caffe_2x" is "ResNet-50, caffe style, 2x schedule"."""
    words: list[str] = []
    for part in name.split("_"):
        if part[0] in _BACKBONES and part[1:].isdigit():
            words.append(_BACKBONES[part[0]] + part[1:])
        elif part[-2:] == "4d" or part[-2:] == "8d":
            words[-1] += f" {part}"
        else:
            words.append(_TRAITS.get(part, f"{part} schedule"))
    return ", ".join(words)


@dataclass(frozen=True)
class Variant:
    """One named model: how to build it, what its Card says, and where its weights are.

    `build` takes the number of classes, which for a pose network are its keypoints; `classes_key` names the parameter
    whose first axis is that number, once for every anchor of a cell or channel of a keypoint, and `beside_classes` more
    each time where a layer also predicts something else: a background, a box. `mapping` turns parts of a checkpoint's
    keys into the model's, in its order ("^" stands for the start of a key), and keys with a part in `unused` are left
    out: only training needs them. `bundled` weights come with this package.
    """

    name: str
    paper: str
    summary: str
    build: Callable[[int], nn.Module]
    decode: Decode
    classes_key: str
    input: Input = RGB
    fusion: Fusion = Fusion()
    suppress: Suppress = Suppress()
    labels: tuple[str, ...] = ()
    published: Published | None = None
    bundled: Path | None = None
    mapping: Mapping[str, str] = field(default_factory=dict)
    unused: tuple[str, ...] = ()
    skeleton: Skeleton | None = None
    beside_classes: int = 0

    def derive(
        self, name: str, summary: str, published: Published | None = None, *, build: Mapping[str, Any], **changes: Any
    ) -> "Variant":
        """The same network with other arguments to `build`, and whatever else changes."""
        builder = partial(self.build, **build)
        return replace(self, name=name, summary=summary, published=published, build=builder, **changes)

    @property
    def classes(self) -> int:
        """How many classes, or keypoints, the variant's own weights serve."""
        return len(self.labels) if self.skeleton is None else len(self.skeleton.keypoints)

    def count_classes(self, classifier: Tensor) -> int:
        """The number of classes, or keypoints, that the parameter of `classes_key` serves."""
        columns = len(classifier) // _CHANNELS.get(self.decode.kind, getattr(self.decode, "anchors", 1))
        return columns - self.beside_classes

    def card(self, labels: tuple[str, ...], provenance: Provenance, ops: tuple[str, ...] = ()) -> Card:
        """The Card of this variant with one label per class, however its weights and precision came to be."""
        return Card(
            model=self.name,
            task="detection" if self.skeleton is None else "pose",
            input=self.input,
            decode=self.decode,
            fusion=self.fusion,
            suppress=self.suppress,
            labels=labels,
            ops=ops,
            provenance=provenance,
            skeleton=self.skeleton,
        )
