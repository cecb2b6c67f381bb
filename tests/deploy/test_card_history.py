"""Cards of older schemas, as they stand in files, become today's."""

import copy
import json
import re
from typing import Any

import pytest
from old_cards import DENSE, OLD_CARDS, Json, old_card

from detforge.deploy.card import SCHEMA, Card, Provenance
from detforge.deploy.contract.parse import FieldError
from detforge.deploy.contract.skeleton import Skeleton
from detforge.deploy.contract.suppression import Suppress
from detforge.deploy.forms import Corners, Dense, Graph, Heatmaps, Offsets, Peaks, Simcc, Tags, Votes
from detforge.deploy.inputs.cover import Cover
from detforge.deploy.inputs.crop import Crop
from detforge.deploy.inputs.network_inputs import ImageInput
from detforge.deploy.inputs.resize import Pad, Resize

EDGES = Resize((800, 1333), "edges", pad=Pad(multiple=32))
CROP = Crop((256, 192), (1.25, 1.25), spacing=True, multiple=32)
SKELETON = Skeleton(("nose", "left", "right"), ((0, 1), (0, 2)), ((1, 2),), (0.1, 0.2, 0.3))
NONE = Suppress("none")


def kept(rule: Any) -> Resize:
    return Resize(pad=Pad(multiple=128, rule=rule, centered=True, value=0.0))


TODAY = {
    "edges": (EDGES, Dense((8, 16), 9, 500, "points", "image"), Suppress()),
    "canvas": (
        Resize((640, 480), pad=Pad((640, 480), 32, value=114.0)),
        Dense((8, 16), 9, 500, "points", "last_pixel"),
        Suppress(inclusive=True),
    ),
    "keep": (kept("or"), Corners(100, "image", True), Suppress("gaussian", iou=0.5, inclusive=True)),
    "peaks": (kept("or+1"), Peaks(), Suppress()),
    "graph": (EDGES, Graph("last_pixel"), Suppress(inclusive=True)),
    "crop": (CROP, Heatmaps("dark", 17, 3.0, shift=1.0, flip=True, least_score=0.3), Suppress("oks")),
    "offsets": (CROP, Offsets(4.0, 23, flip=True, least_score=None), NONE),
    "hough": (CROP, Votes(4.0, flip=True, least_score=None), NONE),
    "simcc": (CROP, Simcc(2.0, (13, 7), flip=True, least_score=0.2), NONE),
    "warp": (Cover((512, 512), 64, spacing=True), Tags((0, 2, 1), 20, scales=(0.5, 1.0), rule="mmpose"), NONE),
}


@pytest.mark.parametrize("name", OLD_CARDS)
def test_schema_1_says_what_it_said(name: str) -> None:
    place, form, suppress = TODAY[name]
    expected = Card(
        model="old",
        inputs=(ImageInput(place, "rgb", (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),),
        form=form,
        labels=("a", "b"),
        provenance=Provenance("a.pth", None, "fp32", {}, None),
        suppress=suppress,
        skeleton=SKELETON if form.has_keypoints else None,
        ops=("nms",),
        schema=SCHEMA,
    )
    lifted = Card.from_json(json.dumps(OLD_CARDS[name]))
    assert lifted == expected
    assert Card.from_json(lifted.to_json()) == lifted


def test_what_the_first_files_did_not_say_has_its_default() -> None:
    """Fields came to schema 1 one by one, each with a default."""
    card = old_card({"kind": "dense", "strides": [8]})
    for name in ("layout", "pad_to", "centered", "pad_value", "enlarge", "spacing"):
        del card["input"][name]
    for name in ("inclusive", "sigma", "oks"):
        del card["suppress"][name]
    del card["skeleton"], card["provenance"]["parity"]
    lifted = Card.from_json(json.dumps(card))
    assert (lifted.input.place, lifted.form, lifted.suppress) == (EDGES, Dense((8,)), Suppress())


def changed(path: str, value: Any, name: str = "edges") -> Json:
    """An old Card with one field set, or removed when `value` is `...`."""
    card = copy.deepcopy(OLD_CARDS[name])
    *parents, last = path.split(".")
    place = card
    for parent in parents:
        place = place[parent]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return card


@pytest.mark.parametrize(
    "missing", ["input", "decode", "task", "suppress", "input.resize", "input.size", "decode.kind"]
)
def test_what_an_old_card_lacks_is_named(missing: str) -> None:
    with pytest.raises(FieldError, match=f"does not fit its schema 1 .*'{missing.split('.')[-1]}'"):
        Card.from_json(json.dumps(changed(missing, ...)))


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        ("surprise", 1, "'surprise' is unknown"),
        ("input.surprise", 1, "surprise' is unknown"),
        ("decode.surprise", 1, "'form.surprise' is unknown"),
        ("input.color", "gray", "color'"),
        ("input.size", [1333, 800], "place.size'"),
        ("input.pad_multiple", 0, "pad.multiple'"),
        ("decode.top_k", 0, "'form.top_k'"),
        ("decode", "dense", "schema 1"),
        ("input", [], "schema 1"),
        ("suppress", None, "schema 1"),
        ("suppress.conf", 2, "'suppress.conf'"),
    ],
)
def test_what_does_not_fit_an_old_card_is_named(path: str, value: Any, named: str) -> None:
    with pytest.raises(FieldError, match=re.escape(named)):
        Card.from_json(json.dumps(changed(path, value)))


def test_a_form_of_today_is_none_of_schema_1s_geometry() -> None:
    with pytest.raises(FieldError, match=r"inputs\.place"):
        Card.from_json(json.dumps(old_card(DENSE, resize="crop", size=[256, 192])))
