"""Whatever stands where a Card should, it parses to a Card that survives the trip through JSON, or is refused."""

import contextlib
import json
from dataclasses import replace
from typing import Any

import pytest
from conftest import COLOR_CARD
from hypothesis import given
from hypothesis import strategies as st

from detforge.deploy import forms
from detforge.deploy.card import Card
from detforge.deploy.contract.parse import FieldError
from detforge.deploy.contract.skeleton import Skeleton

SKELETON = Skeleton(("nose", "left", "right"), ((0, 1), (0, 2)), ((1, 2),), (0.1, 0.2, 0.3))
POSE = {"task": "pose", "skeleton": SKELETON}
CROP, WARP = (replace(COLOR_CARD.input, resize=kind) for kind in ("crop", "warp"))
CARDS = [
    *(replace(COLOR_CARD, decode=form) for form in (forms.DenseDecode((8, 16)), forms.PeakDecode())),
    *(replace(COLOR_CARD, decode=form) for form in (forms.CornerDecode(), forms.GraphDecode())),
    *(
        replace(COLOR_CARD, decode=form, input=CROP, **POSE)
        for form in (forms.HeatmapDecode(), forms.OffsetDecode(4.0), forms.HoughDecode(4.0), forms.SimccDecode())
    ),
    replace(COLOR_CARD, decode=forms.TagDecode((0, 1, 2)), input=WARP, **POSE),
]
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


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.decode.kind)
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
