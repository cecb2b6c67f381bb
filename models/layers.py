"""Weights of convolutions without names: which of a network's own each of them belongs to.

An exported file has its batch norms folded into convolutions, whose names are lost. What is left is their shapes, and
which of them takes the outputs of which others.
"""

from collections import Counter
from collections.abc import Collection, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from .shapes import shapes_only
from .stored import MalformedError
from .variant import Variant

_SIDE = 256  # px of the canvas on which a network is traced, without computing anything


@dataclass(frozen=True)
class Layer:
    """A convolution of a file, with its batch norm folded in.

    `name` is that of its weight, which several convolutions may share. `sources` are the indices of the convolutions
    whose outputs it takes, or None if only the order of the convolutions is known.
    """

    name: str
    weight: Tensor
    bias: Tensor
    stride: tuple[int, ...] = ()
    sources: frozenset[int] | None = None


def name_layers(layers: Sequence[Layer], variant: Variant) -> dict[str, Tensor]:
    """The weights under the names of the variant's network.

    Raises MalformedError unless each convolution of the file is one of the network, which must have no other weights.
    """
    model = _like(layers, variant)
    if model is None:
        raise MalformedError(f"its {len(layers)} convolutions are not those of {variant.name}")
    slots = _trace(model)
    pairs = _in_order(layers, slots) if layers[0].sources is None else _by_place(layers, slots)
    return _state(pairs, model)


def may_fit(layers: Sequence[Layer], variant: Variant) -> bool:
    """Whether the network of the variant has convolutions of the same shapes."""
    return _like(layers, variant) is not None


