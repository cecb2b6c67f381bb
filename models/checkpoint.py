"""Load checkpoints into networks. Files are untrusted: weights are read and checked, and no code in them runs."""

from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from ..deploy.system.errors import InputError
from .config.labels import read_labels
from .darknet import VALUES, name_weights, read_weights
from .download import digest_in, fetch, sha256
from .layers import Layer, may_fit, name_layers
from .mxnet import read_params
from .npz import ordered_layers, read_npz
from .pickled import is_pickle, read_arrays
from .shapes import shapes_only
from .tensorflow import index_of, read_tensorflow
from .unpickle import MalformedError, read_pth
from .variant import Variant
from .wrapped import shown_keys, unwrapped

__all__ = ["BY_NAME", "Checkpoint", "fetch", "fits", "fitting", "load_variant", "random_model", "read_checkpoint"]

_COUNTER = "num_batches_tracked"  # of batch norms; only training uses it
_NORMALISATION = "^data_preprocessor."  # of images, in early checkpoints of mmpose 1.x; the Card has its own
_MAX_CLASSES = 65536  # A larger number means a damaged file, and could use any amount of memory.


@dataclass(frozen=True)
class Checkpoint:
    """The weights of a file by name, the file's name and sha256, and its labels, if any.

    `meta` holds its other metadata, such as the training configuration. `layers` are convolutions whose names do not
    tell where they belong.
    """

    state: dict[str, Tensor]
    name: str
    sha256: str | None
    labels: tuple[str, ...] | None
    meta: Mapping[str, Any] = field(default_factory=dict)
    layers: Sequence[Layer] = ()


def read_checkpoint(path: Path) -> Checkpoint:
    """Read the weights in a file.

    A .pth may have the usual wrappers of training programs around its weights, see `wrapped`. Other files are
    .safetensors, .npz, pickles of arrays (Paddle's .pdparams, Detectron2's .pkl), MXNet's .params, Darknet's .weights,
    TensorFlow's .ckpt, and .onnx, of which only the convolutions are read. Raises InputError when the file is missing,
    corrupt, renamed or of another kind.
    """
    try:
        path = index_of(path) or path
        if not path.is_file():
            what = "it is a folder" if path.is_dir() else "there is no such file"
            raise InputError(f"{path}: cannot be read; {what}; check the path")
        digest = sha256(path)
        expected = digest_in(path.name)
        if expected is not None and not digest.startswith(expected):
            raise InputError(
                f"{path}: corrupt or renamed; its sha256 starts with {digest[:8]}, its name says {expected}; "
                "download it again, or drop the digits from the name if the file is your own"
            )
        state, layers, meta = _READERS.get(path.suffix, _read_pth)(path)
        if not state and not layers:
            raise MalformedError("without weights")
    except OSError as error:
        raise InputError(f"{path}: cannot be read; {error.strerror or error}; check its permissions") from error
    except MalformedError as error:
        raise InputError(f"{path}: not a usable checkpoint; {error}; download or save it again") from error
    meta = meta if isinstance(meta, dict) else {}
    return Checkpoint(unwrapped(state), path.name, digest, read_labels(meta), meta, layers)


BY_NAME = "choose the model that it belongs to with --model"
"""Remedy for weights that do not fit a variant chosen by name."""


def load_variant(variant: Variant, checkpoint: Checkpoint, remedy: str = BY_NAME) -> nn.Module:
    """The variant's network in fp32 with the checkpoint's weights, for the number of classes in them.

    Strict: InputError names the first key that is missing, unexpected, misshapen or not finite, and the `remedy`.
    """
    state = _named(checkpoint, variant, remedy)
    classifier = state.get(variant.classes_key)
    if classifier is None or classifier.ndim == 0 or not 1 <= variant.count_classes(classifier) <= _MAX_CLASSES:
        raise InputError(
            f"{checkpoint.name}: not a checkpoint of {variant.name}; "
            f"it lacks {variant.classes_key} or its classes, and {shown_keys(checkpoint.state)}; {remedy}"
        )
    model = variant.build(variant.count_classes(classifier))
    expected = {key: value for key, value in model.state_dict().items() if not key.endswith(_COUNTER)}
    if problems := _problems(state, expected):
        more = f" and {len(problems) - 1} more such" if len(problems) > 1 else ""
        raise InputError(f"{checkpoint.name}: does not fit {variant.name}; {problems[0]}{more}; {remedy}")
    model.load_state_dict(state)  # Converts to fp32, and resets the counters of batch norms.
    for key, value in expected.items():
        if not np.isfinite(value.numpy()).all():
            raise InputError(
                f"{checkpoint.name}: {key} holds infinite or undefined values; the training diverged or the file is "
                "damaged; use another checkpoint"
            )
    return model.eval()


def fits(variant: Variant, checkpoint: Checkpoint) -> bool:
    """Whether the checkpoint's weights have the names and shapes of the variant's, without building its network.

    Of layers without names only the shapes are compared.
    """
    return bool(fitting([variant], checkpoint))


def fitting(variants: Sequence[Variant], checkpoint: Checkpoint) -> list[Variant]:
    """The variants that a checkpoint fits.

    Building networks takes most of the time, and nearly all other networks are recognised by one of their first layers.
    Those that replace layers that they have built are found in a second pass, if there are no others.
    """
    found = [variant for variant in variants if _fits(variant, checkpoint, limited=True)]
    return found or [variant for variant in variants if _fits(variant, checkpoint, limited=False)]


