"""What detexport prints of an export: steps and their times on stderr, results on stdout."""

import contextlib
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

from .progress import Progress

if TYPE_CHECKING:
    from ..deploy.card import Card
    from .comparison import Comparison
    from .source import Source

T = TypeVar("T")


def print_source(source: "Source") -> None:
    """Print the facts of a checkpoint's configuration, and where they differ from --model."""
    if source.facts:
        print_table(["read", "", "from"], [[fact.what, fact.value, fact.keys] for fact in source.facts])
    for difference in source.differences:
        print(f"the configuration overrides --model: {difference}")


class Shown(Progress):
    """Prints steps and their times on stderr, with a spinner or a bar on a terminal."""

    def chosen(self, source: "Source") -> None:
        print_source(source)

    def step(self, name: str) -> contextlib.AbstractContextManager[object]:
        return step(name)

    def track(self, name: str, parts: Iterable[T], count: int) -> Iterable[T]:
        return track(name, parts, count)


@contextlib.contextmanager
def step(name: str) -> Generator[None]:
    """Show a spinner during a step if stderr is a terminal, and print the time of the step at its end."""
    from rich.console import Console

    console = Console(stderr=True, highlight=False)
    started = time.perf_counter()
    with console.status(f"{name} ..."):
        yield
    console.print(f"{name:<11}[dim]{time.perf_counter() - started:6.1f} s[/dim]")


def track(name: str, parts: Iterable[T], count: int) -> Iterator[T]:
    """Show a bar for a step of `count` parts, and print the time of the step at its end."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True, highlight=False)
    started = time.perf_counter()
    yield from track(parts, name, count, console=console, transient=True, disable=not console.is_terminal)
    console.print(f"{name:<11}[dim]{time.perf_counter() - started:6.1f} s[/dim]")


def print_summary(card: "Card", comparison: "Comparison | None") -> None:
    origin = card.provenance
    what = f"{sum(map(bool, card.names))} {'keypoints' if card.form.has_keypoints else 'classes'}"
    came = "weights: " if origin.adopted_as is None else f"adopted as {origin.adopted_as} from "
    print(f"{card.model}, {origin.precision}, {what}, {came}{origin.checkpoint}")
    if comparison is not None:
        against = "PyTorch fp32" if origin.adopted_as is None else origin.verified_against
        _print_comparison(comparison, "keypoints" if card.form.has_keypoints else "detections", against)


def _print_comparison(comparison: "Comparison", what: str, against: str) -> None:
    """Print the parity table and how many final detections match."""
    rows = [
        [name, f"{row.max_abs:.2e}", f"{row.max_rel:.2e}", f"{row.cosine:.7f}"]
        for name, row in comparison.outputs.items()
    ]
    print_table([f"against {against}", "max abs", "max rel", "cosine"], rows)
    shapes = ", ".join("x".join(map(str, shape)) for shape in comparison.runs)
    print(f"inputs: {shapes}")
    if comparison.ap is not None:
        before, after = comparison.ap
        print(f"AP: PyTorch {before:.2f}, the file {after:.2f} ({after - before:+.2f})")
    if not comparison.detections:
        print(f"{what}: none above 0.05 on either side, so there was nothing to compare")
        return
    few = comparison.detections <= comparison.tolerance.slack
    print(
        f"{what}: {comparison.matched} of {comparison.detections} match ({comparison.match_rate:.1%}), "
        f"worst shift {comparison.box_shift_px:.3g} px, worst score shift {comparison.score_shift:.2g}"
        + ("; too few for a verdict, give photographs with --images" if few else "")
    )


def print_table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 1000  # Do not wrap lines in a pipe.
    table = Table(*titles, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*map(Text, row))
    console.print(table)
