"""The quality that a network predicts of each box: its IoU or centerness."""

from dataclasses import dataclass
from typing import ClassVar

from .column import Column


@dataclass(frozen=True, eq=False)
class Quality(Column):
    """Values (n,) from 0 to 1."""

    name: ClassVar[str] = "quality"
