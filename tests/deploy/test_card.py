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
from detforge.deploy.inputs.resize import Pad, Resize

CARD = Card(
    model="gfl_test",
    inputs=(
        ImageInput(
            Resize((800, 1333), "edges", pad=Pad(multiple=32)),
            "rgb",
            (123.675, 116.28, 103.53),
            (58.395, 57.12, 57.375),
        ),
    ),
    form=Dense((8, 16, 32)),
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
        replace(CARD, form=Graph()),
        replace(CARD, provenance=Provenance("random", None, "fp32", {})),
        CARD.with_place(Resize((640, 480), pad=Pad((640, 480)))),
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
        place = place[int(parent) if parent.isdigit() else parent]
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
        ("inputs", []),
        ("inputs.0.place.size", [800]),
        ("inputs.0.place.size", [0, 0]),
        ("inputs.0.place.size", [1333, 800]),
        ("inputs.0.place.rounding", "up"),
        ("inputs.0.color", "gray"),
        ("inputs.0.mean", [1, 2, "3"]),
        ("inputs.0.std", [1, 2, 0]),
        ("inputs.0.place.pad.multiple", True),
        ("inputs.0.place.pad.multiple", 32.5),
        ("form.kind", "corner"),
        ("form.kind", ["dense"]),
        ("form.strides", []),
        ("form.top_k", 0),
        ("fusion.rank_by", None),
        ("suppress.conf", 1.5),
        ("suppress.max_det", -1),
        ("provenance.precision", "fp8"),
        ("provenance.parity", []),
        ("surprise", 1),
        ("inputs.0.surprise", 1),
        ("suppress.kind", "oks"),
        ("provenance", ...),
    ],
)
def test_a_malformed_field_is_named(path: str, value: Any) -> None:
    *_, name = path.split(".")
    with pytest.raises(FieldError, match=re.escape(name)):
        Card.from_json(changed(path, value))


@pytest.mark.parametrize(
    "path", ["fusion", "suppress.conf", "inputs.0.place.pad.value", "form.clip", "ops", "skeleton"]
)
def test_an_absent_field_takes_its_default(path: str) -> None:
    assert Card.from_json(changed(path, ...)) == replace(CARD, ops=() if path == "ops" else CARD.ops)


def test_every_unknown_field_is_named() -> None:
    data = json.loads(CARD.to_json()) | {"colour": 1, "sise": 2}
    with pytest.raises(FieldError, match="'colour', 'sise' is unknown"):
        Card.from_json(json.dumps(data))


def test_an_unknown_field_of_an_older_card_is_named() -> None:
    data: dict[str, Any] = {"schema": 1, "task": "detection", "decode": {"kind": "peaks"}, "suppress": {}}
    data["input"] = {"resize": "keep", "size": None, "pad_multiple": 1, "zoom": 2}
    data["input"] |= {"color": "bgr", "mean": [0, 0, 0], "std": [1, 1, 1]}
    data |= {"model": "x", "labels": ["a"], "provenance": {"checkpoint": "", "sha256": None, "precision": "fp32"}}
    with pytest.raises(FieldError, match="zoom"):
        Card.from_json(json.dumps(data))
    del data["input"]["zoom"]
    assert Card.from_json(json.dumps(data)).input.place == Resize()


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
