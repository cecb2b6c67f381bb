"""The column of recognised text."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from .column import Column


@dataclass(frozen=True, eq=False)
class Text(Column):
    """What is written in each detection: `values` (n,) are str, maybe empty, and `scores` (n,) float32 of 0..1."""

    scores: NDArray[np.float32]
    name: ClassVar[str] = "text"

    @classmethod
    def of(cls, texts: Sequence[str], scores: Sequence[float]) -> Self:
        """The column of these texts."""
        values = np.empty(len(texts), object)
        values[:] = texts
        return cls(values, np.array(scores, np.float32))

    def __getitem__(self, rows: NDArray[Any] | slice) -> Self:
        return replace(self, values=self.values[rows], scores=self.scores[rows])

    @classmethod
    def joined(cls, parts: Sequence[Any]) -> Self:
        values, scores = (np.concatenate([getattr(part, name) for part in parts]) for name in ("values", "scores"))
        return cls(values, scores)

    def records(self) -> list[dict[str, Any]]:
        return [{"text": text, "text_score": round(score, 5)} for text, score in self._rows()]

    def texts(self, image_size: tuple[int, int]) -> list[str]:
        """The text as a JSON string."""
        return [f" {json.dumps(text, ensure_ascii=False)}" for text in self.values]

    def notes(self) -> list[str]:
        """The text and its score."""
        return [f"  {json.dumps(text, ensure_ascii=False)} {score:.2f}" for text, score in self._rows()]

    def captions(self) -> list[str]:
        return [f"{text} " if text else "" for text in self.values]

    def to_supervision(self, scores: NDArray[np.float32], labels: NDArray[Any], data: dict[str, Any]) -> Any:
        data[self.name] = self.values.astype(str)

    def _rows(self) -> list[tuple[str, float]]:
        return list(zip(self.values.tolist(), self.scores.tolist(), strict=True))
