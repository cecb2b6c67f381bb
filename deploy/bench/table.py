"""The tables that detbench prints."""

from collections.abc import Callable, Mapping, Sequence
from itertools import zip_longest
from typing import Any, TextIO

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

from ..coco.accuracy import Accuracy
from .environment import describe
from .report import METRICS, STAGES, BenchmarkReport, Case, Result, first_accuracy

_TITLES = {"e2e": "end to end"}
_LOOK: dict[str, Any] = {"box": box.SIMPLE_HEAD, "pad_edge": False}
_WIDTH = 100  # if the output is no terminal


class Printer:
    """Prints tables to a stream; on a terminal in colour and fitted to its width."""

    def __init__(self, stream: TextIO) -> None:
        self._console = Console(file=stream, markup=False, emoji=False, highlight=False)
        if not self._console.is_terminal:
            self._console.width = _WIDTH

    def report(self, report: BenchmarkReport, *, by_class: bool = False) -> None:
        """Print the latencies and the AP, then the AP of each class if asked for, then the environment."""
        first = first_accuracy(report.results)
        table = _table("latency, ms per batch" + (", and AP in %" if first else ""), has_ap=first is not None)
        for result in report.results:
            fps = {"infer": f"{result.model_fps:.1f}", "e2e": f"{result.e2e_fps:.1f}"}
            ap = None if first is None else _ap(result.accuracy, first)
            _add(table, result, lambda s, m, r=result: f"{getattr(r.ms[s], m):.2f}", fps, ap)
        self._print(table)
        if by_class:
            self._classes(report.results)
        for ratio in report.ratios():
            times = f"{ratio.infer:.2f} times as long to infer, {ratio.e2e:.2f} times end to end"
            self._line("peer", f"{ratio.peer} takes {times} (medians)")
        for result in report.results:
            if result.nodes:
                self._nodes(result)
        images, annotations = report.settings["images"], report.settings.get("annotations")
        if first is not None and annotations is not None:
            of = f"of {first.of}, {annotations['objects']} objects in {annotations['file']}"
            peer = "; the peer is not evaluated" if report.ratios() else ""
            self._line("AP", f"{of}; change: against the first model{peer}")
        self._line("end to end", "from the bytes of an image file to its detections")
        self._line("images", f"{images['count']} in {images['folder']}")
        for name, text in describe(report.environment):
            self._line(name, text)

    def _nodes(self, result: Result) -> None:
        """Print the slowest nodes and their times."""
        # Not the table's title, which would wrap at the width of the table.
        self._console.print(f"slowest nodes, {result.case}", style="bold", soft_wrap=True)
        table = Table(**_LOOK)
        table.add_column("node", overflow="fold", min_width=18)
        table.add_column("op", no_wrap=True)
        table.add_column("ms", justify="right", no_wrap=True)
        for node in result.nodes:
            table.add_row(node.name, node.op, f"{node.ms:.3f}")
        self._print(table)

    def _classes(self, results: Sequence[Result]) -> None:
        """Print the AP of each class for each model and backend."""
        accuracies = {result.case.setup: result.accuracy for result in results if result.accuracy is not None}
        table = Table(title="AP by class, %", title_justify="left", title_style="bold", **_LOOK)
        table.add_column("class", overflow="fold", min_width=18)
        table.add_column("model", overflow="fold", min_width=18)
        for name in ("AP", "AP50", "AP75"):
            table.add_column(name, justify="right", no_wrap=True)
        for name in next(iter(accuracies.values())).classes:
            for i, (setup, accuracy) in enumerate(accuracies.items()):
                one = accuracy.classes[name]
                figures = [f"{value:.2f}" for value in (one.ap, one.ap50, one.ap75)]
                table.add_row("" if i else name, ", ".join(setup), *figures)
        self._print(table)

    def comparison(self, results: Sequence[Result], base: Mapping[Case, Result], name: str) -> None:
        """Print the change of each result since the base report: latencies in per cent, AP in points."""
        pairs = [(result.accuracy, base[result.case].accuracy) for result in results if result.case in base]
        has_ap = any(now is not None and before is not None for now, before in pairs)
        table = _table(f"change since {name}, %", has_ap=has_ap)
        for result in results:
            before = base.get(result.case)
            if before is None:
                continue
            fps = {
                "infer": _change(result.model_fps, before.model_fps),
                "e2e": _change(result.e2e_fps, before.e2e_fps),
            }
            _add(
                table,
                result,
                lambda s, m, r=result, b=before: _change(getattr(r.ms[s], m), getattr(b.ms[s], m)),
                fps,
                _ap_change(result.accuracy, before.accuracy) if has_ap else None,
            )
        self._print(table)

    def _print(self, table: Table) -> None:
        # Numbers are never truncated: a terminal that is too narrow wraps the lines.
        needed = Measurement.get(self._console, self._console.options.update_width(_WIDTH), table).minimum
        self._console.width = max(self._console.width, needed)
        self._console.print(table)

    def _line(self, name: str, text: str) -> None:
        self._console.print(f"{name + ':':11} {text}", soft_wrap=True)


def _table(title: str, *, has_ap: bool = False) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", **_LOOK)
    table.add_column("case", overflow="fold", min_width=18)
    table.add_column("stage", no_wrap=True, min_width=10)
    for name in (*METRICS, "FPS"):
        table.add_column(name, justify="right", no_wrap=True)
    if has_ap:
        table.add_column("AP", justify="right", no_wrap=True)
    return table


def _add(
    table: Table,
    result: Result,
    cell: Callable[[str, str], str],
    fps: Mapping[str, str],
    ap: Sequence[str] | None = None,
) -> None:
    """Add a row for each stage; the first column describes the case line by line, the last one holds `ap`."""
    case = result.case
    streams = f", {case.streams} streams" if case.streams > 1 else ""
    facts = [case.model, f"{case.backend} {case.device}{streams}", f"batch {case.batch}"]
    facts += [f"{result.batches} batches"]
    facts += [f"process peak {result.peak_mib:.0f} MiB"] if result.peak_mib is not None else []
    for fact, stage, more in zip_longest(facts, STAGES, ap or (), fillvalue=""):
        figures = [cell(stage, metric) for metric in METRICS]
        table.add_row(fact, _TITLES.get(stage, stage), *figures, fps.get(stage, ""), *([] if ap is None else [more]))
    table.add_section()


def _ap(accuracy: Accuracy | None, first: Accuracy) -> list[str]:
    """The AP line by line, and its change against the first model."""
    if accuracy is None:
        return ["-"]
    lines = [f"AP {accuracy.ap:.2f}", f"AP50 {accuracy.ap50:.2f}", f"AP75 {accuracy.ap75:.2f}"]
    return lines if accuracy is first else [*lines, f"change {accuracy.ap - first.ap:+.2f}"]


def _ap_change(now: Accuracy | None, before: Accuracy | None) -> list[str]:
    if now is None or before is None:
        return ["-"]
    pairs = (("AP", now.ap, before.ap), ("AP50", now.ap50, before.ap50), ("AP75", now.ap75, before.ap75))
    return [f"{name} {ap - base:+.2f}" for name, ap, base in pairs]


def _change(now: float, before: float) -> str:
    return f"{(now / before - 1) * 100:+.1f}" if before else ""
