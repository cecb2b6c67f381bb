"""SVG charts of latencies. Their colours are in report.css."""

import math
from collections.abc import Callable, Sequence
from html import escape

import numpy as np

from .report import PEER, Result

_WIDTH, _LEFT, _RIGHT = 1000, 10, 30
_BINS = 120


def short(ms: float) -> str:
    """Milliseconds with four significant digits, or without decimals from 1000 on."""
    return f"{ms:.0f}" if ms >= 1000 else f"{ms:#.4g}"


def distributions(results: Sequence[Result]) -> str:
    """The distribution of each case's end-to-end latency, with p50, p90 and p99 marked. All cases share one axis."""
    row, top = 96, 8
    place, axis = _latency_axis(results, top + row * len(results))
    parts: list[str] = [axis]
    for i, result in enumerate(results):
        floor = top + row * (i + 1) - 18
        e2e = result.ms["e2e"]
        parts.append(f'<g class="{_kind(result)}"><title>{escape(str(result.case))}</title>')
        parts.append(f'<path class="area" d="{_histogram(result.e2e_ms, place, floor, 48)}"/>')
        parts.append(f'<line class="base" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{floor}" y2="{floor}"/>')
        for name in ("p50", "p90", "p99"):
            x = place(getattr(e2e, name))
            parts.append(f'<line class="mark {name}" x1="{x:.1f}" x2="{x:.1f}" y1="{floor - 52}" y2="{floor}"/>')
        figures = " · ".join(f"{name} {short(getattr(e2e, name))}" for name in ("p50", "p90", "p99")) + " ms"
        parts.append(_label(floor - 60, str(result.case), figures) + "</g>")
    return _svg(parts, top + row * len(results) + 26, "Distribution of end-to-end latency")


def courses(results: Sequence[Result]) -> str:
    """A scatter plot for each case, with one dot per batch in run order. Each case has its own scale."""
    row, high = 96, 56
    parts: list[str] = []
    for i, result in enumerate(results):
        floor = row * (i + 1) - 12
        samples = result.e2e_ms
        most = max(samples, default=0) or 1.0
        parts.append(f'<g class="{_kind(result)}">')
        parts.append(f'<line class="base" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{floor}" y2="{floor}"/>')
        parts.append(_dots(samples, floor, high, most))
        parts.append(_label(floor - high - 10, str(result.case), f"0 to {short(most)} ms") + "</g>")
    return _svg(parts, row * len(results), "End-to-end latency over time")


def _dots(samples: Sequence[float], floor: float, high: float, most: float) -> str:
    step = (_WIDTH - _LEFT - _RIGHT) / max(len(samples) - 1, 1)
    radius = 3 if len(samples) < 200 else 1.6
    return "".join(
        f'<circle class="dot" r="{radius}" cx="{_LEFT + step * j:.1f}" cy="{floor - high * ms / most:.1f}"/>'
        for j, ms in enumerate(samples)
    )


def _latency_axis(results: Sequence[Result], bottom: float) -> tuple[Callable[[float], float], str]:
    """A function from latency to x, and the SVG of the axis, which is logarithmic if the range is wide."""
    shown = [ms for result in results for ms in (*result.e2e_ms, result.ms["e2e"].p99)]
    low, high = min(shown), max(result.ms["e2e"].p99 for result in results)
    logarithmic = high > 4 * low > 0
    scale = math.log if logarithmic else float
    start, end = (scale(low / 1.05), scale(high * 1.1)) if logarithmic else (low - 0.05 * (high - low), high * 1.02)
    end = max(end, start + 1e-6)

    def place(ms: float) -> float:
        part = (scale(ms) - start) / (end - start)
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * min(max(part, 0.0), 1.0)

    ticks = _log_ticks(low / 1.05, high * 1.1) if logarithmic else _even_ticks(start, end)
    lines = [
        f'<line class="grid" x1="{place(t):.1f}" x2="{place(t):.1f}" y1="4" y2="{bottom}"/>'
        f'<text x="{place(t):.1f}" y="{bottom + 18}" text-anchor="middle">{t:g}{" ms" if t == ticks[-1] else ""}</text>'
        for t in ticks
    ]
    return place, "".join(lines)


def _even_ticks(start: float, end: float) -> list[float]:
    """About eight round numbers between start and end."""
    rough = (end - start) / 8
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(f * power for f in (1, 2, 5, 10) if f * power >= rough)
    return [round(step * i, 9) for i in range(math.ceil(start / step), math.floor(end / step) + 1)]


def _log_ticks(start: float, end: float) -> list[float]:
    powers = range(math.floor(math.log10(start)), math.ceil(math.log10(end)) + 1)
    return [tick for p in powers for tick in (10.0**p, 2 * 10.0**p, 5 * 10.0**p) if start <= tick <= end]


def _histogram(samples: Sequence[float], place: Callable[[float], float], floor: float, height: float) -> str:
    """A smoothed histogram as an SVG path."""
    right = _WIDTH - _RIGHT
    counts, edges = np.histogram([place(ms) for ms in samples], _BINS, (_LEFT, right))
    weights = np.array([1, 4, 6, 4, 1]) / 16
    smooth = np.convolve(counts, weights, "same")
    smooth = smooth / max(smooth.max(), 1e-9) * height
    points = [f"{(a + b) / 2:.1f} {floor - y:.1f}" for a, b, y in zip(edges, edges[1:], smooth, strict=False)]
    return f"M{_LEFT} {floor}L{'L'.join(points)}L{right} {floor}Z"


def _label(y: float, left: str, right: str) -> str:
    return (
        f'<text class="label" x="{_LEFT}" y="{y:.0f}">{escape(left)}</text>'
        f'<text x="{_WIDTH - _RIGHT}" y="{y:.0f}" text-anchor="end">{escape(right)}</text>'
    )


def _kind(result: Result) -> str:
    return "peer" if result.case.backend == PEER else "own"


def _svg(parts: Sequence[str], height: float, title: str) -> str:
    return (
        f'<div class="chart"><svg viewBox="0 0 {_WIDTH} {height:.0f}" role="img" aria-label="{escape(title)}">'
        f"{''.join(parts)}</svg></div>"
    )
