"""The training loop: AdamW, warm-up, cosine decay and averaged weights."""

import copy
import math
from collections.abc import Callable, Iterator
from typing import TypeVarTuple

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn

Targets = TypeVarTuple("Targets")
"""The targets of a batch: one tensor for all images, or a list with one tensor per image."""


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
    model = model.to(device, memory_format=torch.channels_last).train()
    average = copy.deepcopy(model)
    # No weight decay for biases and normalisation weights: shrinking them shifts a layer's output.
    decayed = [p for p in model.parameters() if p.ndim > 1]
    free = [p for p in model.parameters() if p.ndim <= 1]
    optimiser = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.05}, {"params": free, "weight_decay": 0.0}], lr=rate
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _rate(step, steps))
    with _progress() as progress:
        task = progress.add_task("training", total=steps, losses="")
        for step in range(steps):
            images, *targets = (_to(each, device) for each in next(batches))
            terms = losses(model, images.contiguous(memory_format=torch.channels_last), *targets)
            optimiser.zero_grad(set_to_none=True)
            torch.stack(list(terms.values())).sum().backward()
            nn.utils.clip_grad_norm_(model.parameters(), 10.0)
            optimiser.step()
            schedule.step()
            _follow(average, model, step)
            if step % 20 == 0:
                text = " ".join(f"{name} {value.item():.3f}" for name, value in terms.items())
                progress.update(task, losses=text)
            progress.advance(task)
    return average.eval()


def _rate(step: int, steps: int) -> float:
    warm = min(1.0, (step + 1) / min(300, steps))
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


def _to(target: Tensor | list[Tensor], device: str) -> Tensor | list[Tensor]:
    return target.to(device) if isinstance(target, Tensor) else [each.to(device) for each in target]


def _progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, TextColumn("{task.fields[losses]}"), console=Console(stderr=True))
