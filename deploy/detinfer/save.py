"""What detinfer leaves in its output folder: annotated copies, label files and crops."""

import contextlib
import errno
import math
import re
from pathlib import Path
from types import TracebackType

import numpy as np

from ..columns.masks import Masks
from ..inputs.geometry import Image
from ..inputs.image import write_image
from ..inputs.sources import Picture
from ..results.instances import Instances
from ..system.errors import DetforgeError, InputError, UsageError
from ..system.files import write_text
from .video import VideoWriter, writing_video

_WRITABLE = frozenset([".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"])


class Saver:
    """Saves each picture's results below `folder`; a context, at whose end the last video is complete.

    Files are called as their source; of equal names the second becomes `name-2`. `txt` files have a column of `scores`
    where asked for. `icdar` files are called res_NAME.txt, as in submissions to ICDAR's competitions. When the block
    fails, a video that was not complete goes.
    """

    def __init__(
        self,
        folder: Path,
        *,
        annotated: bool,
        txt: bool,
        crops: bool,
        scores: bool = False,
        icdar: bool = False,
        masks: bool = False,
    ) -> None:
        self._folder = folder
        self._annotated, self._txt, self._crops, self._scores = annotated, txt, crops, scores
        self._icdar, self._masks = icdar, masks
        self._too_long: set[str] = set()
        self._stems: dict[tuple[str, str], str] = {}
        self._video_item = ""
        self._video: VideoWriter | None = None
        self.saved = False
        """Whether there is anything in the folder by now."""
        self._open = contextlib.ExitStack()

    def __enter__(self) -> "Saver":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.__exit__(kind, error, trace)

    def save(self, picture: Picture, found: Instances) -> None:
        """Save one picture's results.

        DetforgeError when a file cannot be written; InputError, once for each name, where that is only too long.
        """
        if picture.name in self._too_long:
            return
        try:
            self._save(picture, found)
            self.saved = bool(self._stems)
        except DetforgeError as error:
            if isinstance(cause := error.__cause__, OSError) and cause.errno == errno.ENAMETOOLONG:
                self._too_long.add(picture.name)
                raise InputError(f"{picture.name}: results cannot be saved; its name is too long; rename it") from error
            raise

    def _save(self, picture: Picture, found: Instances) -> None:
        masks = found.columns.get("masks")
        if self._masks and not isinstance(masks, Masks):
            raise UsageError("--save-masks is for networks that give masks; leave it out")
        if self._annotated:
            self._save_annotated(picture, found.draw(picture.image))
        number = "" if picture.index is None else f"_{picture.index:06d}"
        if self._txt:
            name = self._stem(picture, ".txt") + number
            write_text(self._folder / "labels" / f"{name}.txt", _yolo_lines(found, self._scores))
        if self._masks and isinstance(masks, Masks):
            name = self._stem(picture, "masks") + number
            write_image(self._folder / "masks" / f"{name}.png", masks.union().astype(np.uint8) * 255)
        if self._icdar:
            name = Path(self._stem(picture, "icdar") + number)
            write_text(self._folder / "icdar" / name.with_name(f"res_{name.name}.txt"), _icdar_lines(found))
        if self._crops:
            name = self._stem(picture, "crops") + number
            for i, one in enumerate(found):
                label = _file_name(one.names[int(one.labels[0])])
                write_image(self._folder / "crops" / label / f"{name}_{i}.jpg", _crop(picture.image, one))

    def _save_annotated(self, picture: Picture, image: Image) -> None:
        if not picture.is_frame:
            suffix = Path(picture.name).suffix
            suffix = suffix if suffix.lower() in _WRITABLE else ".png"
            number = "" if picture.index is None else f"_{picture.index:06d}"
            write_image(self._folder / f"{self._stem(picture, suffix)}{number}{suffix}", image)
            return
        if self._video is None or self._video_item != picture.name or picture.index == 0:
            self._open.close()
            path = self._folder / (self._stem(picture, ".mp4") + ".mp4")
            self._video = self._open.enter_context(writing_video(path, picture.fps, image))
            self._video_item = picture.name
        self._video.write(image)

    def _stem(self, picture: Picture, kind: str) -> str:
        """The path, without suffix, of a picture's results of one kind; no two files share one."""
        item = picture.path or picture.name
        if (item, kind) not in self._stems:
            stem = wanted = _stem_of(picture.name)
            taken = {other.lower() for (_, k), other in self._stems.items() if k == kind}
            number = 2
            while stem.lower() in taken:  # some file systems ignore case
                stem, number = f"{wanted}-{number}", number + 1
            self._stems[item, kind] = stem
        return self._stems[item, kind]


def _yolo_lines(found: Instances, scores: bool) -> str:
    """A line for each detection: label, centre x and y, width and height as parts of the image's, then the columns.

    With `scores` the score comes sixth.
    """
    width, height = found.image_size
    more = ["".join(row) for row in zip(*(c.texts(found.image_size) for c in found.columns.values()), strict=True)]
    rows = zip(
        found.labels.tolist(), found.boxes.tolist(), found.scores.tolist(), more or [""] * len(found), strict=True
    )
    return "".join(
        f"{label} {(x1 + x2) / 2 / width:.6f} {(y1 + y2) / 2 / height:.6f} "
        f"{(x2 - x1) / width:.6f} {(y2 - y1) / height:.6f}{f' {score:.5f}' if scores else ''}{text}\n"
        for label, (x1, y1, x2, y2), score, text in rows
    )


def _icdar_lines(found: Instances) -> str:
    """A line for each detection: x and y of the corners of its polygon, or else of its box, in whole px.

    Text follows where it is recognised, as in the end-to-end tasks.
    """
    polygons = found.polygons
    if polygons is None:
        polygons = found.boxes[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 2)
    texts = [""] * len(found) if found.text is None else [f",{text}" for text in found.text]
    return "".join(
        ",".join(map(str, np.rint(polygon).astype(int).ravel().tolist())) + f"{text}\n"
        for polygon, text in zip(polygons, texts, strict=True)
    )


def _crop(image: Image, one: Instances) -> Image:
    """The pixels that a box touches, at least one."""
    x1, y1, x2, y2 = one.boxes[0].tolist()
    left, top = (min(max(0, int(low)), side - 1) for low, side in ((x1, image.shape[1]), (y1, image.shape[0])))
    return image[top : max(top + 1, math.ceil(y2)), left : max(left + 1, math.ceil(x2))]


def _stem_of(name: str) -> str:
    """A path below the folder: an address may lead upwards."""
    path = Path(name)
    return str(Path(*(part for part in path.with_suffix("").parts if part not in ("..", path.anchor))))


def _file_name(text: str) -> str:
    return re.sub(r"[^\w-]+", "_", text).strip("_") or "unnamed"
