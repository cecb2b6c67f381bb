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

    Boxes are clipped to the image and empty ones dropped; only those of one level are compared. With `inclusive`, boxes
    end at the last pixel of the image and overlaps count a box's last pixel (Ren et al., arXiv 1506.01497).
    """

    top_k: int = 1000
    iou: float = 0.7
    count: int = 1000
    inclusive: bool = False

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
        levels = torch.cat([torch.full_like(x, i) for i, x in enumerate(scores)], 1)
        found = clipped(torch.cat(list(boxes), 1), image_size, self.inclusive)
        has_area = (found[..., 2:] + int(self.inclusive) > found[..., :2]).all(-1)
        # Corners one pixel further out give sides and overlaps that include the last pixel.
        areas = found + found.new_tensor([0, 0, 1, 1]) if self.inclusive else found
        ranks = torch.where(has_area, torch.cat(list(scores), 1), 0.0)
        rows = nms(areas, ranks, levels, areas.new_full((1,), self.iou), len(scores), self.count)
        rows = F.pad(rows, (0, 0, 0, max(0, self.count - len(scores) * self.top_k)))[:, : self.count]
        kept, places = rows.unbind(-1)
        regions = found.gather(1, places.long()[..., None].expand(-1, -1, 4))
        return Proposals(torch.where(kept[..., None] > 0, regions, 0.0), kept)


USUAL = ProposalRule()


def clipped(boxes: Tensor, image_size: Tensor, inclusive: bool = False) -> Tensor:
    """Boxes (n, k, 4) xyxy px clipped to the images of (height, width) px (n, 2), or to their last pixels."""
    sides = image_size.flip(1).repeat(1, 2)[:, None].to(boxes.dtype) - int(inclusive)
    return boxes.clamp(min=0).minimum(sides)
