"""Whatever a network gives, decoding ends, and what it finds is finite, in order and where an image can have it."""

import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from conftest import COLOR_CARD
from found import found_in
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from detforge.deploy.backends.guarded import GuardedBackend
from detforge.deploy.backends.recorded import RecordedBackend
from detforge.deploy.card import Card
from detforge.deploy.contract.fusion import Fusion
from detforge.deploy.contract.skeleton import Skeleton
from detforge.deploy.contract.suppression import Suppress
from detforge.deploy.forms import (
    Centripetal,
    Corners,
    Dense,
    Extremes,
    Graph,
    Heatmaps,
    Offsets,
    Peaks,
    Simcc,
    Tags,
    Votes,
)
from detforge.deploy.forms.keypoints import KeypointForm
from detforge.deploy.inputs.resize import ResizedFrame

SKELETON = Skeleton(("nose", "left", "right"), ((0, 1), (0, 2)), ((1, 2),), (0.1, 0.2, 0.3))
HOSTILE = [0.0, -0.0, 0.3, 1.0, -1.0, 40.0, 1e-40, 1e30, -1e30, 3.4e38, float("nan"), float("inf"), float("-inf")]
FLOATS = st.sampled_from(HOSTILE) | st.floats(0, 1, width=32) | st.floats(-100, 100, width=32)
FRAME = ResizedFrame((50, 90), (40, 60), (64, 64), (4, 2))
METHODS = (
    "argmax",
    "quarter",
    "parabola",
    "paraboloid",
    "dark",
    "udp",
    "megvii",
    "second_peak",
    "gaussfit",
    "integral",
)


def floats(*shape: int) -> st.SearchStrategy[np.ndarray]:
    return arrays(np.float32, shape, elements=FLOATS, fill=st.nothing() if np.prod(shape) < 50 else FLOATS)


def labels(*shape: int) -> st.SearchStrategy[np.ndarray]:
    return arrays(np.int64, shape, elements=st.integers(0, 2))


def corners(at: str, k: int) -> dict[str, st.SearchStrategy[np.ndarray]]:
    names = {"points": floats(k, 2), "scores": floats(k), "labels": labels(k), "tags": floats(k)}
    names |= {"centres": floats(k, 2)}
    return {f"{at}_{name}": value for name, value in names.items()}


DETECTORS: dict[str, tuple[Any, dict[str, st.SearchStrategy[np.ndarray]]]] = {
    "dense": (Dense((16, 32), top_k=7), {"boxes": floats(20, 4), "scores": floats(20, 3)}),
    "quality": (
        Dense((16, 32), top_k=7, unit="points"),
        {"boxes": floats(20, 4), "scores": floats(20, 3), "quality": floats(20)},
    ),
    "peaks": (Peaks(), {"boxes": floats(9, 4), "scores": floats(9), "labels": labels(9)}),
    "corners": (Corners(), corners("tl", 6) | corners("br", 6)),
    "extremes": (
        Extremes(),
        {name: v for at in "tlbr" for name, v in corners(at, 4).items() if "tags" not in name and "centres" not in name}
        | {f"{at}_cells": floats(4, 2) for at in "tlbr"}
        | {"centres": floats(3, 4, 5)},
    ),
    "centripetal": (Centripetal(), corners("tl", 6) | corners("br", 6)),
    "graph": (
        Graph(),
        {"boxes": floats(9, 4), "scores": floats(9), "labels": labels(9), "num": st.just(np.array(7))},
    ),
}
SUPPRESSIONS = st.builds(
    Suppress,
    kind=st.sampled_from(["hard", "linear", "gaussian", "none"]),
    conf=st.sampled_from([0.0, 0.25]),
    iou=st.sampled_from([0.0, 0.5, 1.0]),
    max_det=st.sampled_from([1, 5, 100]),
    inclusive=st.booleans(),
)


@pytest.mark.parametrize("form", DETECTORS)
@given(data=st.data())
def test_detectors(form: str, data: st.DataObject) -> None:
    read, outputs = DETECTORS[form]
    fusion = Fusion(0.5, 0.5, "fused", "fused") if form == "quality" else Fusion()
    if isinstance(read, Dense | Graph):
        read = replace(read, clip=data.draw(st.sampled_from(["image", "last_pixel"])))
    card: Card = replace(COLOR_CARD, form=read, suppress=data.draw(SUPPRESSIONS), fusion=fusion)
    given_ = {name: data.draw(value, label=name) for name, value in outputs.items()}
    with np.errstate(all="ignore"):  # sums of the largest floats
        found = found_in(guarded(given_), card, FRAME)
    assert len(found) <= card.suppress.max_det
    assert np.isfinite(found.scores).all() and (found.scores[:-1] >= found.scores[1:]).all()
    assert ((found.labels >= 0) & (found.labels < 3)).all()
    if form not in ("peaks", "corners", "centripetal"):  # whose references let boxes leave the image
        assert np.isfinite(found.boxes).all()
        assert ((found.boxes >= -1e-3) & (found.boxes <= np.array([90, 50, 90, 50]) + 1e-3)).all()


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("form", ["offsets", "hough", "simcc", "simcc-dark", *METHODS])
@given(data=st.data())
def test_keypoints(form: str, flip: bool, data: st.DataObject) -> None:
    n, k, h, w = 2, 3, *data.draw(st.tuples(st.integers(1, 9), st.integers(1, 9)))
    spec: KeypointForm
    maps = {"heatmaps": floats(n, k, h, w)}
    if form in METHODS:
        spec = Heatmaps(form, blur=5, flip=flip)  # type: ignore[arg-type]
    elif form == "offsets":
        spec, maps = Offsets(2.0, blur=5, flip=flip), maps | {"offsets": floats(n, k, 2, h, w)}
    elif form == "hough":
        spec, maps = Votes(2.0, flip=flip), maps | {"offsets": floats(n, k, 2, h, w)}
    else:
        spec = Simcc(dark=(3, 5) if form == "simcc-dark" else None, flip=flip)
        maps = {"x": floats(n, k, w), "y": floats(n, k, h)}
    seen, mirrored = ({name: data.draw(value, label=name) for name, value in maps.items()} for _ in range(2))
    with np.errstate(all="ignore"):
        parts, scores = spec.parts(
            guarded(seen), guarded(mirrored) if flip else None, SKELETON, (h, w), data.draw(st.booleans())
        )
    assert parts.shape == (n, k, 2) and scores.shape == (n, k)
    assert not np.isnan(scores).any()


@given(data=st.data())
def test_tags(data: st.DataObject) -> None:
    k, h, w = 3, *data.draw(st.tuples(st.integers(1, 8), st.integers(1, 8)))
    rule = data.draw(st.sampled_from(["higherhrnet", "mmpose"]))
    outputs = guarded({"heatmaps": data.draw(floats(k, h, w)), "tags": data.draw(floats(2, k, h, w))})
    parts, scores, totals = Tags((2, 0, 1), rule=rule).group(
        outputs["heatmaps"], outputs["tags"], data.draw(st.booleans())
    )
    n = len(totals)
    assert parts.shape == (n, k, 2) and scores.shape == (n, k)
    assert n <= 30 * k


def guarded(outputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """As the pipeline has them: finite."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return GuardedBackend(RecordedBackend(outputs, {}), "model.onnx").run({})
