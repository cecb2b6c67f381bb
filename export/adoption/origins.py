"""What a foreign file and the files beside it say of themselves."""

from ...deploy.system.errors import IncompatibleError
from .foreign import Foreign
from .recipe import Recipe


def found_recipe(foreign: Foreign) -> tuple[str, Recipe]:
    """The origin's name and the recipe of a file that says enough. Raises IncompatibleError if it does not."""
    raise IncompatibleError(
        f"{foreign.path}: does not say what it is; give --as PRESET or --card FILE.toml; "
        f"detexport adopt {foreign.path} --describe shows what fits"
    )
