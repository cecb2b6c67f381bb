"""Which goldens there are: what each is of, and which tests read it.

Nothing is listed by hand. A golden shows what it is; a network's has the name of a variant of the zoo, or an alias.
"""

import re
from functools import cache
from typing import Any

import pytest
from golden.reader import FOLDER, names, read_manifest

from detforge.models.zoo import ALIASES, VARIANTS

OPERATOR, TRUNK, UNKNOWN = "operator", "trunk", "unknown"


@cache
def kind(name: str) -> str:
    """The form of the network's outputs, such as "dense"; or one of the three above.

    Of names that are not in the zoo, a trunk has no head's tensors and an unknown golden has some.
    """
    manifest = read_manifest(name)
    if isinstance(manifest, list):
        return OPERATOR
    if (variant := VARIANTS.get(ALIASES.get(name, name))) is not None:
        return variant.form.kind
    has_head = any(tensor.startswith("head") for case in manifest["cases"].values() for tensor in case["raw"])
    return UNKNOWN if has_head else TRUNK


def networks(*kinds: str) -> list[Any]:
    """The goldens of these kinds as parameters. Networks are slow, and what tests one of them shares a worker."""
    chosen = [name for name in names() if kind(name) in kinds]
    return [
        pytest.param(
            name,
            marks=[pytest.mark.slow, pytest.mark.xdist_group(name), *([pytest.mark.long] if _is_long(name) else [])],
        )
        for name in chosen
    ]


def _is_long(name: str) -> bool:
    """Whether it takes ten seconds or more: the largest, and of many networks of two stages all but three."""
    short = ("faster_rcnn_r50", "cascade_rcnn_r50", "crowddet_r50_refine")
    return name == "extremenet_hg104" or (kind(name) == "proposed" and name not in short)


@cache
def read_by_tests() -> frozenset[str]:
    """The goldens that test files give to `load_ops` by name, or to `networks` by kind."""
    read: set[str] = set()
    for path in FOLDER.parent.glob("*/test_*.py"):
        for call, arguments in re.findall(r"\b(load_ops|networks)\(([^()]*)\)", path.read_text(encoding="utf-8")):
            given = re.findall(r'"(\w+)"', arguments)
            read |= {name for name in names() if (name if call == "load_ops" else kind(name)) in given}
    return frozenset(read)
