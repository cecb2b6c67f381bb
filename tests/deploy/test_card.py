"""The Card: what it says survives the trip through JSON, and everything else is refused by name."""

import contextlib
import json
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detforge.deploy.card import SCHEMA, Card, Parity, Provenance
from detforge.deploy.contract.fusion import Fusion
from detforge.deploy.contract.parse import FieldError
from detforge.deploy.contract.suppression import Suppress
from detforge.deploy.forms import Dense, Graph
from detforge.deploy.inputs.network_inputs import ImageInput

CARD = Card(
    model="gfl_test",
    task="detection",
    input=ImageInput("edges", (800, 1333), 32, "rgb", (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),
    decode=Dense((8, 16, 32)),
    fusion=Fusion(),
    suppress=Suppress(),
    labels=("Hund", "猫"),
    ops=("detforge::DFL",),
    provenance=Provenance("a.pth", "00" * 32, "fp16", {"torch": "2.13"}, Parity(1e-5, 1e-4, 1.0, 40, 1.0, 0.01, 1e-4)),
)


@pytest.mark.parametrize(
    "card",
    [
        CARD,
        replace(CARD, decode=Graph()),
        replace(CARD, provenance=Provenance("random", None, "fp32", {})),
        replace(CARD, input=replace(CARD.input, resize="canvas", size=(640, 480))),
    ],
)
def test_round_trip(card: Card) -> None:
    assert Card.from_json(card.to_json()) == card


def changed(path: str, value: Any) -> str:
    """The Card's JSON with one field set, or removed when `value` is `...`."""
    data = json.loads(CARD.to_json())
    *parents, name = path.split(".")
    place = data
    for parent in parents:
        place = place[parent]
    if value is ...:
        del place[name]
    else:
        place[name] = value
    return json.dumps(data)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("model", 3),
        ("model", ""),
        ("labels", []),
        ("labels", "person"),
        ("input.size", [800]),
        ("input.size", [0, 0]),
        ("input.size", [1333, 800]),
        ("input.color", "gray"),
        ("input.mean", [1, 2, "3"]),
        ("input.std", [1, 2, 0]),
        ("input.pad_multiple", True),
        ("input.pad_multiple", 32.5),
        ("decode.kind", "corner"),
        ("decode.kind", ["dense"]),
        ("decode.strides", []),
        ("decode.top_k", 0),
        ("fusion.rank_by", None),
        ("suppress.conf", 1.5),
        ("suppress.max_det", -1),
        ("provenance.precision", "fp8"),
        ("provenance.parity", []),
        ("surprise", 1),
        ("input.surprise", 1),
        ("input.layout", ...),
        ("provenance", ...),
    ],
)
def test_a_malformed_field_is_named(path: str, value: Any) -> None:
    with pytest.raises(FieldError, match=re.escape(path)):
        Card.from_json(changed(path, value))


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
