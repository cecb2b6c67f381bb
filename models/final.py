"""Final detections of a network that looks at them once more, and so suppresses duplicates in its graph."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from ..plugins.nms.op import nms
from .proposals import clipped


@dataclass(frozen=True)
class FinalRule:
    """The `count` best detections of an image without those that overlap one of their class by more than `iou`.

    Candidates are the `top_k` best pairs of proposal and class whose score exceeds `conf`. Their boxes are clipped to
    the image, and empty ones dropped.
    """

    conf: float = 0.05
    iou: float = 0.5
    count: int = 100
    top_k: int = 3000

    def __call__(self, boxes: Tensor, scores: Tensor, image_size: Tensor) -> dict[str, Tensor]:
        """From boxes (n, k, classes or 1, 4) xyxy px and scores (n, k, classes) of images of (height, width) px (n, 2).

        Returns `boxes` (n, count, 4), `scores` and `labels` (n, count), best first, and their number `num` (n,); the
        other rows are 0.
        """
        classes = scores.shape[2]
        ranks = F.pad(torch.where(scores > self.conf, scores, 0.0).flatten(1), (0, self.top_k))
        best, pairs = ranks.topk(self.top_k)
        pairs = torch.where(best > 0, pairs, 0)
        labels = pairs % classes
        every = boxes.expand(-1, -1, classes, -1).flatten(1, 2)
        kept = clipped(every.gather(1, pairs[..., None].expand(-1, -1, 4)), image_size)
        has_area = (kept[..., 2:] > kept[..., :2]).all(-1)
        limit = kept.new_full((1,), self.iou)
        rows = nms(kept, torch.where(has_area, best, 0.0), labels.to(kept.dtype), limit, classes, self.count)
        found, places = rows[:, : self.count].unbind(-1)
        places = places.long()
        return {
            "boxes": torch.where(found[..., None] > 0, kept.gather(1, places[..., None].expand(-1, -1, 4)), 0.0),
            "scores": found,
            "labels": torch.where(found > 0, labels.gather(1, places), 0),
            "num": (found > 0).sum(1),
        }


USUAL = FinalRule()