def _fits(variant: Variant, checkpoint: Checkpoint, *, limited: bool) -> bool:
    """Whether a checkpoint fits, and if `limited`, the network is built of parameters of the weights' shapes alone."""
    state = _adapted(checkpoint.state, variant)
    if checkpoint.layers and variant.classes_key not in state:
        return may_fit(checkpoint.layers, variant)
    classifier = state.get(variant.classes_key)
    if classifier is None or classifier.ndim == 0 or not 1 <= variant.count_classes(classifier) <= _MAX_CLASSES:
        return False
    try:
        shapes = frozenset(value.shape for value in state.values())
        with shapes_only(), _limited_to(shapes) if limited else nullcontext():
            expected = variant.build(variant.count_classes(classifier)).state_dict()
    except _UnexpectedShapeError:
        return False
    return not _problems(state, {key: value for key, value in expected.items() if not key.endswith(_COUNTER)})


class _UnexpectedShapeError(Exception):
    """A module has a parameter of a shape that no weight has."""


@contextmanager
def _limited_to(shapes: Collection[torch.Size]) -> Generator[None]:
    """Raise _UnexpectedShapeError as soon as a module without values has a parameter of another shape."""

    def check(_module: nn.Module, _name: str, parameter: nn.Parameter | None) -> None:
        if parameter is not None and parameter.is_meta and parameter.shape not in shapes:
            raise _UnexpectedShapeError

    hook = register_module_parameter_registration_hook(check)
    try:
        yield
    finally:
        hook.remove()


def random_model(variant: Variant, seed: int = 0) -> nn.Module:
    """The variant's network with seeded random weights, for its own labels or keypoints."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return variant.build(variant.classes).eval()


_Content = tuple[dict[str, Tensor], Sequence[Layer], Any]
"""The weights by name, the layers without names, and the metadata of a file."""


def _read_pth(path: Path) -> _Content:
    if is_pickle(path):
        return read_arrays(path), (), None
    state, meta = read_pth(path)
    return state, (), meta


def _read_safetensors(path: Path) -> _Content:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path), (), None
    except SafetensorError as error:
        raise MalformedError(f"damaged ({error})") from error


def _read_npz(path: Path) -> _Content:
    state = read_npz(path)
    return state, ordered_layers(state), None


def _read_onnx(path: Path) -> _Content:
    from .onnx_weights import read_onnx

    return {}, read_onnx(path), None


_READERS: dict[str, Callable[[Path], _Content]] = {
    ".safetensors": _read_safetensors,
    ".npz": _read_npz,
    ".index": lambda path: (read_tensorflow(path), (), None),
    ".onnx": _read_onnx,
    ".params": lambda path: (read_params(path), (), None),
    ".pdparams": lambda path: (read_arrays(path), (), None),
    ".weights": lambda path: (read_weights(path), (), None),
}
"""Of files that are not PyTorch's, by the ends of their names."""


def _named(checkpoint: Checkpoint, variant: Variant, remedy: str) -> dict[str, Tensor]:
    """A checkpoint's weights under the network's names; those without names follow from its layers."""
    values = checkpoint.state.get(VALUES)
    state = _adapted(checkpoint.state, variant)
    try:
        if values is not None:
            return _adapted(name_weights(values, variant), variant)
        if checkpoint.layers and variant.classes_key not in state:
            return name_layers(checkpoint.layers, variant)
        return state
    except MalformedError as error:
        raise InputError(f"{checkpoint.name}: does not fit {variant.name}; {error}; {remedy}") from error


def _adapted(state: Mapping[str, Tensor], variant: Variant) -> dict[str, Tensor]:
    """A checkpoint's weights under the network's names, without those that only training needs."""
    unused = (_COUNTER, _NORMALISATION, *variant.unused)
    used = {_mapped(k, variant): v for k, v in state.items() if not any(part in f"^{k}" for part in unused)}
    # cvpods and maskrcnn-benchmark store a scalar factor as a vector of length 1.
    return {key: value.squeeze() if key.endswith(".scale") else value for key, value in used.items()}


def _mapped(key: str, variant: Variant) -> str:
    for old, new in variant.mapping.items():
        if not old.startswith("^"):
            key = key.replace(old, new)
        elif key.startswith(old[1:]):
            key = new + key[len(old) - 1 :]
    return key


def _problems(state: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> list[str]:
    """The reasons why the weights do not fit, in the order of the network, with unexpected keys last."""
    problems: list[str] = []
    for key, wanted in expected.items():
        found = state.get(key)
        if found is None:
            problems.append(f"{key} is missing, of shape {_shape(wanted)}")
        elif found.shape != wanted.shape:
            problems.append(f"{key} has shape {_shape(found)}, not {_shape(wanted)}")
        elif found.is_floating_point() != wanted.is_floating_point():
            problems.append(f"{key} holds {found.dtype}, not {wanted.dtype}")
    unexpected = [key for key in state if key not in expected]
    # The names come from an untrusted file, so quote and truncate them.
    return problems + [f"{key[:100]!r} is unexpected, of shape {_shape(state[key])}" for key in unexpected]


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "scalar"
