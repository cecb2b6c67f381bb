"""The Card: what it says survives the trip through JSON, and everything else is refused by name."""

import contextlib
import json
import re
from dataclasses import MISSING, fields, is_dataclass, replace
from typing import Any

import pytest
from cards import CARD, CARDS, CROPS, SKELETON
from hypothesis import given
from hypothesis import strategies as st

from detforge.deploy.card import SCHEMA, Card, Provenance
from detforge.deploy.contract.fusion import Fusion
from detforge.deploy.contract.parse import FieldError
from detforge.deploy.contract.suppression import Suppress
from detforge.deploy.forms import Dense, Peaks
from detforge.deploy.inputs.network_inputs import ImageInput, PoseInput
from detforge.deploy.inputs.resize import Pad, Resize


@pytest.mark.parametrize("card", CARDS)
def test_round_trip(card: Card) -> None:
    assert Card.from_json(card.to_json()) == card


def changed(path: str, value: Any, card: Card = CARD) -> str:
    """The Card's JSON with one field set, or removed when `value` is `...`."""
    data = json.loads(card.to_json())
    *parents, name = path.split(".")
    place = data
    for parent in parents:
        place = place[int(parent) if isinstance(place, list) else parent]
    if value is ...:
        del place[name]
    else:
        place[name] = value
    return json.dumps(data)


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        ("model", 3, "model"),
        ("model", "", "model"),
        ("labels", [], "labels"),
        ("labels", "person", "labels"),
        ("inputs", [], "inputs"),
        ("inputs", {}, "inputs"),
        ("inputs.0.kind", "sound", "inputs[0].kind"),
        ("inputs.0.kind", ..., "inputs[0].kind"),
        ("inputs.0.name", "", "inputs.name"),
        ("inputs.0.second", True, "inputs"),
        ("inputs.0.color", "gray", "inputs[0].color"),
        ("inputs.0.mean", [1, 2, "3"], "inputs[0].mean[2]"),
        ("inputs.0.std", [1, 2, 0], "inputs.std"),
        ("inputs.0.place", ..., "inputs[0].place"),
        ("inputs.0.place.kind", "warp", "inputs[0].place.kind"),
        ("inputs.0.place", {"kind": "crop", "size": [96, 64]}, "inputs.place.kind"),
        ("inputs.0.place.size", [800], "inputs[0].place.size"),
        ("inputs.0.place.size", None, "place.size"),
        ("inputs.0.place.size", [0, 0], "place.size"),
        ("inputs.0.place.size", [1333, 800], "place.size"),
        ("inputs.0.place.keep_aspect", False, "place.size"),
        ("inputs.0.place.by", "area", "inputs[0].place.by"),
        ("inputs.0.place.inverse", "ratio", "inputs[0].place.inverse"),
        ("inputs.0.place.rounding", "up", "inputs[0].place.rounding"),
        ("inputs.0.place.filter", "pillow", "inputs[0].place.filter"),
        ("inputs.0.place.pad.multiple", True, "inputs[0].place.pad.multiple"),
        ("inputs.0.place.pad.multiple", 32.5, "inputs[0].place.pad.multiple"),
        ("inputs.0.place.pad.multiple", 0, "pad.multiple"),
        ("inputs.0.place.pad.canvas", [64, 20000], "pad.canvas"),
        ("inputs.0.place.pad.rule", "floor", "inputs[0].place.pad.rule"),
        ("form.kind", "corner", "form.kind"),
        ("form.kind", ["dense"], "form.kind"),
        ("form.strides", [0], "form.strides"),
        ("form.top_k", 0, "form.top_k"),
        ("form.clip", "nowhere", "form.clip"),
        ("fusion.rank_by", None, "fusion.rank_by"),
        ("suppress.kind", "oks", "suppress.kind"),
        ("suppress.kind", "soft", "suppress.kind"),
        ("suppress.conf", 1.5, "suppress.conf"),
        ("suppress.max_det", -1, "suppress.max_det"),
        ("suppress.class_agnostic", 1, "suppress.class_agnostic"),
        ("provenance.precision", "fp8", "provenance.precision"),
        ("provenance.parity", [], "provenance.parity"),
        ("provenance", ..., "provenance"),
    ],
)
def test_a_malformed_field_is_named(path: str, value: Any, named: str) -> None:
    with pytest.raises(FieldError, match=re.escape(f"'{named}'")):
        Card.from_json(changed(path, value))


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        ("inputs.1.sigma", 0, "inputs.sigma"),
        ("inputs.1.mirrored_order", [0, 2, 2], "inputs.mirrored_order"),
        ("inputs.1.mirrored_order", [], "inputs.mirrored_order"),
        ("inputs.1.name", "image", "inputs"),
        ("inputs.0.place.enlarge", [1, 20], "place.enlarge"),
        ("inputs.0.place", {"kind": "resize", "size": [96, 64]}, "inputs.place"),
        ("skeleton", None, "skeleton"),
        ("skeleton.pairs", [[1, 3]], "skeleton.pairs"),
        ("form", {"kind": "dense", "strides": [8]}, "inputs.place"),
        ("suppress.kind", "hard", "suppress.kind"),
    ],
)
def test_a_malformed_field_of_a_pose_network_is_named(path: str, value: Any, named: str) -> None:
    card = replace(CROPS, inputs=(*CROPS.inputs, PoseInput((0, 2, 1), 3.0)))
    with pytest.raises(FieldError, match=f"'{re.escape(named)}"):
        Card.from_json(changed(path, value, card))


