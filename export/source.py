"""The source of an export: a variant of the zoo by name, or the configuration of a checkpoint."""

import warnings
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, cast

from torch import nn

from ..deploy.inputs.network_inputs import ImageInput
from ..deploy.system.errors import InputError, UsageError
from ..models.checkpoint import BY_NAME, Checkpoint, fetch, fits, fitting, load_variant, random_model, read_checkpoint
from ..models.config.detectron2 import describe_yaml
from ..models.config.text import ConfigError, UnknownNetworkError, read_text
from ..models.config.variant import Described, Fact, describe
from ..models.shapes import shapes_only
from ..models.variant import Variant
from ..models.zoo import VARIANTS, find, torchvision, torchvision_rcnn, torchvision_ssd
from .options import ExportOptions

_OF_SHAPES = (*torchvision.VARIANTS, *torchvision_rcnn.VARIANTS, *torchvision_ssd.VARIANTS)
"""The networks that names and shapes of weights tell apart, with one setting of everything else."""
_BY_CONFIG = "give its training configuration with --config FILE"
_WITHOUT = "export {} without it by ignore_config (--ignore-config)"


@dataclass(frozen=True)
class Source:
    """A variant, and the user's own checkpoint if there is one.

    `facts` lists what was read from the checkpoint's configuration, `differences` where it differs from the variant
    that the user named. `remedy` is advice for weights that do not fit.
    """

    variant: Variant
    checkpoint: Checkpoint | None = None
    facts: tuple[Fact, ...] = ()
    differences: tuple[str, ...] = ()
    remedy: str = BY_NAME

    @property
    def is_own(self) -> bool:
        """Whether the checkpoint is the user's own; a published one keeps its name."""
        published = self.variant.published
        name = None if published is None or published.url is None else PurePosixPath(published.url).name
        return self.checkpoint is not None and self.checkpoint.name != name


def choose(model: str | None, asked: ExportOptions) -> Source:
    """The named variant, or without a name the one that the checkpoint's configuration describes.

    If both are given, the configuration wins unless `ignore_config` is set. torchvision's detectors have no
    configuration: the names and shapes of their weights determine them. A configuration of another program is not read
    if the named variant has such weights. Raises UsageError if nothing determines the
    export, InputError for a configuration that cannot be read or is not supported.
    """
    named = None if model is None else find(model)
    if asked.checkpoint in (None, "random"):
        if named is None:
            raise UsageError("model is missing; name one of detexport --list, or give your own checkpoint")
        if asked.config is not None:
            raise UsageError(f"config {asked.config} belongs to a checkpoint; give that as well")
        return Source(named)
    place = str(asked.checkpoint)
    checkpoint = read_checkpoint(fetch(place) if "://" in place else Path(place))
    try:
        described = None if asked.ignore_config else read_config(checkpoint, asked.config)
    except UnknownNetworkError as error:
        if named is None:
            if found := _fitting(checkpoint):
                raise InputError(f"{error}; its weights fit {', '.join(found)}; choose with --model") from None
            raise
        if asked.config is not None or not fits(named, checkpoint):
            raise InputError(f"{error}; {_WITHOUT.format(named.name)}") from None
        warnings.warn(
            f"the configuration in {checkpoint.name} is not read, since it is of another program; the input and "
            f"thresholds are those of {named.name}",
            stacklevel=2,
        )
        described = None
    except InputError as error:
        if named is None:
            raise
        raise InputError(f"{error}; {_WITHOUT.format(named.name)}") from None
    if described is not None:
        variant, differences = described.variant, ()
        if named is not None:
            differences = tuple(_differences(named, variant))
            variant = replace(variant, name=named.name) if _same_network(named, variant) else variant
        _check_normalisation(variant, checkpoint, asked)
        return Source(variant, checkpoint, described.facts, differences, _BY_CONFIG)
    if named is None:
        alone = next((variant for variant in _OF_SHAPES if fits(variant, checkpoint)), None)
        if alone is None:
            raise UsageError(f"{checkpoint.name}: the checkpoint has no configuration; {_candidates(checkpoint)}")
        return Source(alone, checkpoint, _facts_of_shapes(alone))
    _check_normalisation(named, checkpoint, asked)
    return Source(named, checkpoint)


def load_weights(source: Source, given: str | Path | None) -> tuple[nn.Module, Checkpoint]:
    """The network with its weights, and the checkpoint of the weights."""
    variant, checkpoint = source.variant, source.checkpoint
    if given == "random":
        return random_model(variant), Checkpoint({}, "random", None, None)
    if checkpoint is None:
        place = _own_weights(variant)
        checkpoint = read_checkpoint(fetch(place) if "://" in place else Path(place))
    return load_variant(variant, checkpoint, source.remedy), checkpoint


