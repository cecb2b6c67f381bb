"""Verification of a file against its reference: its network in PyTorch, or the file that it was made from."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from ..deploy.backends.open import open_backend
from ..deploy.card import Card
from ..deploy.contract.port import Arrays
from ..deploy.forms.form import Form
from ..deploy.inputs.canvases import Canvases
from ..deploy.inputs.geometry import Image
from ..deploy.inputs.network_inputs import feeds
from .comparison import Comparison, Tolerance
from .graph_nms import CONF
from .verify_detections import compare_detections, compare_suppressed
from .verify_outputs import compare_outputs
from .views import as_if_full, typical_batches

_TORCH: Any = torch  # torch has incomplete types.


def compare(
    model: nn.Module,
    path: Path,
    card: Card,
    form: Form,
    images: Sequence[Image] | None,
    tolerance: Tolerance,
    backend: str = "auto",
) -> Comparison:
    """Compare the file at `path` with `model` in fp32 PyTorch."""

    def reference(fed: Arrays) -> Arrays:
        with torch.inference_mode():
            given = [_TORCH.tensor(fed[each.name]) for each in card.inputs]
            return {name: value.numpy() for name, value in model(*given).items()}

    return compare_with(reference, path, card, form, images, tolerance, backend)


def compare_with(
    reference: Callable[[Arrays], Arrays],
    path: Path,
    card: Card,
    form: Form,
    images: Sequence[Image] | None,
    tolerance: Tolerance,
    backend: str = "auto",
) -> Comparison:
    """Run the file at `path` and its reference on the same images, synthetic ones if `images` is None.

    The reference takes the file's inputs and gives outputs of the form `form`. A file with suppression inside whose
    reference has none is compared by its sorted scores and its final detections.
    """
    session = open_backend(str(path), backend=backend)
    ports = {port.name: port for port in session.inputs}
    card = replace(card, suppress=replace(card.suppress, conf=CONF))
    comparison = Comparison(tolerance)
    for views in typical_batches(images, card, ports[card.input.name].shape[0]):
        fed = feeds(card.inputs, views, ports, Canvases())
        expected = reference(fed)
        got = session.run(fed)
        comparison.runs.append(fed[card.input.name].shape)
        views = [as_if_full(view, card) for view in views]
        with np.errstate(over="ignore", invalid="ignore"):  # values that are not finite are counted and reported
            if card.form.suppresses and not form.suppresses:
                compare_suppressed(comparison, got, expected, card, form, views)
            else:
                compare_outputs(comparison, got, expected, form, views[0].frame.canvas_size)
                compare_detections(comparison, got, expected, card, form, views)
    return comparison
