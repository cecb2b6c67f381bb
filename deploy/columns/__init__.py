"""What can be known of a finding: one file for each kind of column.

The types of columns are listed once, here.
"""

from .column import Column
from .keypoints import Keypoints
from .quality import Quality
from .visible import Visible

COLUMNS: list[type[Column]] = [Keypoints, Quality, Visible]
