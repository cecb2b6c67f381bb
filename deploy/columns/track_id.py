"""The column of identities, which follow objects through a video."""

from dataclasses import dataclass
from typing import Any, ClassVar

from .column import Column

NO_TRACK = -1


@dataclass(frozen=True, eq=False)
class TrackId(Column):
    """Identities (n,) int64, unique in a video: 0, 1, and so on, or -1 for a detection that has none yet."""

    name: ClassVar[str] = "track_id"

    def records(self) -> list[dict[str, Any]]:
        return [{"track_id": number} for number in self.values.tolist()]

    def texts(self, image_size: tuple[int, int]) -> list[str]:
        return [f" {number}" for number in self.values.tolist()]

    def captions(self) -> list[str]:
        return ["" if number == NO_TRACK else f"#{number} " for number in self.values.tolist()]
