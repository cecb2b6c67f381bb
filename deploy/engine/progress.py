"""How an engine's build goes, on stderr."""

import contextlib
import sys
from collections.abc import Generator
from typing import Any

from .build import Watch


@contextlib.contextmanager
def build_shown() -> Generator[Watch]:
    """A bar for each phase that the builder is in, on a terminal; its warnings everywhere."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True, highlight=False)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    phases: dict[str, Any] = {}
    with Progress(*columns, console=console, transient=True, disable=not sys.stderr.isatty()) as bar:

        def watch(event: dict[str, Any]) -> None:
            if "start" in event:
                name, steps = event["start"]
                phases[name] = bar.add_task(f"{'  ' * len(phases)}{name}", total=steps)
            elif "step" in event and event["step"][0] in phases:
                name, done = event["step"]
                bar.update(phases[name], completed=done)
            elif "finish" in event and event["finish"] in phases:
                bar.remove_task(phases.pop(event["finish"]))
            elif "warning" in event:
                console.print(f"warning: {event['warning']}", markup=False, soft_wrap=True)

        yield watch
