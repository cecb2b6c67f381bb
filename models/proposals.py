"""Proposals: the regions of an image in which a network looks for objects a second time."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from ..plugins.nms.op import nms


class Proposals(NamedTuple):
    """Regions `boxes` (n, k, 4) xyxy px with `scores` (n, k), best first; rows with a score of 0 are padding."""

    boxes: Tensor
    scores: Tensor


@dataclass(frozen=True)
class ProposalRule:
    """Selects `count` proposals: the `top_k` best boxes of each level, without those that overlap by more than `iou`.

    Boxes are clipped to the image, if `clips`, and those dropped with a side of at most `least` px; only those of one
    level are compared. With `inclusive`, boxes end at the last pixel of the image and overlaps count a box's last pixel
    (Ren et al., arXiv 1506.01497).
    """

    top_k: int = 1000
    iou: float = 0.7
    count: int = 1000
    inclusive: bool = False
    clips: bool = True
    least: float = 0.0

    def best(self, scores: Tensor) -> tuple[Tensor, Tensor]:
        """The `top_k` best of the scores (n, a) of one level, and where they are: (n, top_k) each.

        A level with fewer anchors is padded with scores of 0.
        """
        padded = F.pad(scores, (0, self.top_k), value=-1.0)
        values, places = padded.topk(self.top_k)
        return values.clamp(min=0), torch.where(values < 0, 0, places)

    def __call__(self, boxes: Sequence[Tensor], scores: Sequence[Tensor], image_size: Tensor) -> Proposals:
        """The proposals among the boxes (n, k, 4) xyxy px and scores (n, k) of each level.

        `image_size` (n, 2) is the height and width px of each image on its canvas.
        """
        return self.chosen(boxes, scores, image_size)[0]

    def chosen(self, boxes: Sequence[Tensor], scores: Sequence[Tensor], image_size: Tensor) -> tuple[Proposals, Tensor]:
        """The proposals, and their places (n, count) among the boxes of all levels."""
        levels = torch.cat([torch.full_like(x, i) for i, x in enumerate(scores)], 1)
        found = torch.cat(list(boxes), 1)
        found = clipped(found, image_size, self.inclusive) if self.clips else found
        has_area = (found[..., 2:] + int(self.inclusive) - found[..., :2] > self.least).all(-1)
        ranks = torch.where(has_area, torch.cat(list(scores), 1), 0.0)
        return suppressed(found, ranks, levels, len(scores), self.iou, self.count, self.inclusive)


USUAL = ProposalRule()


def rows_at(values: Tensor, places: Tensor) -> Tensor:
    """Some rows (n, k, c) of values (n, a, c), at places (n, k)."""
    return values.gather(1, places[..., None].expand(-1, -1, values.shape[2]))


def clipped(boxes: Tensor, image_size: Tensor, inclusive: bool = False) -> Tensor:
    """Boxes (n, k, 4) xyxy px clipped to the images of (height, width) px (n, 2), or to their last pixels."""
    sides = image_size.flip(1).repeat(1, 2)[:, None].to(boxes.dtype) - int(inclusive)
    return boxes.clamp(min=0).minimum(sides)


def suppressed(
    boxes: Tensor, scores: Tensor, labels: Tensor, classes: int, iou: float, count: int, inclusive: bool = False
) -> tuple[Proposals, Tensor]:
    """The `count` best boxes (n, k, 4) xyxy px, and their places (n, count), after NMS among those of a label.

    `scores` and `labels`, numbers below `classes`, are (n, k). Scores of 0 are no candidates. Overlaps of `inclusive`
    boxes count their last pixel.
    """
    # Corners one pixel further out give sides and overlaps that include the last pixel.
    areas = boxes + boxes.new_tensor([0, 0, 1, 1]) if inclusive else boxes
    rows = nms(areas, scores, labels, areas.new_full((1,), iou), classes, count)
    rows = F.pad(rows, (0, 0, 0, max(0, count - rows.shape[1])))[:, :count]
    kept, found = rows.unbind(-1)
    places = found.long()
    regions = rows_at(boxes, places)
    return Proposals(torch.where(kept[..., None] > 0, regions, 0.0), kept), places
