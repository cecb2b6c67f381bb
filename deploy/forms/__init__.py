"""Forms of network output: one file for each form, all listed in FORMS."""

from .affinity import Affinity
from .body_parts import BodyParts
from .centres import Centres
from .centripetal import Centripetal
from .change import Change
from .composite import Composite
from .coordinates import Coordinates
from .corners import Corners
from .dense import Dense
from .dilated import Dilated
from .extremes import Extremes
from .form import Form
from .graph import Graph
from .grown import Grown
from .heatmaps import Heatmaps
from .offsets import Offsets
from .peaks import Peaks
from .people import People
from .proposed import Proposed
from .regions import Regions
from .roots import Roots
from .rotated import Rotated
from .scaled_points import ScaledPoints
from .simcc import Simcc
from .solid_corners import SolidCorners
from .spotted import Spotted
from .surface import Surface
from .tags import Tags
from .vectors import Vectors
from .votes import Votes

FORMS: list[type[Form]] = [
    *(Dense, Peaks, Corners, Centripetal, Extremes, Heatmaps, Offsets, Votes, Simcc, Coordinates),
    *(Tags, Affinity, BodyParts, Composite, Graph, Regions, Centres, Roots, People, Proposed),
    *(Rotated, Grown, Dilated, Spotted, Change, Vectors, Surface, SolidCorners, ScaledPoints),
]
