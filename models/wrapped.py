"""The weights within the wrappers that training programs save around them."""

from collections.abc import Mapping
from typing import Any, TypeVar

from .stored import Inert, MalformedError, StoredTensor

T = TypeVar("T")

_ENTRIES = ("state_dict", "model_state_dict", "model", "net", "weights")
"""Entries that hold the weights, in the order of preference."""

_MODULES = ("module.", "model.", "net.")
"""Prefixes by wrappers: DataParallel and averages, and the usual attributes of Lightning modules."""

_INSIDE = ("_orig_mod.", "_fsdp_wrapped_module.", "_checkpoint_wrapped_module.")
"""Names of PyTorch's wrappers, which may be around any part of a network: compiled, sharded, recomputed."""

_STEPS = "n_averaged"  # of torch.optim.swa_utils.AveragedModel
_AVERAGE = "avg_model."  # NanoDet's averages of the weights that are under `model.`
_DEEPEST = 4  # Entries may be nested; a damaged file may even contain itself.


def find_weights(content: Mapping[Any, Any]) -> Mapping[Any, Any]:
    """The dict of weights in the content of a checkpoint. Raises MalformedError with the keys if there is none."""
    for _ in range(_DEEPEST):
        inner = [value for entry in _ENTRIES if isinstance(value := content.get(entry), dict)]
        if not inner:
            break
        content = inner[0]
    if any(isinstance(value, StoredTensor) for value in content.values()):
        return content
    if objects := [entry for entry in _ENTRIES if isinstance(content.get(entry), Inert)]:
        raise MalformedError(f"'{objects[0]}' is a whole model, not weights; save its state_dict()")
    raise MalformedError(f"without weights; {shown_keys(content)}")


def unwrapped(state: Mapping[str, T]) -> dict[str, T]:
    """The weights under their names in the network, without the prefixes and the second copies of wrappers."""
    state = {_without(key): value for key, value in state.items()}
    named = {key: value for key, value in state.items() if key != _STEPS and not key.startswith(_AVERAGE)}
    named |= {key.removeprefix("avg_"): value for key, value in state.items() if key.startswith(_AVERAGE)}
    while prefixes := [prefix for prefix in _MODULES if named and all(key.startswith(prefix) for key in named)]:
        named = {key.removeprefix(prefixes[0]): value for key, value in named.items()}
    # mmcv 1.x keeps the raw weights beside their average, under names that start with `ema_`.
    raw = {f"ema_{key.replace('.', '_')}" for key in named}
    return {key: value for key, value in named.items() if key not in raw}


def _without(key: str) -> str:
    """The key without the names of wrappers that may be anywhere in it."""
    for name in _INSIDE:
        key = key.replace(name, "")
    return key


def shown_keys(content: Mapping[Any, Any]) -> str:
    """The beginnings of the keys of an untrusted file, for an error."""
    names = list(dict.fromkeys(str(key).partition(".")[0][:40] for key in content))
    more = ", ..." if len(names) > 8 else ""
    return f"its keys begin with {', '.join(map(repr, names[:8]))}{more}" if names else "it is empty"
