"""Whatever stands where a Card should, it parses to a Card that survives the trip through JSON, or is refused."""

import contextlib
import json
from dataclasses import replace
from typing import Any

import pytest
from conftest import COLOR_CARD
from hypothesis import given
from hypothesis import strategies as st

from detforge.deploy.card import Card
from detforge.deploy.contract.choices import SUPPRESSION
from detforge.deploy.contract.parse import FieldError
from detforge.deploy.contract.skeleton import Skeleton
from detforge.deploy.contract.suppression import Suppress
from detforge.deploy.forms import Corners, Dense, Form, Graph, Heatmaps, Offsets, Peaks, Simcc, Tags, Votes
from detforge.deploy.inputs.cover import Cover
from detforge.deploy.inputs.crop import Crop
from detforge.deploy.inputs.network_inputs import PoseInput, SizeInput
from detforge.deploy.inputs.resize import Resize

SKELETON = Skeleton(("nose", "left", "right"), ((0, 1), (0, 2)), ((1, 2),), (0.1, 0.2, 0.3))
PLACES = {"resize": Resize((64, 64)), "crop": Crop((64, 48)), "cover": Cover((64, 64))}
FORMS = (
    *(Dense((8, 16)), Peaks(), Corners(), Graph()),
    *(Heatmaps(), Offsets(4.0), Votes(4.0), Simcc(), Tags((0, 1, 2))),
)


def card_of(form: Form) -> Card:
    """A Card that holds the form."""
    inputs = (replace(COLOR_CARD.input, place=PLACES[form.place]), SizeInput(), PoseInput((0, 2, 1), 2.0))
    rule = Suppress(SUPPRESSION[form.compares][0])
    skeleton = SKELETON if form.has_keypoints else None
    return replace(COLOR_CARD, inputs=inputs, form=form, suppress=rule, skeleton=skeleton)


CARDS = [card_of(form) for form in FORMS]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just(1e999) | st.just(-1),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


def parsed(text: str) -> None:
    with contextlib.suppress(FieldError):
        card = Card.from_json(text)
        assert Card.from_json(card.to_json()) == card


def spoil(data: st.DataObject, value: Any) -> Any:
    """The JSON value with a part of it removed, added or replaced, at any depth."""
    if isinstance(value, dict | list) and value and data.draw(st.integers(0, 4)):
        key = data.draw(st.sampled_from(sorted(value) if isinstance(value, dict) else range(len(value))))
        if data.draw(st.integers(0, 5)) == 0:
            del value[key]
        else:
            value[key] = spoil(data, value[key])
        return value
    if isinstance(value, dict) and data.draw(st.booleans()):
        return value | {data.draw(st.text(max_size=4)): data.draw(VALUES)}
    return data.draw(VALUES)


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.form.kind)
@given(data=st.data())
def test_spoilt_fields(card: Card, data: st.DataObject) -> None:
    assert Card.from_json(card.to_json()) == card
    value = json.loads(card.to_json())
    for _ in range(data.draw(st.integers(1, 3))):
        value = spoil(data, value)
    parsed(json.dumps(value))


@given(st.sampled_from(CARDS), st.data())
def test_spoilt_text(card: Card, data: st.DataObject) -> None:
    text = card.to_json()
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 40)))
    parsed(text[:start] + data.draw(st.text(max_size=6)) + text[end:])


@given(st.text())
def test_any_text(text: str) -> None:
    parsed(text)


SCHEMA_1: dict[str, Any] = {
    "schema": 1, "model": "old", "task": "detection", "labels": ["a"], "ops": [], "skeleton": None,
    "input": {
        "resize": "edges", "size": [8, 16], "pad_multiple": 32, "pad_to": "ceil", "pad_value": None, "centered": False,
        "color": "rgb", "mean": [0, 0, 0], "std": [1, 1, 1], "layout": "nchw", "enlarge": [1, 1], "spacing": False,
    },
    "decode": {"kind": "dense", "strides": [8], "anchors": 1, "top_k": 1000, "unit": "pairs"},
    "fusion": {}, "suppress": {"inclusive": True},
    "provenance": {"checkpoint": "", "sha256": None, "precision": "fp32"},
}  # fmt: skip


def test_an_older_card_is_lifted() -> None:
    card = Card.from_json(json.dumps(SCHEMA_1))
    assert card.form == Dense((8,), clip="last_pixel") and card.suppress.inclusive


@given(data=st.data())
def test_spoilt_fields_of_an_older_card(data: st.DataObject) -> None:
    value = json.loads(json.dumps(SCHEMA_1))
    for _ in range(data.draw(st.integers(1, 3))):
        value = spoil(data, value)
    parsed(json.dumps(value))
