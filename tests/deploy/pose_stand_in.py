"""A pose network by hand: each keypoint is where its colour shines brightest."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from conftest import COLOR_CARD
from numpy.typing import NDArray
from onnx import TensorProto, helper

from detforge.deploy.card import METADATA_KEY, Card
from detforge.deploy.contract.fusion import Fusion
from detforge.deploy.contract.port import Arrays, Port
from detforge.deploy.contract.skeleton import Skeleton
from detforge.deploy.contract.suppression import Suppress
from detforge.deploy.forms import Heatmaps
from detforge.deploy.inputs.crop import Crop
from detforge.deploy.inputs.network_inputs import ImageInput

STEP = 4
CANVAS = (97, 65)  # sides of 4 n + 1 px: every fourth pixel, the first and the last among them

POSE_CARD = Card(
    model="lights",
    inputs=(ImageInput(Crop(CANVAS, (1.25, 1.25), spacing=True), "bgr", (0.0, 0.0, 0.0), (255.0, 255.0, 255.0)),),
    form=Heatmaps("udp", blur=3, flip=False),
    fusion=Fusion(1.0, 1.0),
    suppress=Suppress("oks", conf=0.0, oks=0.9),
    labels=("red",),
    provenance=COLOR_CARD.provenance,
    skeleton=Skeleton(("blue", "green", "red"), ((0, 1), (1, 2)), ((0, 2),), (0.05, 0.05, 0.05)),
)


class Lights:
    """A backend whose `heatmaps` are every fourth pixel of the three colours; `exchanged` swaps blue and red."""

    def __init__(self, batch: int | None = None) -> None:
        self.inputs = (Port("image", (batch, 3, *CANVAS)),)
        self.outputs = (Port("heatmaps", (batch, 3, None, None)),)
        self.metadata: Mapping[str, str] = {}
        self.shapes: list[tuple[int, ...]] = []

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> Arrays:
        self.shapes.append(feeds["image"].shape)
        return {"heatmaps": feeds["image"][:, :, ::STEP, ::STEP].copy()}


def lights(size: tuple[int, int], places: NDArray[Any], spread: float) -> NDArray[np.uint8]:
    """A dark picture (h, w, 3) with a Gaussian light of each colour at places (3, 2) xy px."""
    y, x = np.mgrid[: size[0], : size[1]].astype(np.float64)
    glow = [np.exp(-((x - px) ** 2 + (y - py) ** 2) / (2 * spread**2)) for px, py in places]
    return (np.stack(glow, -1) * 250).round().astype(np.uint8)


def card(**changes: Any) -> Card:
    """The Card with changes to its form."""
    return replace(POSE_CARD, form=replace(POSE_CARD.form, **changes))


def write_lights_model(path: Path, card: Card = POSE_CARD) -> Path:
    """The same network as a model file, with its Card."""
    constants = {"starts": [0, 0], "ends": [10_000, 10_000], "axes": [2, 3], "steps": [STEP, STEP]}
    graph = helper.make_graph(
        [helper.make_node("Slice", ["image", *constants], ["heatmaps"])],
        "lights",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, *CANVAS])],
        [helper.make_tensor_value_info("heatmaps", TensorProto.FLOAT, ["n", 3, 25, 17])],
        [helper.make_tensor(name, TensorProto.INT64, [2], value) for name, value in constants.items()],
    )
    model = helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 20)])
    helper.set_model_props(model, {METADATA_KEY: card.to_json()})
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path
