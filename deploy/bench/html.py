"""A report as one self-contained HTML page without scripts."""

from collections.abc import Sequence
from html import escape
from pathlib import Path

from ..coco.accuracy import Accuracy
from .charts import courses, distributions, short
from .environment import describe
from .report import METRICS, STAGES, BenchmarkReport, Case, Result, first_accuracy

_STYLE = Path(__file__).parent / "report.css"
_PARTS = ("decode", "pre", "infer", "post")
_TITLES = {"e2e": "end to end", "rest": "other"}


def to_html(report: BenchmarkReport, base: BenchmarkReport | None = None) -> str:
    """The report as HTML; with a base report, it also shows the change of each value."""
    names = list(dict.fromkeys(result.case.model for result in report.results))
    sections = [
        _section(
            "Time by stage",
            "Mean milliseconds per batch in each stage.",
            _stages(report.results),
        ),
        _section(
            "Latency distribution",
            "End to end, from the bytes of an image file to its detections. Solid: p50; dashed: p90 and p99.",
            distributions(report.results),
        ),
        _section(
            "Latency over time",
            "One dot per batch, in run order.",
            courses(report.results),
        ),
        _section("Results", "Milliseconds per batch; images per second.", _figures(report.results)),
    ]
    if (first := first_accuracy(report.results)) is not None:
        note = f"Of {first.of}, in %, as COCO defines it. Change: against the first model."
        sections.append(_section("Average precision", note, _accuracies(report.results, first)))
    if base is not None:
        before = {result.case: result for result in base.results}
        sections.append(_section("Change", "Since the earlier report, in per cent.", _changes(report.results, before)))
    sections += [
        _section(f"Slowest nodes: {escape(str(r.case))}", "Mean milliseconds in a profiled run.", _nodes(r))
        for r in report.results
        if r.nodes
    ]
    sections.append(_section("Environment", "", _environment(report)))
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>detbench: {escape(', '.join(names))}</title>"
        f"<style>{_STYLE.read_text(encoding='utf-8')}</style></head><body><main>"
        f"<header><h1>{escape(', '.join(names))}</h1><p>{escape(_subtitle(report))}</p></header>"
        f"{_tiles(report)}{''.join(sections)}"
        "<footer>made by detbench</footer></main></body></html>\n"
    )


def _subtitle(report: BenchmarkReport) -> str:
    facts, images = report.environment, report.settings["images"]
    where = ", ".join([facts["cpu"], *facts["gpus"]])
    seconds = report.settings["duration_s"]
    return f"{where} · {facts['threads']} threads · {images['count']} images · {seconds:g} s per case"


def _section(title: str, note: str, body: str) -> str:
    line = f'<p class="note">{note}</p>' if note else ""
    return f"<section><h2>{title}</h2>{line}{body}</section>"


def _tiles(report: BenchmarkReport) -> str:
    """A summary of each case."""
    against = {ratio.peer: ratio for ratio in report.ratios()}
    tiles: list[str] = []
    for result in report.results:
        case, e2e = result.case, result.ms["e2e"]
        pairs = [("p99", f"{short(e2e.p99)} ms"), ("infer", f"{short(result.ms['infer'].p50)} ms")]
        pairs += [("images/s", f"{result.e2e_fps:.1f}")]
        pairs += [("process peak", f"{result.peak_mib:.0f} MiB")] if result.peak_mib is not None else []
        pairs += [("AP", f"{result.accuracy.ap:.2f} %")] if result.accuracy is not None else []
        facts = "".join(f"<span>{name} <b>{value}</b></span>" for name, value in pairs)
        ratio = against.get(case)
        more = f'<div class="against">{ratio.e2e:.2f} times as long as the exported file</div>' if ratio else ""
        tiles.append(
            f'<div class="tile"><h3>{escape(case.model)}</h3><small>{escape(_how(case))}</small>'
            f'<div class="big">{short(e2e.p50)} <span>ms</span></div><div class="pairs">{facts}</div>{more}</div>'
        )
    return f'<div class="tiles">{"".join(tiles)}</div>'


def _how(case: Case) -> str:
    streams = f", {case.streams} streams" if case.streams > 1 else ""
    return f"{case.backend} on {case.device}, batch {case.batch}{streams}"


