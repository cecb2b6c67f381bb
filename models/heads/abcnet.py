"""ABCNet's heads (Liu et al., "ABCNet: Real-time Scene Text Spotting with Adaptive Bezier-Curve Network",
arXiv 2002.10200), and the network around them."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ...plugins.bezier_align.op import bezier_align
from ...plugins.lstm.op import lstm
from ..blocks import ConvNorm, tower
from ..points import grid_points, points_first
from ..proposals import ProposalRule, rows_at, suppressed
from .fcos import FCOSHead


class BezierHead(FCOSHead):
    """FCOS' improved head without scales of levels, with Bezier curves beside the boxes.

    `forward` also gives `curves` (n, 16, h, w) per level, and `decode` `curves` (n, a, 16): x and y px of 8 control
    points, which are predicted in strides from the point.
    """

    def __init__(self, classes: int, channels: int = 256, *, stacked: int = 4) -> None:
        super().__init__(classes, channels, improved=True, bias=True, stacked=stacked)
        self.scales = nn.ModuleList(nn.Identity() for _ in self.strides)
        self.conv_curves = nn.Conv2d(channels, 16, 3, padding=1)

    def forward(self, levels: Sequence[Tensor]) -> dict[str, list[Tensor]]:
        # The exporter computes the common branch once.
        return {**super().forward(levels), "curves": [self.conv_curves(self.reg_convs(x)) for x in levels]}

    def decode(self, logits: dict[str, list[Tensor]]) -> dict[str, Tensor]:
        shifts = points_first(logits["curves"]).float()
        points, strides = grid_points([x.shape[2:] for x in logits["curves"]], self.strides, shifts, self.offset)
        return {**super().decode(logits), "curves": points.repeat(1, 8) + shifts * strides}


class Recognizer(nn.Module):
    """Features of lines of text (r, channels, h, w) to `steps` symbols of `count`, and their probabilities, (r, steps).

    A recurrent network encodes the columns of the features. A second one reads them with attention, symbol by symbol
    (Bahdanau et al., arXiv 1409.0473). It starts from symbol 0. The recurrent parts run in fp32.
    """

    def __init__(self, channels: int = 256, *, count: int = 97, steps: int = 25) -> None:
        super().__init__()
        self.steps = steps
        self.tower = tower(channels, 2, norm="bn")
        self.convs = nn.Sequential(*(ConvNorm(channels, channels, 3, stride=(2, 1), norm="gn") for _ in range(2)))
        self.rnn = nn.LSTM(channels, channels, bidirectional=True)
        self.joined = nn.Linear(2 * channels, channels)
        self.embedding = nn.Embedding(count, channels)
        self.attention = nn.Linear(channels, 1)
        self.combined = nn.Linear(2 * channels, channels)
        self.gru = nn.GRU(channels, channels)
        self.out = nn.Linear(channels, count)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        chosen = [logits.softmax(1).max(1) for logits in self.read(self.encode(features))]
        return torch.stack([each.indices for each in chosen], 1), torch.stack([each.values for each in chosen], 1)

    def encode(self, features: Tensor) -> Tensor:
        """The columns (w, r, channels) of the features, in fp32."""
        columns = self.convs(self.tower(features)).mean(2).permute(2, 0, 1).float()
        # The weights may be in half precision, in which ONNX Runtime has no LSTM for CPUs.
        return _linear(self.joined, lstm(columns, [weight.float() for weight in self.rnn.parameters()]))

    def read(self, columns: Tensor) -> list[Tensor]:
        """The logits (r, count) of every step from columns (w, r, channels)."""
        hidden = torch.zeros_like(columns[0])
        symbol = hidden.new_zeros(hidden.shape[0], dtype=torch.long)
        table, weights = self.embedding.weight.float(), [weight.float() for weight in self.gru.parameters()]
        logits: list[Tensor] = []
        for _ in range(self.steps):
            shares = _linear(self.attention, torch.tanh(columns + hidden)).softmax(0)
            seen = (shares * columns).sum(0)
            hidden = torch.gru_cell(
                _linear(self.combined, torch.cat((table[symbol], seen), 1)).relu(), hidden, *weights
            )
            logits.append(_linear(self.out, hidden))
            symbol = logits[-1].argmax(1)
        return logits


class TextSpotter(nn.Module):
    """Image (n, 3, h, w) to lines of text, best first: `boxes`, `scores` and their number `num`.

    The `rule` suppresses them. A score is the square root of class score and centerness; `conf` is the limit of the
    class score. Each line has `curves` (n, count, 16) px, `symbols` and `symbol_scores` (n, count, steps). Between the
    curves, 8 rows of `columns` of features are sampled from the levels P2 to P4.
    """

    rule = ProposalRule(top_k=3000, iou=0.5, count=100)
    conf = 0.45

    def __init__(
        self, backbone: nn.Module, neck: nn.Module, head: nn.Module, recognizer: nn.Module, columns: int = 32
    ) -> None:
        super().__init__()
        self.backbone, self.neck, self.bbox_head, self.recognizer = backbone, neck, head, recognizer
        self.columns = columns

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        dtype = next(self.backbone.parameters()).dtype
        return self.detect(self.neck(self.backbone(image.to(dtype))))

    def detect(self, levels: Sequence[Tensor]) -> dict[str, Tensor]:
        """The outputs from the levels P2 to P7."""
        every = self.bbox_head.decode(self.bbox_head(levels[1:]))
        classes = every["scores"][..., 0]
        ranks, best = self.rule.best(torch.where(classes > self.conf, (classes * every["quality"]).sqrt(), 0.0))
        boxes, curves = (rows_at(every[name], best) for name in ("boxes", "curves"))
        kept, places = suppressed(boxes, ranks, torch.zeros_like(ranks), 1, self.rule.iou, self.rule.count)
        curves = torch.where(kept.scores[..., None] > 0, rows_at(curves, places), 0.0)
        read = self.recognizer(self.features(levels, curves).flatten(0, 1))
        symbols, chances = (each.unflatten(0, kept.scores.shape) for each in read)
        return {
            "num": (kept.scores > 0).sum(1),
            "boxes": kept.boxes,
            "scores": kept.scores,
            "curves": curves,
            "symbols": symbols,
            "symbol_scores": chances,
        }

    def features(self, levels: Sequence[Tensor], curves: Tensor) -> Tensor:
        """The features (n, k, c, 8, columns) between curves (n, k, 16) px."""
        return bezier_align(list(levels[:3]), curves, (8, self.columns), 4, 48)


def _linear(layer: nn.Linear, x: Tensor) -> Tensor:
    """The layer in fp32."""
    return nn.functional.linear(x, layer.weight.float(), layer.bias.float())
