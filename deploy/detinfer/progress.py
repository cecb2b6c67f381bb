"""The progress bar of detinfer."""

import contextlib
import sys
from collections.abc import Callable, Generator

from ..inputs.listing import Item


@contextlib.contextmanager
def progress(items: list[Item]) -> Generator[Callable[[], object]]:
    """Advances a bar on stderr, on a terminal and where there is more than one picture."""
    endless = any(item.is_video for item in items)
    if not sys.stderr.isatty() or (len(items) == 1 and not endless):
        yield lambda: None
        return
    # These take a while to import.
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn

    # What is printed goes above the bar, but only where stdout is that terminal too.
    bar = Progress(
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        redirect_stdout=sys.stdout.isatty(),
        transient=True,
    )
    with bar:
        task = bar.add_task("pictures", total=None if endless else len(items))
        yield lambda: bar.advance(task)
