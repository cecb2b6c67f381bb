"""The column of predicted box quality, which is an IoU or a centerness."""

from dataclasses import dataclass
from typing import ClassVar

from .column import Column


@dataclass(frozen=True, eq=False)
class Quality(Column):
    """Qualities (n,) from 0 to 1."""

    name: ClassVar[str] = "quality"
