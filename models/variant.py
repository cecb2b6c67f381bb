"""The description of each named model of the zoo."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from ..deploy.card import Card, Provenance
from ..deploy.contract.fusion import Fusion
from ..deploy.contract.skeleton import Skeleton
from ..deploy.contract.suppression import Suppress
from ..deploy.forms import Form
from ..deploy.inputs.network_inputs import ImageInput, NetworkInput, PlacedInput
from ..deploy.inputs.resize import Pad, Resize

RGB = ImageInput(
    Resize((800, 1333), "edges", pad=Pad(multiple=32)), "rgb", (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
)
"""The preprocessing of networks that start from PyTorch's ImageNet weights."""

CAFFE_1 = replace(RGB, color="bgr", mean=(102.9801, 115.9465, 122.7717), std=(1.0, 1.0, 1.0))
"""The preprocessing of networks that start from Detectron's ImageNet weights."""

CAFFE_2 = replace(CAFFE_1, mean=(103.53, 116.28, 123.675))
"""The preprocessing of networks that start from Detectron2's ImageNet weights."""

KEEP_RGB = replace(RGB, place=Resize(pad=Pad(multiple=128, rule="or", centered=True)))
"""The preprocessing of CornerNet and its descendants in OpenMMLab: images at their original size, centred."""

KEEP_BGR = replace(
    KEEP_RGB,
    place=Resize(pad=Pad(multiple=128, rule="or", centered=True, value=0.0)),
    color="bgr",
    mean=(104.0136177, 114.0342201, 119.9165958),
    std=(73.6027614, 69.8908182, 70.9150793),
)
"""The preprocessing of their authors: another colour order and normalisation, and black padding."""

BGR = replace(RGB, color="bgr", mean=RGB.mean[::-1], std=RGB.std[::-1])
"""The same with blue first."""

AS_IS_BGR = ImageInput(Resize(pad=Pad(multiple=32)), "bgr", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
"""Images at their original size and values, padded with black on the right and at the bottom."""


def in_grey_square(spec: ImageInput, side: int) -> ImageInput:
    """The same preprocessing with the image in the top left of a grey square, as in YOLOX."""
    return replace(spec, place=Resize((side, side), pad=Pad((side, side), 32, value=114.0)))


def stretched(spec: ImageInput, height: int, width: int, *, multiple: int = 32) -> ImageInput:
    """The same preprocessing with the image stretched to this size; other canvases are multiples of `multiple` px."""
    return replace(spec, place=Resize((height, width), keep_aspect=False, pad=Pad(multiple=multiple)))


def padded(spec: ImageInput, **changes: Any) -> ImageInput:
    """The same preprocessing with another padding."""
    assert isinstance(spec.place, Resize)
    return spec.placed(pad=replace(spec.place.pad, **changes))


WEIGHTS = Path(__file__).parent / "weights"
"""The folder of the weights in this package."""


@dataclass(frozen=True)
class Published:
    """A published checkpoint: its URL, and the COCO AP of boxes or keypoints that its authors state.

    `url` is None if no program can download it, for example from a web drive, and `ap` if they state another figure.
    """

    url: str | None
    ap: float | None = None


def openmmlab(folder: str, name: str, suffix: str, ap: float) -> Published:
    """A checkpoint of mmdet. Most file names repeat the name of their folder."""
    return Published(f"https://download.openmmlab.com/mmdetection/v2.0/{folder}/{name}/{name}{suffix}.pth", ap)


_BACKBONES = {"r": "ResNet-", "s": "ResNeSt-", "x": "ResNeXt-", "w": "HRNet-W"}
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
    """A variant's name in words: "r50_caffe_2x" becomes "ResNet-50, caffe style, 2x schedule"."""
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
    """One named model: how to build it, its Card, and the location of its weights.

    `build` takes the number of classes, which for a pose network are its keypoints; `classes_key` names the parameter
    whose first axis is that number, once for every anchor of a cell or channel of a keypoint, and `beside_classes` more
    each time where a layer also predicts something else: a background, a box. A class may have several `class_rows`.
    `mapping` turns parts of a checkpoint's keys into the model's, in its order ("^" stands for the start of a key), and
    keys with a part in `unused` are left out: only training needs them. `bundled` weights come with this package.
    `other_inputs` are those that the network takes beside the image. `colors` are the RGB colours of the labels, if
    these have any of their own.
    """

    name: str
    paper: str
    summary: str
    build: Callable[[int], nn.Module]
    form: Form
    classes_key: str
    input: PlacedInput = RGB
    fusion: Fusion = Fusion()
    suppress: Suppress = Suppress()
    labels: tuple[str, ...] = ()
    published: Published | None = None
    bundled: Path | None = None
    mapping: Mapping[str, str] = field(default_factory=dict)
    unused: tuple[str, ...] = ()
    skeleton: Skeleton | None = None
    beside_classes: int = 0
    class_rows: int = 1
    other_inputs: tuple[NetworkInput, ...] = ()
    colors: tuple[tuple[int, int, int], ...] = ()

    def derive(
        self, name: str, summary: str, published: Published | None = None, *, build: Mapping[str, Any], **changes: Any
    ) -> "Variant":
        """The same network with other arguments of `build` and other fields."""
        builder = partial(self.build, **build)
        return replace(self, name=name, summary=summary, published=published, build=builder, **changes)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of what the variant's own weights have channels for: the keypoints of a pose network, or labels."""
        return self.skeleton.keypoints if self.skeleton is not None and self.form.has_keypoints else self.labels

    @property
    def classes(self) -> int:
        """The number of classes or keypoints of the variant's own weights."""
        return len(self.names)

    def count_classes(self, classifier: Tensor) -> int:
        """The number of classes or keypoints in the parameter of `classes_key`."""
        return (len(classifier) // self.form.channels - self.beside_classes) // self.class_rows

    def card(self, labels: tuple[str, ...], provenance: Provenance, skeleton: Skeleton | None = None) -> Card:
        """The Card of this variant with one label per class, for its own or other keypoints."""
        own, form = self.skeleton, self.form
        if own is None or skeleton is None:
            skeleton = own
        elif (skeleton.keypoints, skeleton.pairs) != (own.keypoints, own.pairs):
            form = form.for_skeleton(skeleton)
        return Card(
            model=self.name,
            inputs=(self.input, *self.other_inputs),
            form=form,
            labels=labels,
            provenance=provenance,
            fusion=self.fusion,
            suppress=self.suppress,
            skeleton=skeleton,
            colors=self.colors if len(self.colors) == len(labels) else (),
        )
