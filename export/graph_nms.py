"""A detector with fusion, top-k and suppression behind it, for files that need no runtime of ours to suppress."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from ..deploy.card import DenseDecode, Fusion
from ..plugins.nms.op import nms

CONF = 0.05
"""The threshold inside the file, the references' own; a higher one is applied at run time."""


class GraphNms(nn.Module):
    """Image (n, 3, h, w) to `boxes` (n, m, 4) xyxy px, `scores` (n, m), `labels` (n, m) int64 and `num` (n,) int64.

    The rules are those of `deploy.decode.dense` and `deploy.suppress`, but boxes are cut at the canvas, since the
    image's own border is unknown here. The rows are sorted by score; those from `num` to m = max_det are zero.
    """

    def __init__(self, model: nn.Module, decode: DenseDecode, fusion: Fusion, iou: float, max_det: int) -> None:
        super().__init__()
        self.model = model
        self.decode, self.fusion, self.iou, self.max_det = decode, fusion, iou, max_det

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        height, width = image.shape[2:]
        outputs = self.model(image)
        boxes = outputs["boxes"]
        ranked, fused = self._scores(outputs)
        ends = [0]
        for s in self.decode.strides:
            ends.append(ends[-1] + ((height + s - 1) // s) * ((width + s - 1) // s))
        pairs, values = self._best_of_levels(ranked, ends)
        classes = ranked.shape[2]
        points, labels = pairs // classes, pairs % classes
        limit = torch.cat([boxes.new_full((1,), side) for side in (width, height, width, height)])
        boxes = boxes.gather(1, points[..., None].expand(-1, -1, 4)).clamp(min=0).minimum(limit)
        is_candidate = (values > CONF) & (boxes[..., 2:] > boxes[..., :2]).all(-1)
        scores = torch.where(is_candidate, fused.flatten(1).gather(1, pairs), 0.0)
        keep = nms(boxes, scores, labels, classes, self.iou, self.max_det)
        return self._best(boxes, torch.where(keep, scores, 0.0), labels)

    def _scores(self, outputs: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """What the threshold and the top-k act on, and the final scores, both (n, a, classes)."""
        scores = outputs["scores"]
        if "quality" not in outputs:
            return scores, scores
        fusion = self.fusion
        quality = outputs["quality"][..., None]
        fused = _power(scores, fusion.score_exponent) * _power(quality, fusion.quality_exponent)
        return (fused if fusion.rank_by == "fused" else scores), fused

    def _best_of_levels(self, ranked: Tensor, ends: Sequence[int]) -> tuple[Tensor, Tensor]:
        """The `top_k` best pairs of point and class of each level: indices and values (n, levels * top_k).

        A level with fewer pairs is filled up with its first index and values of -1.
        """
        classes = ranked.shape[2]
        indices: list[Tensor] = []
        values: list[Tensor] = []
        for start, end in pairwise(ends):
            level = ranked[:, start:end].flatten(1)
            level = nn.functional.pad(level, (0, self.decode.top_k), value=-1.0)
            value, index = level.topk(self.decode.top_k)
            values.append(value)
            indices.append(torch.where(index < (end - start) * classes, index, 0) + start * classes)
        return torch.cat(indices, 1), torch.cat(values, 1)

    def _best(self, boxes: Tensor, scores: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """The `max_det` best rows, those without a score zeroed."""
        missing = max(0, self.max_det - scores.shape[1])
        scores = nn.functional.pad(scores, (0, missing))
        labels = nn.functional.pad(labels, (0, missing))
        boxes = nn.functional.pad(boxes, (0, 0, 0, missing))
        scores, index = scores.topk(self.max_det)
        found = scores > 0
        return {
            "boxes": torch.where(found[..., None], boxes.gather(1, index[..., None].expand(-1, -1, 4)), 0.0),
            "scores": scores,
            "labels": torch.where(found, labels.gather(1, index), 0),
            "num": found.sum(1),
        }


def _power(base: Tensor, exponent: float) -> Tensor:
    return base if exponent == 1.0 else base**exponent
