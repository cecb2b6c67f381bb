"""Rules of keypoints in float64, as their papers and mmpose state them, one map at a time."""

from math import hypot, log

import numpy as np
from numpy.typing import NDArray

from detforge.deploy.forms import Heatmaps

Values = NDArray[np.float64]
TABLES = {1: [1], 3: [1, 2, 1], 5: [1, 4, 6, 4, 1], 7: [1, 3.5, 7, 9, 7, 3.5, 1]}


def kernel(size: int) -> Values:
    """OpenCV 4's Gaussian of an odd size."""
    if size in TABLES:
        weights = np.array(TABLES[size], np.float64)
    else:
        sigma = 0.3 * ((size - 1) / 2 - 1) + 0.8
        weights = np.exp(-((np.arange(size) - size // 2) ** 2) / (2 * sigma**2))
    return weights / weights.sum()


def smooth(values: Values, size: int, beyond: str) -> Values:
    """Every pixel and its neighbours under the kernel; beyond the border "constant" 0 or "reflect"."""
    height, width = values.shape
    padded = np.pad(values, size // 2, beyond)
    weights = np.outer(kernel(size), kernel(size))
    return sum(
        weights[j, i] * padded[j : j + height, i : i + width] for j in range(size) for i in range(size)
    ) + np.zeros_like(values)


def largest(values: Values) -> tuple[int, int]:
    """x and y of the first largest value."""
    y, x = np.unravel_index(np.argmax(values), values.shape)
    return int(x), int(y)


def quarter(m: Values, x: int, y: int) -> tuple[float, float]:
    height, width = m.shape
    dx = np.sign(m[y, x + 1] - m[y, x - 1]) if 1 < x < width - 1 and y > 0 else 0
    dy = np.sign(m[y + 1, x] - m[y - 1, x]) if 1 < y < height - 1 and x > 0 else 0
    return x + dx / 4, y + dy / 4


def parabola(m: Values, x: int, y: int) -> tuple[float, float]:
    """Through three points by polynomial fitting."""
    found = [float(x), float(y)]
    for axis, (row, i) in enumerate(((m[y], x), (m[:, x], y))):
        if 0 < i < len(row) - 1:
            a, b, _ = np.linalg.solve(np.vander([-1.0, 0, 1], 3), row[i - 1 : i + 2])
            found[axis] += -b / (2 * a) if a < -1e-12 else 0
    return found[0], found[1]


def paraboloid(m: Values, x: int, y: int) -> tuple[float, float]:
    height, width = m.shape
    if not (0 < x < width - 1 and 0 < y < height - 1):
        return quarter(m, x, y)
    v, u = (grid.ravel() for grid in np.mgrid[-1.0:2, -1.0:2])
    terms = np.stack((u * u, u * v, v * v, u, v, np.ones(9)), 1)
    a, b, c, d, e, _ = np.linalg.lstsq(terms, m[y - 1 : y + 2, x - 1 : x + 2].ravel(), rcond=None)[0]
    hessian = np.array([[2 * a, b], [b, 2 * c]])
    if np.linalg.eigvalsh(hessian).max() > -1e-9:
        return quarter(m, x, y)
    dx, dy = np.clip(-np.linalg.solve(hessian, [d, e]), -1, 1)
    return x + dx, y + dy


def logarithms(m: Values, size: int, low: float, high: float) -> Values:
    smoothed = smooth(m, size, "constant")
    return np.log(np.clip(smoothed * (m.max() / smoothed.max() if smoothed.max() > 0 else 1), low, high))


def dark(m: Values, x: int, y: int, size: int) -> tuple[float, float]:
    height, width = m.shape
    if not (1 < x < width - 2 and 1 < y < height - 2):
        return x, y
    h = logarithms(m, size, 1e-10, np.inf)
    gradient = np.array([h[y, x + 1] - h[y, x - 1], h[y + 1, x] - h[y - 1, x]]) / 2
    dxx = (h[y, x + 2] - 2 * h[y, x] + h[y, x - 2]) / 4
    dyy = (h[y + 2, x] - 2 * h[y, x] + h[y - 2, x]) / 4
    dxy = (h[y + 1, x + 1] - h[y - 1, x + 1] - h[y + 1, x - 1] + h[y - 1, x - 1]) / 4
    if dxx * dyy - dxy**2 == 0:
        return x, y
    dx, dy = -np.linalg.solve([[dxx, dxy], [dxy, dyy]], gradient)
    return x + dx, y + dy


def udp(m: Values, x: int, y: int, size: int) -> tuple[float, float]:
    h = np.pad(logarithms(m, size, 1e-3, 50), 1, "edge")[y : y + 3, x : x + 3]
    gradient = np.array([h[1, 2] - h[1, 0], h[2, 1] - h[0, 1]]) / 2
    dxx, dyy = h[1, 2] - 2 * h[1, 1] + h[1, 0], h[2, 1] - 2 * h[1, 1] + h[0, 1]
    dxy = (h[2, 2] - h[1, 2] - h[2, 1] + 2 * h[1, 1] - h[1, 0] - h[0, 1] + h[0, 0]) / 2
    hessian = np.array([[dxx, dxy], [dxy, dyy]]) + np.finfo(np.float32).eps * np.eye(2)
    dx, dy = -np.linalg.solve(hessian, gradient)
    return x + dx, y + dy


def megvii(m: Values, size: int) -> tuple[float, float, float]:
    """With the largest value of the smoothed map, which is scaled to that of before."""
    smoothed = smooth(m, size, "constant")
    if smoothed.max() != 0:
        smoothed *= m.max() / smoothed.max()
    x, y = largest(smoothed)
    value = smoothed[y, x]
    if 1 < x < m.shape[1] - 1 and 1 < y < m.shape[0] - 1:
        dx, dy = smoothed[y, x + 1] - smoothed[y, x - 1], smoothed[y + 1, x] - smoothed[y - 1, x]
        return x + 0.25 * np.sign(dx) + 0.5, y + 0.25 * np.sign(dy) + 0.5, value
    return x, y, value


def second_peak(m: Values, size: int) -> tuple[float, float, float]:
    """With the value of the map at the place."""
    smoothed = smooth(np.pad(m, 10), size, "constant")
    x, y = largest(smoothed)
    smoothed[y, x] = 0
    other_x, other_y = largest(smoothed)
    length = max(hypot(other_x - x, other_y - y), 1e-3)
    x_found = min(max(x - 10 + 0.25 * (other_x - x) / length, 0), m.shape[1] - 1)
    y_found = min(max(y - 10 + 0.25 * (other_y - y) / length, 0), m.shape[0] - 1)
    return x_found + 0.5, y_found + 0.5, m[round(y_found), round(x_found)]


def gaussfit(m: Values, x: int, y: int, sigma: float) -> tuple[float, float]:
    reach = int(3 * sigma + 0.5)
    window = [
        (i, j, m[j, i])
        for j in range(max(y - reach, 0), min(y + reach + 1, m.shape[0]))
        for i in range(max(x - reach, 0), min(x + reach + 1, m.shape[1]))
        if m[j, i] > 0
    ]
    terms = np.array([[f, f * (i - x), f * (j - y), f * (i - x) ** 2, f * (j - y) ** 2] for i, j, f in window])
    if np.linalg.matrix_rank(terms) < 5:
        return quarter(m, x, y)
    _, d, e, a, c = np.linalg.lstsq(terms, np.array([f * log(f) for _, _, f in window]), rcond=None)[0]
    if a >= 0 or c >= 0 or abs(d / (2 * a)) > reach or abs(e / (2 * c)) > reach:
        return quarter(m, x, y)
    return x - d / (2 * a), y - e / (2 * c)


def integral(m: Values, beta: float, debias: bool) -> tuple[float, float]:
    height, width = m.shape
    p = np.exp(beta * (m - m.max()))
    p /= p.sum()
    x, y = (p.sum(0) * np.arange(width)).sum(), (p.sum(1) * np.arange(height)).sum()
    if debias:
        c = np.exp(m).sum()
        x, y = c / (c - 1) * (x - width / (2 * c)), c / (c - 1) * (y - height / (2 * c))
    return x, y


def place(values: NDArray[np.float32], rules: Heatmaps) -> tuple[float, float, float]:
    """x and y px, and the score."""
    m = values.astype(np.float64) / rules.scale
    method = rules.method
    if method == "integral":
        return *integral(m, rules.beta, rules.debias), 1.0
    added = 0.5 if method in ("megvii", "second_peak") else 0.0
    if m.max() <= 0:
        return -1, -1, m.max() + added
    if method == "second_peak":
        x, y, value = second_peak(m, rules.blur)
        return x, y, value + added
    if method == "megvii":
        x, y, value = megvii(m, rules.blur)
        return x, y, value + added
    x, y = largest(m)
    if method in ("dark", "udp"):
        found = {"dark": dark, "udp": udp}[method](m, x, y, rules.blur)
    elif method == "gaussfit":
        found = gaussfit(m, x, y, rules.sigma)
    else:
        steps = {"quarter": quarter, "parabola": parabola, "paraboloid": paraboloid}
        found = steps[method](m, x, y) if method in steps else (x, y)
    return *found, m.max()
