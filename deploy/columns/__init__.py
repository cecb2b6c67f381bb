"""Columns of Instances: one file for each type, all listed in COLUMNS."""

from .column import Column
from .keypoints import Keypoints
from .masks import Masks
from .polygons import Polygons
from .proposal import Proposal
from .quality import Quality
from .rigid_poses import RigidPoses
from .track_id import TrackId
from .visible import Visible

COLUMNS: list[type[Column]] = [Keypoints, Masks, Polygons, Proposal, Quality, RigidPoses, TrackId, Visible]
