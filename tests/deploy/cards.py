"""Cards of every form and kind of input."""

from dataclasses import replace

from detforge.deploy.card import Card, Parity, Provenance
from detforge.deploy.contract.skeleton import Skeleton
from detforge.deploy.contract.solid import Solid
from detforge.deploy.contract.suppression import Suppress
from detforge.deploy.forms import (
    Affinity,
    BodyParts,
    Centres,
    Centripetal,
    Change,
    Composite,
    Coordinates,
    Corners,
    Dense,
    Dilated,
    Extremes,
    Graph,
    Grown,
    Heatmaps,
    Offsets,
    Peaks,
    People,
    Proposed,
    Regions,
    Roots,
    Rotated,
    ScaledPoints,
    Simcc,
    SolidCorners,
    Spotted,
    Surface,
    Tags,
    Vectors,
    Votes,
)
from detforge.deploy.inputs.cover import Cover
from detforge.deploy.inputs.crop import Crop
from detforge.deploy.inputs.frustum import Frustum
from detforge.deploy.inputs.network_inputs import ImageInput, PointsInput, PoseInput, SizeInput
from detforge.deploy.inputs.resize import Pad, Resize
from detforge.deploy.inputs.zoom import Zoom

PLACE = Resize((800, 1333), "edges", pad=Pad(multiple=32))
CARD = Card(
    model="gfl_test",
    inputs=(ImageInput(PLACE, "rgb", (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),),
    form=Dense((8, 16, 32)),
    labels=("Hund", "猫"),
    ops=("detforge::DFL",),
    provenance=Provenance("a.pth", "00" * 32, "fp16", {"torch": "2.13"}, Parity(1e-5, 1e-4, 1.0, 40, 1.0, 0.01, 1e-4)),
)
SKELETON = Skeleton(("nose", "left", "right"), ((0, 1), (0, 2)), ((1, 2),), (0.1, 0.2, 0.3))
CROPS = replace(
    CARD,
    inputs=(replace(CARD.input, place=Crop((256, 192), enlarge=(1.25, 1.25), multiple=32)),),
    form=Heatmaps(),
    skeleton=SKELETON,
    suppress=Suppress("oks"),
)
WHOLE = replace(
    CARD,
    inputs=(replace(CARD.input, place=Cover((512, 512), 64, spacing=True)),),
    form=Tags((0, 1, 2), scales=(0.5, 1.0)),
    skeleton=SKELETON,
    suppress=Suppress("none"),
)
CARDS = [
    CARD,
    replace(CARD, form=Graph("canvas")),
    replace(CARD, skeleton=SKELETON),
    replace(CARD, form=Peaks()),
    replace(CARD, form=ScaledPoints(top_k=50), skeleton=SKELETON),
    replace(CARD, inputs=(*CARD.inputs, SizeInput()), form=Proposed(2000)),
    replace(CARD, form=Corners(flip=True)),
    replace(CARD, form=Centripetal(shrink=(2.1, 2.4), spread=1.0)),
    replace(CARD, form=Extremes(scales=(0.5, 1.0)), suppress=Suppress("gaussian", ghosts=True)),
    replace(
        CARD, form=BodyParts(((0, 1), (1, 3)), (0, 3, 1), flip=False), skeleton=SKELETON, suppress=Suppress("none")
    ),
    replace(CARD, form=Composite(((0, 1), (1, 2))), skeleton=SKELETON, suppress=Suppress("none")),
    replace(CARD, form=Affinity(((0, 1), (2, 1)), starts=1), skeleton=SKELETON, suppress=Suppress("none")),
    replace(CARD, form=Regions(shape="outline"), suppress=Suppress("none")),
    replace(CARD, form=Rotated(least=0.2), suppress=Suppress("locality", iou=0.2)),
    replace(CARD, form=Grown(kernel_threshold=0.6), suppress=Suppress("polygons")),
    replace(CARD, form=Dilated(grow=2.0), suppress=Suppress("polygons")),
    replace(
        CARD,
        inputs=(*CARD.inputs, replace(CARD.input, second=True, name="against")),
        form=Change(least=4),
        suppress=Suppress("none"),
    ),
    replace(CARD, form=Spotted("ab c"), suppress=Suppress("hard")),
    replace(CARD, form=Vectors(Solid((-1.0, -1.0, 0.0), (1.0, 1.0, 2.0), ((0.0, 0.0, 1.0),), "m"), weighted=False)),
    replace(CARD, form=Dense((4, 8), levels_together=True, unpadded=True), suppress=Suppress("covered", iou=0.3)),
    replace(CARD, form=Centres(flip=True, scored_by="peak"), skeleton=SKELETON, labels=("person",)),
    replace(
        CARD,
        inputs=(replace(CARD.input, place=Zoom((256, 256), enlarge=(1.5, 1.5))),),
        form=Surface(Solid((-1.0, -1.0, -2.0), (1.0, 1.0, 2.0))),
    ),
    replace(
        CARD,
        inputs=(PointsInput(Frustum((1, 500), reach=150.0)),),
        form=SolidCorners(Solid((-1.0, -1.0, -2.0), (1.0, 1.0, 2.0), diameter=4.5), least=5),
    ),
    CROPS,
    *(
        replace(CROPS, form=form)
        for form in (Offsets(4.0), Votes(4.0), Simcc(dark=(13, 7), least_score=None), Coordinates(True, 0.5))
    ),
    replace(CROPS, inputs=(*CROPS.inputs, PoseInput((0, 2, 1), 3.0, peak=255.0))),
    WHOLE,
    replace(WHOLE, form=People(least_centre=0.1)),
    replace(WHOLE, form=Roots(parents=(-1, 0, 0), diagonal=True, nearby=0.05, torso=(0, 1), shift=1.0)),
    replace(CARD, provenance=Provenance("random", None, "fp32", {})),
    CARD.with_place(Resize((640, 480), pad=Pad((640, 480), value=114.0))),
    CARD.with_place(Resize((640, 480), keep_aspect=False, rounding="floor", filter="float")),
    CARD.with_place(Resize((640, 480), rounding="floor", inverse="factor", filter="cubic")),
    CARD.with_place(Resize(pad=Pad(multiple=128, rule="or", centered=True))),
]
