"""Normalisation layers in configurations."""

from collections.abc import Callable

from torch import nn

from ..blocks import Norm, renorm
from .section import Section

_KINDS = {
    **dict.fromkeys(("BN", "BN2d", "BatchNorm2d", "SyncBN", "SyncBatchNorm"), "bn"),
    **dict.fromkeys(("GN", "GroupNorm"), "gn"),
}
_BATCH_NORM = Norm("bn")


def read_norm(section: Section, default: Norm | None) -> Norm | None:
    """Read the `norm_cfg` of a section: (synchronised) batch norm or group norm, or None if it is None.

    `default` applies if the key is absent. A given norm without eps has PyTorch's.
    """
    norm = section.section("norm_cfg")
    if norm is None:
        return None if "norm_cfg" in section else default
    kind = _KINDS.get(norm.type) or norm.refuse("type", ", ".join(_KINDS))
    norm.training("requires_grad", "momentum")
    norm.fixed(affine=True, track_running_stats=True)
    return Norm(kind, norm.number("eps", 1e-5), norm.integer("num_groups") if kind == "gn" else None)


def trunk_norm(section: Section, default: Norm = _BATCH_NORM) -> Norm:
    """Read the `norm_cfg` of a backbone, which must not be None."""
    return read_norm(section, default) or section.refuse("norm_cfg", "BN, SyncBN or GN")


def batch_norm(section: Section, default: Norm = _BATCH_NORM) -> Norm:
    """Read a `norm_cfg` that must be batch norm."""
    norm = trunk_norm(section, default)
    return norm if norm.kind == "bn" else section.refuse("norm_cfg", "BN or SyncBN")


def normed(build: Callable[..., nn.Module], norm: Norm | None) -> Callable[..., nn.Module]:
    """A builder of the same network with this normalisation in place of its own."""
    return build if norm is None else lambda *arguments: renorm(build(*arguments), norm)
