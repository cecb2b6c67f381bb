"""The peer process of `detbench --peer torch`: a network of the zoo in eager PyTorch, inside our runtime.

Reads one request per line from stdin, first the Card, and answers each with one line of JSON.
"""

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import nn

from ..deploy.bench.measure import Timer, read_images
from ..deploy.bench.report import Case
from ..deploy.card import Card, Provenance
from ..deploy.contract.port import Arrays, Port
from ..deploy.loader import assemble
from ..deploy.system.errors import DetforgeError, InputError, UsageError
from ..models.checkpoint import Checkpoint, fetch, load_variant, random_model, read_checkpoint
from ..models.variant import Variant
from ..models.zoo import VARIANTS
from .source import read_config

_TORCH: Any = torch  # torch has incomplete types.
_CANVAS = (256, 256)


class TorchBackend:
    """A backend that runs a network in eager PyTorch."""

    def __init__(self, network: nn.Module, card: Card, device: str) -> None:
        self._network, self._device = network.eval().to(device), device
        canvas = card.input.place.canvas or _CANVAS
        shapes = {each.name: each.shape(canvas) for each in card.inputs}
        with torch.inference_mode():
            outputs = self._network(*(torch.zeros(1, *shape, device=device) for shape in shapes.values()))
        self.inputs = tuple(Port(name, (None,) * (1 + len(shape))) for name, shape in shapes.items())
        self.outputs = tuple(Port(name, (None,) * value.ndim) for name, value in outputs.items())
        self.metadata: Mapping[str, str] = {}

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> Arrays:
        with torch.inference_mode():
            given = [_TORCH.from_numpy(feeds[port.name]).to(self._device) for port in self.inputs]
            outputs = self._network(*given)
            return {name: value.cpu().numpy() for name, value in outputs.items()}


def main() -> int:
    """Answer requests until stdin ends, and return the exit code."""
    try:
        _serve()
    except KeyboardInterrupt:
        return 130  # The parent process got the same interrupt.
    except DetforgeError as error:
        _say({"error": str(error)})
        return error.exit_code
    except Exception as error:
        _say({"error": f"{type(error).__name__}: {error}"})
        return 1
    return 0


def _serve() -> None:
    first = json.loads(sys.stdin.readline())
    card, device = Card.from_json(first["card"]), first["device"]
    torch.set_num_threads(first["threads"])
    variant = _variant(card)
    network, weights = _network(variant, card)
    if card.form.suppresses:  # The network in PyTorch does not suppress.
        card = replace(card, form=variant.form)
    model = assemble(TorchBackend(network, card, device), card)
    images = read_images(first["images"])
    _say({"answer": weights})
    timers: dict[Case, Timer] = {}
    for line in sys.stdin:
        request = json.loads(line)
        case = Case(**request["case"])
        timer = timers.setdefault(case, Timer(case, model.find, images, card))
        if request["do"] == "warm_up":
            _say({"answer": timer.warm_up(request["seconds"])})
        elif request["do"] == "measure":
            timer.measure(request["seconds"], settle=request["settle"])
            _say({"answer": timer.seconds})
        else:
            _say({"answer": asdict(timer.result())})


def _say(answer: dict[str, Any]) -> None:
    print(json.dumps(answer), flush=True)


def _variant(card: Card) -> Variant:
    """The variant that the file names, or the one that its checkpoint's configuration describes.

    Raises UsageError if neither is available.
    """
    if card.model in VARIANTS:
        return VARIANTS[card.model]
    came = card.provenance
    checkpoint = read_checkpoint(Path(came.checkpoint))
    described = read_config(checkpoint) if checkpoint.sha256 == came.sha256 else None
    if described is None:
        raise UsageError(f"{card.model} needs the checkpoint {came.checkpoint}, and the file here is another one")
    return described.variant


def _network(variant: Variant, card: Card) -> tuple[nn.Module, str]:
    """The network with the weights of the exported file, or random weights if those cannot be found."""
    came = card.provenance
    if came.checkpoint == "random":
        return random_model(variant), "random, as those of the file"
    checkpoint = _checkpoint(variant, came)
    if checkpoint is not None:
        return load_variant(variant, checkpoint), checkpoint.name
    _TORCH.manual_seed(0)
    return variant.build(len(card.names)), f"random, since {came.checkpoint} was not found"


def _checkpoint(variant: Variant, came: Provenance) -> Checkpoint | None:
    """The checkpoint of the exported file, if the local, bundled or published one has the same SHA-256."""
    published = variant.published.url if variant.published is not None else None
    places = [came.checkpoint, variant.bundled, published if published and came.checkpoint in published else None]
    for place in map(str, filter(None, places)):
        try:
            checkpoint = read_checkpoint(fetch(place) if "://" in place else Path(place))
        except InputError:
            continue
        if checkpoint.sha256 == came.sha256:
            return checkpoint
    return None


if __name__ == "__main__":
    sys.exit(main())
