"""The rigid object of an export, from a JSON file."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from ..deploy.contract.parse import FieldError, parse
from ..deploy.contract.solid import Solid
from ..deploy.inputs.network_inputs import PointsInput
from ..deploy.system.errors import InputError, UsageError
from ..deploy.system.files import read_json
from ..models.variant import Variant

_EXAMPLE = 'give {"low": [x, y, z], "high": [x, y, z], "keypoints": [[x, y, z], ...], "unit": "mm"}'


def with_solid(variant: Variant, file: str | Path | None) -> Variant:
    """The variant whose network finds the object in a file, the fields of Solid, and looks at points so far apart.

    Raises InputError for an unsuitable file, and UsageError if the network finds no rigid object.
    """
    if file is None:
        return variant
    if not variant.form.takes_camera:
        raise UsageError(f"solid {file} is for networks that find a rigid object, not {variant.name}; leave it out")
    form: Any = variant.form
    solid = read_solid(Path(file))
    fitted = replace(variant, form=replace(form, solid=solid))
    if isinstance(variant.input, PointsInput):  # the object's points are no farther apart than it is wide
        fitted = replace(fitted, input=variant.input.placed(reach=solid.span))
    return fitted


def read_solid(path: Path) -> Solid:
    """The object in a JSON file. Raises InputError if it holds none."""
    try:
        return parse(Solid, read_json(path, _EXAMPLE), "")
    except FieldError as error:
        raise InputError(f"{path}: no solid; {error}; {_EXAMPLE}") from None
