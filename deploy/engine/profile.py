"""The sizes of inputs that an engine takes: from the file's free axes and the canvases that preprocessing makes."""

from collections.abc import Mapping, Sequence

from ..card import Card
from ..contract.port import Port
from ..inputs.geometry import Size
from ..system.errors import IncompatibleError, UsageError

Sizes = tuple[int, ...]
Profile = Mapping[str, tuple[Sizes, Sizes, Sizes]]
"""Of every input with free axes its smallest, its usual and its largest shape."""

USUAL_BATCH = (1, 1, 8)


def profile(ports: Sequence[Port], card: Card, batch: tuple[int, int, int] | None = None) -> Profile:
    """The profile of a file's inputs for batches `batch` = (smallest, usual, largest).

    A fixed batch is that of the file, a free one USUAL_BATCH unless given. UsageError where `batch` contradicts the
    file, IncompatibleError where the file contradicts its Card.
    """
    known = {port.name: port for port in ports}
    shapes: dict[str, tuple[Sizes, Sizes, Sizes]] = {}
    canvases = card.input.place.extremes(card.form.all_scales)
    for each in card.inputs:
        port = known.get(each.name)
        wanted = each.shape(canvases[0])
        if port is None or len(port.shape) != 1 + len(wanted) or port.shape[1] not in (wanted[0], None):
            taken = "no such input" if port is None else _text(port.shape)
            raise IncompatibleError(f"the file takes {taken} as {each.name}, not n x {_text(wanted)}; export it again")
        if len(wanted) == 3:
            _check_canvases(port, canvases, card)
        batches = _batches(port, batch)
        if None in port.shape:
            small, usual, large = (
                (n, *(size or own for size, own in zip(port.shape[1:], each.shape(canvas), strict=True)))
                for n, canvas in zip(batches, canvases, strict=True)
            )
            shapes[each.name] = small, usual, large
    return shapes


def _batches(port: Port, batch: tuple[int, int, int] | None) -> tuple[int, int, int]:
    fixed = port.shape[0]
    if fixed is None:
        return batch or USUAL_BATCH
    if batch is not None and {*batch} != {fixed}:
        raise UsageError(f"the file's batch is fixed at {fixed}, not {batch}; export it with a dynamic batch")
    return fixed, fixed, fixed


def _check_canvases(port: Port, canvases: Sequence[Size], card: Card) -> None:
    """A fixed side has to be one that preprocessing makes."""
    smallest, _, largest = canvases
    for axis, side in enumerate(port.shape[2:]):
        if side is None or (smallest[axis] <= side <= largest[axis] and card.input.place.makes(side)):
            continue
        made = f"{smallest[0]}x{smallest[1]} to {largest[0]}x{largest[1]} px"
        made += f", {padding}" if (padding := card.input.place.padding) else ""
        raise IncompatibleError(
            f"the file takes {_text(port.shape)} and its Card makes canvases of {made}; export {card.model} anew"
        )


def _text(shape: Sequence[int | None]) -> str:
    return "x".join("?" if size is None else str(size) for size in shape)
