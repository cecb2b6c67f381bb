"""Which presets fit the shapes of a foreign file."""

from dataclasses import dataclass

from ...deploy.inputs.geometry import Size
from ...deploy.system.errors import DetforgeError
from .adopt import Trial
from .foreign import Foreign
from .recipe import preset, presets
from .roles import MisfitError


@dataclass(frozen=True)
class Fit:
    """Whether a file fits a preset. `note` describes the preset, or says why the file does not fit."""

    preset: str
    fits: bool
    note: str


def fits(foreign: Foreign, imgsz: Size | None) -> list[Fit]:
    """Try every preset on a made-up image. Those that fit come first."""
    foreign.opened()  # an error here is the file's, not a preset's
    found: list[Fit] = []
    for name in presets():
        recipe = preset(name)
        try:
            Trial(foreign, recipe, imgsz, name)
        except MisfitError as misfit:
            found.append(Fit(name, False, misfit.reason))
        except DetforgeError as error:
            found.append(Fit(name, False, str(error)))
        else:
            found.append(Fit(name, True, recipe.about))
    return sorted(found, key=lambda fit: not fit.fits)
