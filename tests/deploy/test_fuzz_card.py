"""Whatever stands where a Card should, it parses to a Card that survives the trip through JSON, or is refused."""

import contextlib
import copy
import json
from typing import Any

import pytest
from cards import CARDS
from hypothesis import given, settings
from hypothesis import strategies as st
from old_cards import OLD_CARDS

from detforge.deploy.card import Card
from detforge.deploy.contract.parse import FieldError
from detforge.deploy.forms import FORMS

TEXTS = {f"{i}-{card.form.kind}": card.to_json() for i, card in enumerate(CARDS)}
TEXTS |= {f"old-{name}": json.dumps(card) for name, card in OLD_CARDS.items()}
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


def test_every_form_is_among_them() -> None:
    kinds = {form.kind for form in FORMS}
    assert {card.form.kind for card in CARDS} == kinds
    assert {card["decode"]["kind"] for card in OLD_CARDS.values()} <= kinds


@pytest.mark.parametrize("name", TEXTS)
@settings(max_examples=50)  # of each of many Cards
@given(data=st.data())
def test_spoilt_fields(name: str, data: st.DataObject) -> None:
    value = json.loads(TEXTS[name])
    for _ in range(data.draw(st.integers(1, 3))):
        value = spoil(data, value)
    parsed(json.dumps(value))


@pytest.mark.parametrize("name", TEXTS)
@given(data=st.data())
def test_parts_of_one_in_another(name: str, data: st.DataObject) -> None:
    """Fields of one Card, of either schema, that hold what another says."""
    value = json.loads(TEXTS[name])
    other = json.loads(TEXTS[data.draw(st.sampled_from(sorted(TEXTS)))])
    for key in data.draw(st.lists(st.sampled_from(sorted({*value, *other})), min_size=1, max_size=4)):
        if key in other:
            value[key] = copy.deepcopy(other[key])
    parsed(json.dumps(value))


@given(st.sampled_from(sorted(TEXTS.values())), st.data())
def test_spoilt_text(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 40)))
    parsed(text[:start] + data.draw(st.text(max_size=6)) + text[end:])


@given(st.text())
def test_any_text(text: str) -> None:
    parsed(text)
