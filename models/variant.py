"""What the zoo says of each named model."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor, nn

from ..deploy.card import Card, DenseDecode, Fusion, Input, Provenance, Suppress

State = Mapping[str, Tensor]

RGB = Input("edges", (800, 1333), 32, "rgb", (123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
"""The preprocessing of networks that start from PyTorch's ImageNet weights."""


WEIGHTS = Path(__file__).parent / "weights"
"""Where the weights lie that come with this package."""


@dataclass(frozen=True)
class Published:
    """A published checkpoint: where it is, and the COCO box AP that its authors state."""

    url: str
    ap: float


@dataclass(frozen=True)
class Variant:
    """One named model: how to build it, what its Card says, and where its weights are.

    `build` takes the number of classes; `classes_key` names the parameter whose first axis is that number, and
    `mapping` turns a checkpoint's keys into the model's. `bundled` weights come with this package.
    """

    name: str
    paper: str
    summary: str
    build: Callable[[int], nn.Module]
    decode: DenseDecode
    classes_key: str
    input: Input = RGB
    fusion: Fusion = Fusion()
    suppress: Suppress = Suppress()
    labels: tuple[str, ...] = ()
    published: Published | None = None
    bundled: Path | None = None
    mapping: Mapping[str, str] = field(default_factory=dict)

    def card(self, labels: tuple[str, ...], provenance: Provenance, ops: tuple[str, ...] = ()) -> Card:
        """The Card of this variant with one label per class, however its weights and precision came to be."""
        return Card(
            model=self.name,
            task="detection",
            input=self.input,
            decode=self.decode,
            fusion=self.fusion,
            suppress=self.suppress,
            labels=labels,
            ops=ops,
            provenance=provenance,
        )
