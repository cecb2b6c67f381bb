"""The training loop: AdamW, warm-up, cosine decay and averaged weights."""

import copy
import math
from collections.abc import Callable, Iterator
from typing import Any, TypeVarTuple

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

Targets = TypeVarTuple("Targets")
"""The targets of a batch: one tensor for all images, or a list with one tensor per image."""


class Training:
    """A network in training for a number of steps, and its averaged weights.

    `keeps_statistics` leaves those of batch norms as they are, for fine-tuning with small batches.
    """

    def __init__(
        self, model: nn.Module, *, steps: int, rate: float, device: str = "cpu", keeps_statistics: bool = False
    ) -> None:
        self.model = model.to(device, memory_format=torch.channels_last).train()
        if keeps_statistics:
            for module in self.model.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        self.average = copy.deepcopy(model).eval()
        self.step = 0
        self._device = device
        # No weight decay for biases and normalisation weights: shrinking them shifts a layer's output.
        decayed = [p for p in model.parameters() if p.ndim > 1]
        free = [p for p in model.parameters() if p.ndim <= 1]
        self._optimiser = torch.optim.AdamW(
            [{"params": decayed, "weight_decay": 0.05}, {"params": free, "weight_decay": 0.0}], lr=rate
        )
        self._schedule = torch.optim.lr_scheduler.LambdaLR(self._optimiser, lambda step: _rate(step, steps))

    def learn(
        self,
        losses: Callable[[Any, Tensor, *Targets], dict[str, Tensor]],
        images: Tensor,
        *targets: *Targets,
    ) -> dict[str, Tensor]:
        """Make one step on a batch and return its losses."""
        images, *targets = (_to(each, self._device) for each in (images, *targets))
        terms = losses(self.model, images.contiguous(memory_format=torch.channels_last), *targets)
        self._optimiser.zero_grad(set_to_none=True)
        torch.stack(list(terms.values())).sum().backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 10.0)
        self._optimiser.step()
        self._schedule.step()
        _follow(self.average, self.model, self.step)
        self.step += 1
        return terms

    def state(self) -> dict[str, Any]:
        """Everything that a later `restore` needs to go on."""
        parts = {"model": self.model, "average": self.average, "optimiser": self._optimiser, "schedule": self._schedule}
        return {"step": self.step, **{name: part.state_dict() for name, part in parts.items()}}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a `state`."""
        self.step = state["step"]
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        self._optimiser.load_state_dict(state["optimiser"])
        self._schedule.load_state_dict(state["schedule"])


def fit(
    model: nn.Module,
    batches: Iterator[tuple[Tensor, *Targets]],
    losses: Callable[[nn.Module, Tensor, *Targets], dict[str, Tensor]],
    *,
    steps: int,
    rate: float,
    device: str = "cpu",
) -> nn.Module:
    """Train `model` for `steps` batches of (images, targets...), and return a copy with the averaged weights."""
    training = Training(model, steps=steps, rate=rate, device=device)
    with progress_bar() as progress:
        task = progress.add_task("training", total=steps, losses="")
        for step in range(steps):
            terms = training.learn(losses, *next(batches))
            if step % 20 == 0:
                progress.update(task, losses=shown(terms))
            progress.advance(task)
    return training.average


def progress_bar() -> Progress:
    """A progress bar on stderr with the field `losses`."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, TextColumn("{task.fields[losses]}"), console=Console(stderr=True))


def shown(terms: dict[str, Tensor]) -> str:
    """Losses as text."""
    return " ".join(f"{name} {value.item():.3f}" for name, value in terms.items())


def _rate(step: int, steps: int) -> float:
    warm = min(1.0, (step + 1) / max(1, min(300, steps // 5)))
    return warm * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * step / steps)))


@torch.no_grad()
def _follow(average: nn.Module, model: nn.Module, step: int) -> None:
    """Update the moving average of weights and statistics."""
    momentum = min(0.999, (1 + step) / (10 + step))
    current = model.state_dict()
    for name, value in average.state_dict().items():
        if value.is_floating_point():
            value.lerp_(current[name], 1 - momentum)
        else:
            value.copy_(current[name])


def _to(target: Tensor | list[Tensor], device: str) -> Any:
    return target.to(device) if isinstance(target, Tensor) else [each.to(device) for each in target]