@pytest.mark.parametrize(
    ("path", "named"),
    [
        ("surprise", "surprise"),
        ("task", "task"),
        ("inputs.0.surprise", "inputs[0].surprise"),
        ("inputs.0.layout", "inputs[0].layout"),
        ("inputs.0.place.surprise", "inputs[0].place.surprise"),
        ("inputs.0.place.pad.surprise", "inputs[0].place.pad.surprise"),
        ("form.surprise", "form.surprise"),
        ("fusion.surprise", "fusion.surprise"),
        ("suppress.surprise", "suppress.surprise"),
        ("provenance.surprise", "provenance.surprise"),
        ("provenance.parity.surprise", "provenance.parity.surprise"),
        ("skeleton.surprise", "skeleton.surprise"),
    ],
)
def test_an_unknown_field_is_named(path: str, named: str) -> None:
    card = CROPS if path.startswith("skeleton") else CARD
    with pytest.raises(FieldError, match=f"^field '{re.escape(named)}' is unknown$"):
        Card.from_json(changed(path, None, card))


def test_only_forms_with_keypoints_have_a_skeleton() -> None:
    with pytest.raises(FieldError, match="'skeleton'"):
        replace(CARD, form=Peaks(), skeleton=SKELETON)


def test_a_detector_with_a_skeleton_needs_its_keypoints() -> None:
    outputs = {"boxes", "scores"}
    assert replace(CARD, skeleton=SKELETON).missing(outputs) == ["keypoints"]
    assert not replace(CARD, skeleton=SKELETON).missing(outputs | {"keypoints"})
    assert not CARD.missing(outputs)


def test_all_unknown_fields_are_named_at_once() -> None:
    data = json.loads(CARD.to_json())
    data["form"] |= {"soft": 1, "hard": 2}
    with pytest.raises(FieldError, match=r"^field 'form\.soft', 'form\.hard' is unknown$"):
        Card.from_json(json.dumps(data))


def test_what_a_card_must_say_is_little() -> None:
    place = {"kind": "resize"}
    image = {"kind": "image", "place": place, "color": "bgr", "mean": [1, 2, 3], "std": [4, 5, 6]}
    provenance = {"checkpoint": "a.pth", "sha256": None, "precision": "fp32"}
    text = {"model": "m", "inputs": [image], "form": {"kind": "dense", "strides": [8]}, "labels": ["a"]}
    assert Card.from_json(json.dumps({**text, "provenance": provenance, "schema": 2})) == Card(
        model="m",
        inputs=(
            ImageInput(
                Resize(None, "sides", True, "round", "opencv", Pad(None, 1, "ceil", False, None)),
                "bgr",
                (1.0, 2.0, 3.0),
                (4.0, 5.0, 6.0),
                second=False,
                name="image",
            ),
        ),
        form=Dense((8,), anchors=1, top_k=1000, unit="pairs", clip="image"),
        labels=("a",),
        provenance=Provenance("a.pth", None, "fp32", {}, None),
        fusion=Fusion(1.0, 0.0, "score", "score"),
        suppress=Suppress("hard", 0.25, 0.6, 100, False, 0.5, 0.9, False),
        skeleton=None,
        ops=(),
        schema=2,
    )


def without_defaults(value: Any) -> Any:
    """A dataclass as JSON in which every field that has its default is absent."""
    if isinstance(value, tuple):
        return [without_defaults(item) for item in value]
    if not is_dataclass(value):
        return value
    shown = {}
    for f in fields(value):
        default = f.default if f.default_factory is MISSING else f.default_factory()
        if f.name in ("kind", "schema") or getattr(value, f.name) != default:
            shown[f.name] = without_defaults(getattr(value, f.name))
    return shown


@pytest.mark.parametrize("card", CARDS)
def test_absent_fields_take_their_defaults(card: Card) -> None:
    assert Card.from_json(json.dumps(without_defaults(card))) == card


def test_a_newer_schema_is_refused_before_anything_else() -> None:
    with pytest.raises(FieldError, match=f"schema {SCHEMA + 1} is newer"):
        Card.from_json(json.dumps({"schema": SCHEMA + 1, "something": "new"}))


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "NaN", '"x"', "{}", '{"schema": true}', "[" * 100_000])
def test_what_is_no_card_is_refused(text: str) -> None:
    with pytest.raises(FieldError):
        Card.from_json(text)


def test_infinite_numbers_are_refused() -> None:
    with pytest.raises(FieldError, match=r"suppress\.conf"):
        Card.from_json(changed("suppress.conf", 0.5).replace('"conf": 0.5', '"conf": 1e999'))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@given(st.sampled_from(sorted(json.loads(CARD.to_json()))), json_values)
def test_any_value_in_any_field_parses_or_raises_field_error(name: str, value: Any) -> None:
    data = json.loads(CARD.to_json())
    data[name] = value
    with contextlib.suppress(FieldError):
        Card.from_json(json.dumps(data))