def _stages(results: Sequence[Result]) -> str:
    """A stacked bar for each case, with a part for each stage."""
    legend = "".join(f'<span><i class="{part}"></i>{_TITLES.get(part, part)}</span>' for part in (*_PARTS, "rest"))
    rows: list[str] = []
    for result in results:
        e2e = result.ms["e2e"].mean
        ms = {part: result.ms[part].mean for part in _PARTS}
        ms["rest"] = max(0.0, e2e - sum(ms.values()))
        pieces = "".join(
            f'<i class="{part}" style="flex:{value:.5f}" title="{_TITLES.get(part, part)} {value:.3f} ms">'
            f"{short(value) if value > 0.05 * e2e else ''}</i>"
            for part, value in ms.items()
        )
        rows.append(
            f'<div class="row"><div class="name"><span>{escape(str(result.case))}</span><span>{short(e2e)} ms</span>'
            f'</div><div class="track"><div class="bar">{pieces}</div></div></div>'
        )
    return f'<div class="legend">{legend}</div>{"".join(rows)}'


def _figures(results: Sequence[Result]) -> str:
    rows: list[str] = []
    for result in results:
        fps = {"infer": f"{result.model_fps:.1f}", "e2e": f"{result.e2e_fps:.1f}"}
        for i, stage in enumerate(STAGES):
            cells = "".join(f"<td>{getattr(result.ms[stage], metric):.3f}</td>" for metric in METRICS)
            name = escape(str(result.case)) if i == 0 else ""
            rows.append(
                f'<tr class="{"first" if i == 0 else ""}"><td class="text">{name}</td>'
                f'<td class="text">{_TITLES.get(stage, stage)}</td>{cells}<td>{fps.get(stage, "")}</td></tr>'
            )
    return _table(["case", "stage", *METRICS, "images/s"], rows, texts=2)


def _accuracies(results: Sequence[Result], first: Accuracy) -> str:
    """The AP of each model and backend, over all classes and of each class."""
    rows: list[str] = []
    for setup, accuracy in {r.case.setup: r.accuracy for r in results if r.accuracy is not None}.items():
        for i, (name, one) in enumerate({"all": accuracy, **accuracy.classes}.items()):
            known = first if name == "all" else first.classes[name]
            cells = "".join(f"<td>{value:.2f}</td>" for value in (one.ap, one.ap50, one.ap75))
            change = "" if accuracy is first else f"{one.ap - known.ap:+.2f}"
            rows.append(
                f'<tr class="{"" if i else "first"}"><td class="text">{"" if i else escape(", ".join(setup))}</td>'
                f'<td class="text">{escape(name)}</td>{cells}<td>{change}</td></tr>'
            )
    return _table(["model", "class", "AP", "AP50", "AP75", "change"], rows, texts=2)


def _changes(results: Sequence[Result], before: dict[Case, Result]) -> str:
    rows: list[str] = []
    for result in results:
        base = before.get(result.case)
        if base is None:
            continue
        for stage in STAGES:
            cells = "".join(
                _change(getattr(result.ms[stage], metric), getattr(base.ms[stage], metric)) for metric in METRICS
            )
            name = escape(str(result.case)) if stage == STAGES[0] else ""
            rows.append(
                f'<tr><td class="text">{name}</td><td class="text">{_TITLES.get(stage, stage)}</td>{cells}</tr>'
            )
    return _table(["case", "stage", *METRICS], rows, texts=2)


def _change(now: float, before: float) -> str:
    if not before:
        return "<td></td>"
    change = (now / before - 1) * 100
    kind = "slower" if change > 2 else "faster" if change < -2 else ""
    return f'<td class="{kind}">{change:+.1f}</td>'


def _nodes(result: Result) -> str:
    longest = max(node.ms for node in result.nodes) or 1.0
    return "".join(
        f'<div class="row"><div class="name"><span>{escape(node.name)} ({escape(node.op)})</span>'
        f'<span>{node.ms:.3f} ms</span></div><div class="track"><div class="bar infer" '
        f'style="height:8px;width:{100 * node.ms / longest:.2f}%"></div></div></div>'
        for node in result.nodes
    )


def _environment(report: BenchmarkReport) -> str:
    images, models = report.settings["images"], report.settings["models"]
    lines = [*describe(report.environment), ("images", f"{images['count']} in {images['folder']}")]
    lines += [("file", path) for path in models.values()]
    return f"<dl>{''.join(f'<dt>{escape(name)}</dt><dd>{escape(text)}</dd>' for name, text in lines)}</dl>"


def _table(titles: Sequence[str], rows: Sequence[str], texts: int) -> str:
    """An HTML table; the first `texts` columns hold text and are left-aligned."""
    head = "".join(f"<th{' class=text' if i < texts else ''}>{title}</th>" for i, title in enumerate(titles))
    return f'<div class="chart"><table><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'
