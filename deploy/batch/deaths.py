"""At which items of a part workers have died.

Ray gives the part of a dead worker to another one without end. The second worker of a part notes each item in a file
before it reads it, since nothing else outlives it; so the third one knows where the second died.
"""

from pathlib import Path

from ..system.files import write_text


class Deaths:
    """The notes of a part. `again` says whether a worker has begun it before."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.again = file.exists()
        self._known = [int(number) for number in file.read_text("ascii").split()] if self.again else []
        if not self.again:
            self._write([])

    def at(self, item: int) -> int:
        """How many workers have died at the item of this number."""
        return self._known.count(item)

    def note(self, item: int) -> None:
        """Write down that this item comes next."""
        self._write([*self._known, item])

    def forget(self) -> None:
        """Delete the notes of a finished part."""
        self._file.unlink(missing_ok=True)

    def _write(self, items: list[int]) -> None:
        write_text(self._file, " ".join(map(str, items)))
