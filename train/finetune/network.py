"""The network that is fine-tuned: new classes at its start, a checkpoint that detexport takes at its end."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from ...deploy.card import Card
from ...deploy.contract.skeleton import Skeleton
from ...deploy.system.files import replacing
from ...export.source import Source
from ...models.checkpoint import Checkpoint
from ...models.variant import Variant


def with_classes(variant: Variant, network: nn.Module, old: Sequence[str], new: Sequence[str], seed: int) -> nn.Module:
    """The network with one class score for each of the `new` names.

    Scores of names that it already had keep their weights. The other ones start as those of an untrained network.
    """
    if tuple(old) == tuple(new):
        return network
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        changed = variant.build(len(new))
    before = network.state_dict()
    state = {
        key: before[key] if before[key].shape == value.shape else _kept(before[key], value, old, new)
        for key, value in changed.state_dict().items()
    }
    changed.load_state_dict(state)
    return changed


def _kept(before: Tensor, after: Tensor, old: Sequence[str], new: Sequence[str]) -> Tensor:
    """The classifier's new values with the old ones of the names that remain. Anchors come first, then classes."""
    values = after.clone().unflatten(0, (-1, len(new)))
    source = before.unflatten(0, (-1, len(old)))
    for i, name in enumerate(new):
        if name in old:
            values[:, i] = source[:, list(old).index(name)]
    return values.flatten(0, 1)


def save(path: Path, network: nn.Module, card: Card, source: Source, config: str | None) -> None:
    """Write the weights with the names of classes or keypoints, and the configuration that described the network."""
    dataset: dict[str, object] = {"classes": list(card.labels)}
    if card.skeleton is not None:
        dataset |= _keypoints(card.skeleton)
    meta: dict[str, object] = {"dataset_meta": dataset}
    if source.facts and config is not None:
        meta["cfg"] = config
    state = {key: value.detach().cpu().contiguous() for key, value in network.state_dict().items()}
    with replacing(path) as temporary:
        torch.save({"meta": meta, "state_dict": state}, temporary)


def _keypoints(skeleton: Skeleton) -> dict[str, object]:
    return {
        "keypoint_name2id": {name: i for i, name in enumerate(skeleton.keypoints)},
        "flip_indices": skeleton.mirrored(),
        "skeleton_links": [list(link) for link in skeleton.links],
        "sigmas": list(skeleton.sigmas),
    }


def config_text(checkpoint: Checkpoint, file: Path | None) -> str | None:
    """The text of the configuration in a checkpoint, or in a file beside it."""
    if file is not None:
        return file.read_text(encoding="utf-8")
    text = checkpoint.meta.get("cfg", checkpoint.meta.get("config"))
    return text if isinstance(text, str) else None