def _own_weights(variant: Variant) -> str:
    """The variant's default weights: a file of this package, or a URL."""
    if variant.bundled is not None:
        return str(variant.bundled)
    if variant.published is not None and variant.published.url is not None:
        return variant.published.url
    raise UsageError(
        f"{variant.name} has no published checkpoint to download; give one with --checkpoint FILE, or random"
    )


def _check_normalisation(variant: Variant, checkpoint: Checkpoint, asked: ExportOptions) -> None:
    """Refuse weights that were saved with another normalisation of images than the variant's."""
    images = variant.input
    if not isinstance(images, ImageInput):
        return
    for name, ours in (("mean", images.mean), ("std", images.std)):
        saved = checkpoint.state.get(f"data_preprocessor.{name}")
        if saved is None or asked.ignore_config:
            continue
        theirs = [float(value) for value in saved.flatten()]
        if len(theirs) != 3 or any(abs(a - b) > 0.01 for a, b in zip(theirs, ours, strict=True)):
            raise InputError(
                f"{checkpoint.name}: its images had the {name} {_numbers(theirs)}, and {variant.name} has the {name} "
                f"{_numbers(ours)}; {_BY_CONFIG}, or keep that of {variant.name} with --ignore-config"
            )


def _numbers(values: Iterable[float]) -> str:
    return " ".join(f"{value:.6g}" for value in values)


def read_config(checkpoint: Checkpoint, file: str | Path | None = None) -> Described | None:
    """The network that a checkpoint's configuration, or one in a file, describes; None without a configuration."""
    text = checkpoint.meta.get("cfg", checkpoint.meta.get("config")) if file is None else _read(Path(file))
    if not isinstance(text, str):
        return None
    try:
        if file is not None and Path(file).suffix.lower() in (".yaml", ".yml"):
            return describe_yaml(text, checkpoint.meta)
        return describe(read_text(text), checkpoint.meta)
    except ConfigError as error:
        where = f"the configuration in {checkpoint.name}" if file is None else f"{file}"
        raise type(error)(f"{where}: {error}") from None


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise InputError(
            f"{file}: the configuration cannot be read; {reason}; give the flat .py file, or Detectron2's config.yaml"
        ) from error


def _facts_of_shapes(variant: Variant) -> tuple[Fact, ...]:
    """What the names and shapes of torchvision's weights tell; it has one setting of everything else."""
    rule = variant.suppress
    thresholds = f"score {rule.conf:g}, NMS at {rule.iou:g}, {rule.max_det} an image"
    return (
        Fact("network", variant.summary, "names and shapes of the weights"),
        Fact("input", variant.input.place.label, "torchvision's defaults"),
        Fact("thresholds", thresholds, "torchvision's defaults"),
    )


def _candidates(checkpoint: Checkpoint) -> str:
    """Advice that names the variants that the weights fit."""
    if not (found := _fitting(checkpoint)):
        return f"and its weights fit no model of detexport --list; {_BY_CONFIG}"
    return f"its weights fit {', '.join(found)}; choose with --model, or {_BY_CONFIG}"


def _fitting(checkpoint: Checkpoint) -> list[str]:
    """At most eight variants that the weights fit."""
    return [variant.name for variant in fitting(tuple(VARIANTS.values()), checkpoint)][:8]


def _same_network(named: Variant, variant: Variant) -> bool:
    """Whether both are built of the same layers."""
    with shapes_only():
        return str(named.build(variant.classes)) == str(variant.build(variant.classes))


def _differences(named: Variant, variant: Variant) -> Iterator[str]:
    """The differences between a configuration and the variant that the user named, key by key."""
    if not _same_network(named, variant):
        yield f"network: {variant.summary}, not {named.summary}"
    ours, theirs = (dict(_flat(_contract(each), "")) for each in (variant, named))
    yield from (f"{key}: {value}, not {theirs.get(key)}" for key, value in ours.items() if theirs.get(key) != value)


def _contract(variant: Variant) -> dict[str, Any]:
    """The parts of a Card that a variant determines, without its labels."""
    parts: dict[str, Any] = {
        "input": variant.input,
        "form": variant.form,
        "fusion": variant.fusion,
        "suppress": variant.suppress,
    }
    return {name: asdict(part) for name, part in parts.items()}


def _flat(values: dict[str, Any], path: str) -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _flat(cast(dict[str, Any], value), f"{path}{key}.")
        else:
            yield f"{path}{key}", value
