"""Groups of pictures in which one may be wrong and the others go on."""

from collections.abc import Callable

from ..inputs.sources import Picture
from ..results.instances import Instances
from ..system.errors import InputError

Find = Callable[[list[Picture]], list[Instances]]
"""What is in each picture of a group; InputError where one of them is not for the network."""


def found_in_each(pictures: list[Picture], find: Find) -> list[Instances | InputError]:
    """What is in each picture, or why it cannot be looked at, with its name."""
    try:
        return [*find(pictures)]
    except InputError as error:
        if len(pictures) > 1:
            return [found for picture in pictures for found in found_in_each([picture], find)]
        where = pictures[0].name if pictures[0].index is None else f"{pictures[0].name} {pictures[0].index}"
        return [InputError(f"{where}: {error}")]
