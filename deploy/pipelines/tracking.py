"""Follows objects from frame to frame, with the package trackers (the extra `track`)."""

from collections.abc import Sequence
from importlib import import_module
from typing import Any

import numpy as np

from ..columns.track_id import NO_TRACK, TrackId
from ..inputs.listing import Item
from ..inputs.sources import Picture
from ..results.instances import Instances
from ..system.errors import IncompatibleError, UsageError
from .each import Find
from .smoothing import Smoother


class Tracking:
    """Adds identities to the detections of consecutive frames, and with `smooth` smooths their keypoints.

    Every detection is tracked, whatever its score and class, by the overlap of boxes: C-BIoU (Yang et al., WACV 2023)
    with the defaults of the package. Each source starts anew. Raises UsageError for `items` that are no videos, and
    IncompatibleError if the package is not installed.
    """

    def __init__(self, items: Sequence[Item], *, smooth: bool) -> None:
        if pictures := [item.shown for item in items if not item.is_video]:
            raise UsageError(f"{pictures[0]}: a picture, and tracking needs a video or a camera; leave out track")
        try:
            self._trackers, self._supervision = import_module("trackers"), import_module("supervision")
        except ImportError:
            raise IncompatibleError(
                "tracking needs the package trackers, which is not installed; pip install 'detforge[track]'"
            ) from None
        self._smooth = smooth
        self._path = ""
        self._tracker: Any = None
        self._smoother = Smoother()

    def after(self, find: Find) -> Find:
        """The function `find` with tracking. It must be called with all frames in order."""
        return lambda pictures: [self._follow(*pair) for pair in zip(pictures, find(pictures), strict=True)]

    def _follow(self, picture: Picture, found: Instances) -> Instances:
        if not picture.index or picture.path != self._path:
            self._path = picture.path
            self._tracker = self._trackers.CBIoUTracker(frame_rate=picture.fps)
            self._smoother = Smoother()
        # Without scores, the tracker follows all detections: the threshold of the model has already been applied.
        boxes = self._supervision.Detections(found.boxes.copy(), data={"row": np.arange(len(found))})
        tracked = self._tracker.update(boxes)
        ids = np.full(len(found), NO_TRACK, np.int64)
        if len(tracked):
            ids[tracked.data["row"]] = tracked.tracker_id
        found = found.with_columns(TrackId(ids))
        return self._smoother.smoothed(found, (picture.index or 0) / picture.fps) if self._smooth else found
