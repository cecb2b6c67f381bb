"""Configurations as data: what is read, what is refused by line, and hostile texts."""

import math

import pytest

from detforge.models.config.text import ConfigError, read_text


def test_reads_literals_and_dicts_as_the_frameworks_dump_them():
    text = read_text(
        "a = dict(b=-1, c=[1, (2.5, None)], d='x', type='Y')\n"
        "e = dict({0: dict(name='nose'), '.bias': dict(lr=-1e-3)}, f=True)\n"
        "g = {'h': inf, 'i': -inf}\nj = nan\nk = ('one '\n     'two')\n"
    )
    assert text.unread == {}
    assert text.values["a"] == {"b": -1, "c": (1, (2.5, None)), "d": "x", "type": "Y"}
    assert text.values["e"] == {0: {"name": "nose"}, ".bias": {"lr": -1e-3}, "f": True}
    assert text.values["g"] == {"h": math.inf, "i": -math.inf}
    assert math.isnan(text.values["j"])
    assert text.values["k"] == "one two"


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("range(0, 1)", "line 2: a Call is a call, and nothing runs here"),
        ("print('x')", "is a call"),
        ("dict(**{'a': 1})", "is a call"),
        ("dict([(1, 2)])", "is a call"),
        ("__import__('os').system('false')", "is a call"),
        ("norm_cfg", "line 2: 'norm_cfg' is a name, not data"),
        ("[x for x in (1, 2)]", "a ListComp is not data"),
        ("(lambda: 1)()", "is a call"),
        ("1 + 1", "a BinOp is not data"),
        ("~1", "a UnaryOp is not data"),
        ("-'a'", "a UnaryOp is not data"),
        ("-True", "a UnaryOp is not data"),
        ("f'{1}'", "a JoinedStr is not data"),
        ("b'x'", "a Constant is not data"),
        ("{**{}}", "a key is neither"),
        ("{(1, 2): 3}", "a key is neither"),
        ("{1, 2}", "a Set is not data"),
        ("[" * 70 + "]" * 70, "nested too deeply"),
        ("dict(a=" * 70 + "1" + ")" * 70, "nested too deeply"),
    ],
)
def test_what_is_no_data_is_left_unread_with_its_reason(value, why):
    text = read_text(f"a = 1\nb = {value}\nc = 2\n")
    assert text.values == {"a": 1, "c": 2}
    assert why in text.unread["b"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a = 1\n_base_ = ['x.py']\n", "line 2: it inherits from other files; flatten it"),
        ("from mmengine.config import read_base\n", "line 1: it imports"),
        ("with read_base():\n    from .x import *\n", "line 1: it imports"),
        ("import os\n", "line 1: it imports"),
        ("a = b = 1\n", "line 1: only assignments"),
        ("a, b = 1, 2\n", "line 1: only assignments"),
        ("a.b = 1\n", "line 1: only assignments"),
        ("a += 1\n", "line 1: only assignments"),
        ("print('x')\n", "line 1: only assignments"),
        ("def f(): pass\n", "line 1: only assignments"),
        ("a = (\n", "line 1: not valid Python"),
        ("a = 1\0\n", "null bytes"),
        ("x" * (10 << 20), "it has 10485760 characters"),
    ],
)
def test_what_is_no_flat_configuration_is_refused_by_line(text, why):
    with pytest.raises(ConfigError, match=r"^[^\n]*$") as refused:
        read_text(text)
    assert why in str(refused.value)


@pytest.mark.parametrize(
    "unit", ["(", "[", "-", "not ", "1+", "a.", "a()", "lambda:", "1**", "1 if 1 else ", "~", "'x' "]
)
def test_a_text_made_to_exhaust_the_parser_is_one_line(unit):
    text = f"a = {unit * ((1 << 20) // len(unit) - 10)}1\n"
    with pytest.raises(ConfigError, match=r"^[^\n]*$"):
        read_text(text)
