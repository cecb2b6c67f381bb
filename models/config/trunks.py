"""Keys that configurations of backbones share."""

from collections.abc import Callable, Mapping, Sequence

from ..blocks import Activation
from .section import Section

ACTIVATION_KEYS = ("inplace",)
"""Keys of an `act_cfg` that do not change its result."""


def read_stages(section: Section, usual: Sequence[int], stages: Sequence[int] = (0, 1, 2, 3)) -> tuple[int, ...]:
    """Read `out_indices`, which must be some of `stages`, in their order."""
    found = section.integers("out_indices", tuple(usual))
    if not found or sorted(set(found) & set(stages)) != list(found):
        section.refuse("out_indices", f"stages of {stages[0]} to {stages[-1]}, each once and in order")
    return tuple(found)


def check_activation(section: Section, *names: str) -> None:
    """Refuse an `act_cfg` of a type that is not in `names`."""
    if activation := section.section("act_cfg"):
        activation.typed(*names)
        activation.training(*ACTIVATION_KEYS)


def read_activation(section: Section, kinds: Mapping[str, Callable[[Section], Activation]], usual: str) -> Activation:
    """Read `act_cfg`: the entry of `kinds` for its type, or for `usual` if it is absent."""
    activation = section.section("act_cfg") or Section({"type": usual}, f"{section.path}.act_cfg")
    activation.training(*ACTIVATION_KEYS)
    return kinds[activation.typed(*kinds)](activation)
