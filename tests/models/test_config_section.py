"""A section of a configuration: each key is read, trains, has its default, or is refused by name."""

import pytest

from detforge.models.config.section import Section
from detforge.models.config.text import ConfigError


def section(**data):
    return Section(data, "model.part")


def test_what_is_read_is_given_and_what_is_absent_has_its_default():
    part = section(type="mmdet.GFLHead", depth=50, on=True, strides=(8, 16), eps=1e-3, below={"a": 1}, many=({"b": 2},))
    assert part.type == "GFLHead"
    assert part.integer("depth") == 50
    assert part.integer("width", 64) == 64
    assert part.flag("on", False) is True
    assert part.integers("strides") == (8, 16)
    assert part.numbers("stds", None) is None
    assert part.number("eps") == 1e-3
    assert part.section("below").integer("a") == 1
    assert part.section("nothing") is None
    assert [one.integer("b") for one in part.sections("many")] == [2]
    part.finish()


@pytest.mark.parametrize(
    ("read", "message"),
    [
        (lambda part: part.integer("word"), "model.part.word is 'x'; supported: a whole number, 1 to 65536"),
        (lambda part: part.integer("on"), "model.part.on is True; supported: a whole number"),
        (lambda part: part.integer("huge"), "model.part.huge is 1267650600228229401496703205376; supported"),
        (lambda part: part.flag("one"), "model.part.one is 1; supported: True or False"),
        (lambda part: part.text("one"), "model.part.one is 1; supported: a text"),
        (lambda part: part.number("nan"), "model.part.nan is nan; supported: a number"),
        (lambda part: part.integers("one"), "model.part.one is 1; supported: whole numbers"),
        (lambda part: part.integers("pair", count=3), "model.part.pair is (1, 2); supported: 3 whole numbers"),
        (lambda part: part.section("one"), "model.part.one is 1; supported: a dict"),
        (lambda part: part.sections("pair"), "model.part.pair is (1, 2); supported: a sequence of dicts"),
        (lambda part: part.choice("on", {"a": 1, 1: 2}), "model.part.on is True; supported: 'a' or 1"),
        (lambda part: part.fixed(word=None), "model.part.word is 'x'; supported: None"),
        (lambda part: part.integer("absent"), "model.part.absent is missing"),
    ],
)
def test_a_value_of_another_kind_is_refused_with_its_key(read, message):
    part = section(word="x", on=True, one=1, pair=(1, 2), nan=float("nan"), huge=1 << 100)
    with pytest.raises(ConfigError) as refused:
        read(part)
    assert message in str(refused.value)


def test_what_nobody_reads_is_refused_here_and_below():
    with pytest.raises(ConfigError, match=r"model\.part\.plugins is \[1\], which is not supported"):
        section(plugins=[1]).finish()
    part = section(below={"a": 1, "b": 2})
    part.section("below").integer("a")
    with pytest.raises(ConfigError, match=r"model\.part\.below\.b is 2"):
        part.finish()
    with pytest.raises(ConfigError, match=r"model\.part\.below is \{'a': 1\}"):
        section(below={"a": 1}).finish()


def test_what_only_trains_and_what_has_its_default_passes():
    part = section(init_cfg={"type": "Pretrained"}, frozen_stages=1, loss={"x": 1}, plugins=None, below={"y": 1})
    part.training("loss")
    part.fixed(plugins=None)
    part.section("below").rest_trains()
    part.finish()
