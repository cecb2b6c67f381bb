"""Columns of Instances: one file for each type, all listed in COLUMNS."""

from .column import Column
from .keypoints import Keypoints
from .quality import Quality
from .visible import Visible

COLUMNS: list[type[Column]] = [Keypoints, Quality, Visible]
