"""Columns of Instances: one file for each type, all listed in COLUMNS."""

from .column import Column
from .keypoints import Keypoints
from .masks import Masks
from .object_masks import ObjectMasks
from .polygons import Polygons
from .proposal import Proposal
from .quality import Quality
from .track_id import TrackId
from .visible import Visible

COLUMNS: list[type[Column]] = [Keypoints, Masks, ObjectMasks, Polygons, Proposal, Quality, TrackId, Visible]
