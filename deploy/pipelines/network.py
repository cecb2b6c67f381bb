"""The base class of pipelines of one network."""

from collections.abc import Collection

from ..card import Card
from ..contract.port import Backend
from ..inputs.canvases import Canvases
from ..system.errors import IncompatibleError
from ..system.processors import available_processors
from .pipeline import Pipeline


class NetworkPipeline(Pipeline):
    """Runs one network. Raises IncompatibleError if it lacks an input or output that the Card names.

    `classes` are the indices of the labels to keep, None for all. `threads` is the number of threads that preprocess an
    image, by default the number of processors.
    """

    def __init__(
        self, backend: Backend, card: Card, classes: Collection[int] | None = None, threads: int | None = None
    ) -> None:
        _check_ports(backend, card)
        self._card, self._backend, self._classes = card, backend, classes
        self._threads = threads or available_processors()
        self._canvases = Canvases()
        self._ports = {port.name: port for port in backend.inputs}
        self._fixed_batch = self._ports[card.input.name].shape[0]

    @property
    def card(self) -> Card:
        return self._card


def _check_ports(backend: Backend, card: Card) -> None:
    """Raise IncompatibleError if the model lacks an input of the Card, or an output that postprocessing reads."""
    lacking = {
        "output": card.missing({port.name for port in backend.outputs}),
        "input": sorted({each.name for each in card.inputs} - {port.name for port in backend.inputs}),
    }
    for kind, names in lacking.items():
        if names:
            raise IncompatibleError(
                f"the model lacks the {kind} {names[0]} that its Card names; export it again with detexport"
            )