def _like(layers: Sequence[Layer], variant: Variant) -> nn.Module | None:
    """The variant's network, without values, that has convolutions of the same shapes; None if there is none.

    The layers say nothing of the number of classes, but it is among the numbers of output channels.
    """
    shapes = Counter({layer.name: layer.weight.shape for layer in layers}.values())
    found = {len(layer.weight) // variant.form.channels - variant.beside_classes for layer in layers}
    for classes in (variant.classes, *sorted(found - {variant.classes})):
        if classes < 1:
            continue
        with shapes_only():
            model = variant.build(classes)
        found_shapes = Counter(module.weight.shape for module in model.modules() if isinstance(module, nn.Conv2d))
        if found_shapes == shapes:
            return model
        if found_shapes.total() != shapes.total():  # with any number of classes
            return None
    return None


@dataclass
class _Slot:
    """A run of one of our convolutions: its weights, whose key is `name`, and those of the batch norm behind it."""

    name: str
    weight: Tensor
    bias: Tensor | None
    stride: tuple[int, ...]
    sources: frozenset[int]
    norm: Sequence[Tensor] = ()
    """running_mean, running_var, weight and bias."""
    eps: float = 0.0


class _Recorder(TorchFunctionMode):
    """Notes each convolution, and for each tensor the convolutions that it comes from."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self._names = {id(value): key for key, value in model.state_dict(keep_vars=True).items()}
        self.slots: list[_Slot] = []
        self._sources: dict[int, frozenset[int]] = {}
        self._kept: list[Any] = []  # so that no other tensor takes its id
        self._direct: dict[int, int] = {}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        given = [self._sources.get(id(leaf), frozenset[int]()) for leaf in tree_leaves((args, kwargs))]
        sources = frozenset[int]().union(*given)
        if func is torch.conv2d:
            _, weight, bias, stride, *_ = args
            self._direct[id(result)] = len(self.slots)
            self.slots.append(_Slot(self._names[id(weight)], weight, bias, tuple(stride), sources))
            sources = frozenset([len(self.slots) - 1])
        elif func is nn.functional.batch_norm:
            image, *norm = *args[:3], kwargs["weight"], kwargs["bias"]  # as `torch.nn.functional` passes them on
            slot = self.slots[self._direct[id(image)]] if id(image) in self._direct else None
            if slot is not None and not slot.norm:
                slot.norm, slot.eps = norm, kwargs["eps"]
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor):
                self._sources[id(leaf)] = sources
                self._kept.append(leaf)
        return result


def _trace(model: nn.Module) -> list[_Slot]:
    """The convolutions of a network in the order in which they run."""
    recorder = _Recorder(model)
    with torch.no_grad(), recorder:
        model.eval()(torch.empty(1, 3, _SIDE, _SIDE, device="meta"))
    return recorder.slots


def _in_order(layers: Sequence[Layer], slots: Sequence[_Slot]) -> list[tuple[Layer, _Slot]]:
    """Pairs of the same number; a convolution that runs several times counts once."""
    once: dict[str, _Slot] = {}
    for slot in slots:
        once.setdefault(slot.name, slot)
    pairs = list(zip(layers, once.values(), strict=True))
    for layer, slot in pairs:
        if layer.weight.shape != slot.weight.shape:
            shapes = [tuple(weight.shape) for weight in (layer.weight, slot.weight)]
            raise MalformedError(f"{layer.name[:100]!r} has shape {shapes[0]}, not {shapes[1]}; the order is another")
    return pairs


def _by_place(layers: Sequence[Layer], slots: Sequence[_Slot]) -> list[tuple[Layer, _Slot]]:
    """Pairs of the same place among the others."""
    # Convolutions without a batch norm may have kept their names.
    names = {layer.name for layer in layers} & {slot.name for slot in slots}
    theirs, ours = _places(layers, names), _places(slots, names)
    places: dict[Hashable, list[int]] = {}
    for i, place in enumerate(ours):
        places.setdefault(place, []).append(i)
    if Counter(theirs) != Counter(ours):
        raise MalformedError("its convolutions are connected in another way")
    pairs: list[tuple[Layer, _Slot]] = []
    for layer, place in zip(layers, theirs, strict=True):
        found = places[place]
        if len({id(slots[i].weight) for i in found}) > 1:
            raise MalformedError(f"{layer.name[:100]!r} could be one of several layers")
        pairs.append((layer, slots[found[0]]))
    return pairs


def _places(nodes: Sequence[Layer | _Slot], names: Collection[str]) -> list[int]:
    """A number for each node that is the same for nodes with the same surroundings.

    That of a node follows from its own shape, and its name if that is one of `names`, and then from those of its
    neighbours, again and again, until no more nodes differ: the colour refinement of Weisfeiler and Leman.
    """
    takes = [sorted(node.sources or ()) for node in nodes]
    gives: list[list[int]] = [[] for _ in nodes]
    for i, own in enumerate(takes):
        for source in own:
            gives[source].append(i)
    known = [node.name if node.name in names else "" for node in nodes]
    colors = [hash((tuple(node.weight.shape), node.stride, name)) for node, name in zip(nodes, known, strict=True)]
    for _ in nodes:
        near = zip(colors, takes, gives, strict=True)
        finer = [
            hash((own, *(tuple(sorted(colors[j] for j in side)) for side in (before, after))))
            for own, before, after in near
        ]
        if len(set(finer)) == len(set(colors)):
            return finer
        colors = finer
    return colors


def _state(pairs: Iterable[tuple[Layer, _Slot]], model: nn.Module) -> dict[str, Tensor]:
    """The weights by name. A batch norm only adds what was folded into the convolution's bias."""
    values: dict[int, Tensor] = {}
    for layer, slot in pairs:
        _put(values, slot.weight, layer.weight, layer)
        if slot.norm:
            mean, variance, factor, shift = slot.norm
            zeros = torch.zeros_like(layer.bias)
            parts = [(mean, zeros), (variance, zeros + 1 - slot.eps), (factor, zeros + 1), (shift, layer.bias)]
            parts += [] if slot.bias is None else [(slot.bias, zeros)]
        else:
            parts = [] if slot.bias is None else [(slot.bias, layer.bias)]
            if not parts and bool(layer.bias.any()):
                raise MalformedError(f"{layer.name[:100]!r} has a bias, which the network does not have there")
        for target, value in parts:
            _put(values, target, value, layer)
    state = model.state_dict(keep_vars=True)
    if missing := [key for key, own in state.items() if id(own) not in values and own.is_floating_point()]:
        raise MalformedError(f"{missing[0]} is no weight of a convolution; give the checkpoint itself")
    return {key: values[id(own)] for key, own in state.items() if id(own) in values}


def _put(values: dict[int, Tensor], target: Tensor, value: Tensor, layer: Layer) -> None:
    if not torch.equal(values.setdefault(id(target), value), value):
        raise MalformedError(f"{layer.name[:100]!r} differs between layers that the network shares")
