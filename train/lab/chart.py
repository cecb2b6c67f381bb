"""Charts of curves as SVG."""

from collections.abc import Callable, Mapping
from html import escape

_WIDTH, _HEIGHT, _MARGIN = 480, 300, 44
_COLORS = ("#2563eb", "#dc2626", "#059669", "#d97706")


def chart(title: str, curves: Mapping[str, Mapping[float, float]]) -> str:
    """A line for each named curve, values by place. The axes reach from the least to the largest of both."""
    places = [place for curve in curves.values() for place in curve]
    values = [value for curve in curves.values() for value in curve.values()]
    across, up = _scale(places, _MARGIN, _WIDTH - 8), _scale(values, _HEIGHT - _MARGIN, 24)
    parts = [f'<text x="{_MARGIN}" y="14">{escape(title)}</text>']
    parts += [
        f'<text x="{across(limit):.0f}" y="{_HEIGHT - 26}" text-anchor="middle">{limit:g}</text>'
        for limit in (min(places, default=0.0), max(places, default=1.0))
    ]
    parts += [
        f'<text x="{_MARGIN - 4}" y="{up(limit) + 4:.0f}" text-anchor="end">{limit:.3g}</text>'
        for limit in (min(values, default=0.0), max(values, default=1.0))
    ]
    for i, (name, curve) in enumerate(curves.items()):
        color = _COLORS[i % len(_COLORS)]
        points = " ".join(f"{across(place):.1f},{up(value):.1f}" for place, value in curve.items())
        parts.append(f'<polyline points="{points}" fill="none" stroke="{color}" stroke-width="2"/>')
        parts.append(f'<text x="{_MARGIN + 108 * i}" y="{_HEIGHT - 6}" fill="{color}">{escape(name)}</text>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif" '
        f'font-size="12">{"".join(parts)}</svg>\n'
    )


def _scale(values: list[float], start: float, end: float) -> Callable[[float], float]:
    low, high = min(values, default=0.0), max(values, default=1.0)
    return lambda value: start + (value - low) / (high - low or 1.0) * (end - start)
