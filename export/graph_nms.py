"""A detector with fusion, top-k and suppression inside the graph, for files that run without our runtime."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..deploy.contract.fusion import Fusion
from ..deploy.contract.labels import class_numbers
from ..deploy.contract.suppression import Suppress
from ..deploy.forms import Dense, Graph, Proposed
from ..deploy.forms.beside import KEYPOINTS
from ..deploy.forms.boxes import LAST_PIXEL
from ..deploy.system.errors import UsageError
from ..plugins.nms.op import nms

CONF = Graph.least_conf
"""Score threshold inside the file, as in the references. The runtime applies a higher one."""
_BESIDE = [output.name for output in KEYPOINTS]
"""The outputs of a detection that pass through with its box."""


def check_rule(model: str, suppress: Suppress) -> None:
    """Raise UsageError if the graph cannot run the rule."""
    if suppress.kind != "hard" or suppress.voting:
        kind = "voting" if suppress.voting else suppress.kind
        raise UsageError(f"{model} suppresses with '{kind}', a graph only with 'hard'; export it with nms 'none'")
    if suppress.conf < CONF:
        raise UsageError(
            f"conf {suppress.conf:g}: NMS in a graph drops scores up to {CONF:g}; give conf {CONF:g} or more, or "
            "export it with nms 'none'"
        )


class GraphNms(nn.Module):
    """Image (n, 3, h, w) to `boxes` (n, m, 4) xyxy px, `scores` (n, m), `labels` (n, m) int64 and `num` (n,) int64.

    The rules are those of the form and of `deploy.suppress`, with two differences. Boxes are clipped to the canvas,
    since the graph does not know the image border, unless the network takes `image_size` (n, 2), the height and width
    of each image. Only the `top_k` best pairs of a level are kept, so that their number is fixed. The rows are sorted
    by score; those from `num` to m = max_det are zero. A network that finds keypoints beside boxes also gives
    `keypoints` and `keypoint_scores` as `deploy.forms.graph` reads them.
    """

    def __init__(self, model: nn.Module, form: Any, fusion: Fusion, suppress: Suppress, labels: Sequence[str]) -> None:
        super().__init__()
        self.model = model
        self.form: Dense | Proposed = form
        self.fusion, self.suppress = fusion, suppress
        self.has_gaps = not all(labels)
        self.numbers: Tensor
        self.register_buffer("numbers", torch.tensor(class_numbers(labels).tolist()), persistent=False)

    def forward(self, image: Tensor, image_size: Tensor | None = None) -> dict[str, Tensor]:
        height, width = image.shape[2:]
        outputs = self.model(image) if image_size is None else self.model(image, image_size)
        sizes = self.form.ranked_together(height, width) or [outputs["scores"].shape[1]]
        ranks, fused = self._scores(outputs, sizes)
        pairs, values = self._best_of_levels(ranks, sizes)
        classes = ranks.shape[2]
        points, labels = pairs // classes, pairs % classes
        last, limit = int(self.form.clip in LAST_PIXEL), self.suppress.max_det
        carried = {name: _rows_of(outputs[name], points) for name in _BESIDE if name in outputs}
        boxes = outputs["boxes"]
        boxes = _rows_of(boxes, points) if boxes.ndim == 3 else self._boxes_of_pairs(boxes, pairs)
        if self.form.clip != "none":
            if image_size is None:
                sides = torch.cat([boxes.new_full((1,), side) for side in (width, height, width, height)])
            else:
                sides = image_size.flip(1).repeat(1, 2)[:, None]
            boxes = boxes.clamp(min=0).minimum(sides - last)
        is_candidate = (values >= 0) & (boxes[..., 2:] + int(self.suppress.inclusive) > boxes[..., :2]).all(-1)
        scores = torch.where(is_candidate, fused.flatten(1).gather(1, pairs), 0.0)
        # Corners one pixel further out give sides and overlaps that include the last pixel.
        areas = boxes + boxes.new_tensor([0, 0, 1, 1]) if self.suppress.inclusive else boxes
        iou = areas.new_full((1,), _not_below(self.suppress.iou))
        compared, kinds = (torch.zeros_like(labels), 1) if self.suppress.class_agnostic else (labels, classes)
        best = nms(areas, scores, compared.to(scores.dtype), iou, kinds, limit)
        labels = self.numbers[labels] if self.has_gaps else labels
        return self._rows(best, labels, {**carried, "boxes": boxes})

    def _scores(self, outputs: dict[str, Tensor], sizes: Sequence[int]) -> tuple[Tensor, Tensor]:
        """The top-k ranks, -1 for pairs that are no candidates, and the final scores, both (n, a, classes)."""
        scores, fusion = self._of_classes(outputs["scores"]), self.fusion
        fused = scores
        if "quality" in outputs:
            quality = outputs["quality"]
            quality = self._of_classes(quality) if quality.ndim == 3 else quality[..., None]
            fused = _power(scores, fusion.score_exponent) * _power(quality, fusion.quality_exponent)
        ranks = fused if fusion.rank_by == "fused" else scores
        exceeds = (fused if fusion.threshold_by == "fused" else scores) > CONF
        if self.form.unit == "best":
            exceeds = exceeds & (torch.arange(scores.shape[2], device=scores.device) == scores.argmax(2, keepdim=True))
        if self.form.unit == "points":
            exceeds = exceeds & self._among_best_points(ranks.amax(2), sizes)[..., None]
        return torch.where(exceeds, ranks, -1.0), fused

    def _of_classes(self, values: Tensor) -> Tensor:
        """The values (n, a, c) of the classes, without those of empty labels."""
        return values[..., self.numbers] if self.has_gaps else values

    def _boxes_of_pairs(self, boxes: Tensor, pairs: Tensor) -> Tensor:
        """The boxes (n, m, 4) of pairs (n, m) of point and class among those of each class (n, a, classes or 1, 4)."""
        if boxes.shape[2] == 1:
            boxes = boxes.expand(-1, -1, len(self.numbers), -1)
        elif self.has_gaps:
            boxes = boxes[:, :, self.numbers]
        return _rows_of(boxes.flatten(1, 2), pairs)

    def _among_best_points(self, ranks: Tensor, sizes: Sequence[int]) -> Tensor:
        """Whether each point (n, a) is among the `top_k` best of its level."""
        limits: list[Tensor] = []
        for level in torch.split(ranks, list(sizes), 1):
            # Pad with -1, so that a level with fewer points has that limit.
            best = nn.functional.pad(level, (0, self.form.top_k), value=-1.0).topk(self.form.top_k).values
            limits.append(best[:, -1:].expand_as(level))
        return ranks >= torch.cat(limits, 1)

    def _best_of_levels(self, ranks: Tensor, sizes: Sequence[int]) -> tuple[Tensor, Tensor]:
        """The `top_k` best pairs of point and class of each level: indices and values (n, levels * top_k).

        A level with fewer pairs is padded with its first index and values of -1.
        """
        classes = ranks.shape[2]
        indices: list[Tensor] = []
        values: list[Tensor] = []
        start = 0
        for size in sizes:
            level = ranks[:, start : start + size].flatten(1)
            level = nn.functional.pad(level, (0, self.form.top_k), value=-1.0)
            value, index = level.topk(self.form.top_k)
            values.append(value)
            indices.append(torch.where(index < size * classes, index, 0) + start * classes)
            start = start + size
        return torch.cat(indices, 1), torch.cat(values, 1)

    def _rows(self, best: Tensor, labels: Tensor, carried: dict[str, Tensor]) -> dict[str, Tensor]:
        """The `max_det` best remaining (n, k, 2) scores and positions. Rows without a score are zero."""
        limit = self.suppress.max_det
        best = nn.functional.pad(best, (0, 0, 0, max(0, limit - best.shape[1])))[:, :limit]
        scores, index = best[..., 0], best[..., 1].long()
        found = scores > 0
        return {
            **{name: torch.where(found[..., None], _rows_of(own, index), 0.0) for name, own in carried.items()},
            "scores": scores,
            "labels": torch.where(found, labels.gather(1, index), 0),
            "num": found.sum(1),
        }


def _not_below(limit: float) -> float:
    """The nearest float32 that is not below `limit`, so that a box exactly at the limit passes in any precision."""
    nearest = np.float32(limit)
    return float(nearest if nearest >= limit else np.nextafter(nearest, np.float32(np.inf)))


def _rows_of(values: Tensor, rows: Tensor) -> Tensor:
    """The rows (n, m) of values (n, a, c)."""
    return values.gather(1, rows[..., None].expand(-1, -1, values.shape[2]))


def _power(base: Tensor, exponent: float) -> Tensor:
    return base if exponent == 1.0 else base**exponent
