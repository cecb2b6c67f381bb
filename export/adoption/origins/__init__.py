"""What foreign files and the files beside them say of themselves: one module for each exporter that says enough."""

from collections.abc import Callable

from ....deploy.contract.parse import FieldError
from ....deploy.system.errors import IncompatibleError, InputError
from ..foreign import Foreign
from ..recipe import Recipe
from . import mmdeploy, paddle, ultralytics

ORIGINS: dict[str, Callable[[Foreign], Recipe | None]] = {
    "pipeline.json of mmdeploy": mmdeploy.recipe,
    "infer_cfg.yml of PaddleDetection": paddle.recipe,
    "metadata of Ultralytics": ultralytics.recipe,
}
"""From a file to its recipe, or None if it has another origin."""


def found_recipe(foreign: Foreign) -> tuple[str, Recipe]:
    """The origin's name and the recipe of a file that says enough. Raises InputError, or IncompatibleError if not."""
    for name, read in ORIGINS.items():
        try:
            found = read(foreign)
        except (FieldError, KeyError, TypeError, ValueError, AttributeError) as error:  # the data are untrusted
            raise InputError(f"{foreign.path}: its {name} is not valid; {error}; give --as or --card instead") from None
        if found is not None:
            return name, found
    raise IncompatibleError(
        f"{foreign.path}: does not say what it is; give --as PRESET or --card FILE.toml; "
        f"detexport adopt {foreign.path} --describe shows what fits"
    )
