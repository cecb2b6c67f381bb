"""The network that is fine-tuned: new classes at its start, a checkpoint that detexport takes at its end."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from ...deploy.card import Card
from ...deploy.coco.annotations import Annotations
from ...deploy.contract.skeleton import Skeleton
from ...deploy.system.errors import InputError
from ...deploy.system.files import replacing
from ...models.checkpoint import Checkpoint
from ...models.config.text import ConfigError, read_text
from ...models.config.variant import describe
from ...models.shapes import shapes_only
from ...models.skeletons import unlinked
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


def keypoints_of(data: Annotations, own: Skeleton) -> tuple[str, Skeleton]:
    """The one category with keypoints, and these: the network's own if they have the same names.

    Others have no links. Those whose names differ in left and right are mirrored pairs. Raises InputError if there is
    no such category, or more than one.
    """
    present = {one.category for image in data.images for one in image.objects if any(one.keypoints[2::3])}
    found = [data.categories[id] for id in sorted(present)]
    if len(found) != 1 or not found[0].keypoints:
        what = "no category with named keypoints" if len(found) < 2 else "several categories with keypoints"
        raise InputError(f"{data.path}: has {what}; a pose network learns the keypoints of one category")
    [category] = found
    if category.keypoints == own.keypoints:
        return category.name, own
    names = list(category.keypoints)
    other = [
        names.index(twin) if (twin := name.replace("left", "right")) in names else i for i, name in enumerate(names)
    ]
    pairs = tuple((i, j) for i, j in enumerate(other) if i != j)
    return category.name, replace(unlinked(category.keypoints), pairs=pairs)


def recounted(
    variant: Variant, config: str, old: int, names: Sequence[str], dataset: dict[str, object]
) -> tuple[Variant, str]:
    """The variant that a configuration describes for as many classes or keypoints as there are names, and its text.

    Raises InputError if the number is not where it usually is.
    """
    key = "num_classes" if variant.skeleton is None else "out_channels"
    text = re.sub(rf"\b({key}['\"]?\s*[=:]\s*){old}\b", rf"\g<1>{len(names)}", config)
    try:
        found = describe(read_text(text), {"dataset_meta": dataset}).variant
        with shapes_only():
            found.build(len(names))
    except ConfigError as error:
        raise InputError(
            f"the configuration does not take {len(names)} instead of {old} as {key}; {error}; "
            "name the network with --model and --ignore-config"
        ) from None
    return replace(found, name=variant.name), text


def dataset_of(labels: Sequence[str], skeleton: Skeleton | None) -> dict[str, object]:
    """The names of classes and keypoints as mmdet and mmpose keep them in a checkpoint."""
    return {"classes": list(labels)} | ({} if skeleton is None else _keypoints(skeleton))


def save(path: Path, network: nn.Module, card: Card, config: str | None) -> None:
    """Write the weights with the names of classes or keypoints, and the configuration that described the network."""
    meta: dict[str, object] = {"dataset_meta": dataset_of(card.labels, card.skeleton)}
    if config is not None:
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
