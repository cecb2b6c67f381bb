"""The column of the proposals that boxes were found in, which Set-NMS reads."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np

from .column import Column


@dataclass(frozen=True, eq=False)
class Proposal(Column):
    """Numbers (n,), equal for boxes of one proposal."""

    name: ClassVar[str] = "proposal"

    @classmethod
    def joined(cls, parts: Sequence[Any]) -> Self:
        """The rows of all parts, whose proposals are different ones."""
        counts = [int(part.values.max(initial=-1)) + 1 for part in parts]
        firsts = np.cumsum([0, *counts[:-1]])
        values = [part.values + first for part, first in zip(parts, firsts, strict=True)]
        return replace(parts[0], values=np.concatenate(values))
