"""The structure of pose networks, and the common parts of the Cards of published ones."""

from dataclasses import replace
from functools import partial

from torch import Tensor, nn

from ..deploy.contract.fusion import Fusion
from ..deploy.contract.suppression import Suppress
from ..deploy.forms import Tags
from ..deploy.inputs.cover import Cover
from ..deploy.inputs.crop import Crop
from .skeletons import COCO_PERSON
from .variant import RGB, Published, Variant


class PoseNetwork(nn.Module):
    """Image (n, 3, h, w) to the named outputs of its head.

    The head takes all levels of the backbone, or those that a `neck` gives. The trunk runs in the type of its weights
    and the head's `decode` in fp32, so `half()` gives a half-precision trunk with an fp32 decode.
    """

    def __init__(self, backbone: nn.Module, head: nn.Module, neck: nn.Module | None = None) -> None:
        super().__init__()
        self.backbone, self.neck, self.head = backbone, nn.Identity() if neck is None else neck, head

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        dtype = next(self.backbone.parameters()).dtype
        return self.head.decode(self.head(self.neck(self.backbone(image.to(dtype)))))


class TwoViewNetwork(PoseNetwork):
    """A PoseNetwork whose head gets the levels of the image, then those of its mirror image, mirrored back."""

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        image = image.to(next(self.backbone.parameters()).dtype)
        plain, mirrored = (self.neck(self.backbone(view)) for view in (image, image.flip(3)))
        return self.head.decode(self.head([*plain, *(level.flip(3) for level in mirrored)]))


CROP = replace(RGB, place=Crop((256, 192), enlarge=(1.25, 1.25), multiple=32))
"""A person's box enlarged by a quarter, as in SimpleBaseline and its successors (arXiv 1804.06208, section 3)."""

LARGE_CROP, SMALL_CROP = CROP.placed(size=(384, 288)), CROP.placed(size=(128, 96))
TEST_CROP = CROP.placed(size=(96, 64))

WARP = replace(RGB, place=Cover((512, 512), multiple=64))
"""The whole image with a short side of 512 px, the input of bottom-up networks."""

LARGE_WARP, TEST_WARP = WARP.placed(size=(640, 640)), WARP.placed(size=(128, 128))

top_down = partial(
    Variant,
    input=CROP,
    fusion=Fusion(1.0, 1.0),
    suppress=Suppress("oks", conf=0.0, sigma=0.9),
    labels=("person",),
    skeleton=COCO_PERSON,
)
"""Fields of a Variant that finds COCO's keypoints in the crop of a person."""

TAGS = Tags((*range(7), 11, 12, 7, 8, 9, 10, 13, 14, 15, 16))
"""Grouping of COCO's keypoints by tags, the body before the limbs."""

bottom_up = partial(
    Variant,
    input=WARP,
    form=TAGS,
    suppress=Suppress("none", conf=0.0),
    labels=("person",),
    skeleton=COCO_PERSON,
)
"""Fields of a Variant that finds COCO's keypoints of all people in an image."""

OLD_HEAD = {"^keypoint_head.": "head."}
"""For `Variant.mapping`: mmpose 0.x's name of the head."""


def mmpose(file: str, ap: float) -> Published:
    """A checkpoint of mmpose by its path on the server, and its keypoint AP."""
    return Published(f"https://download.openmmlab.com/mmpose/{file}.pth", ap)
