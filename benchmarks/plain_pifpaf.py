"""PifPaf in NumPy, one cell and one limb per step, from its papers (arXiv 1903.06593 and 2103.02440)."""

import heapq
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from detforge.deploy.forms import Composite

Floats = NDArray[np.float32]
Joint = tuple[float, float, float, float]
"""Its score, x, y and scale in px of the image."""


def group(form: Composite, outputs: Mapping[str, Floats]) -> list[dict[int, Joint]]:
    """People in the outputs of the form, one after the other from the best seeds."""
    confidences, places = outputs["heatmaps"], outputs["places"] * form.stride
    fine = [accumulated(conf, place, form) for conf, place in zip(confidences, places, strict=True)]
    arrows = [
        (ends[:, conf >= form.least_peak].T * form.stride, conf[conf >= form.least_peak])
        for conf, ends in zip(outputs["limbs"], outputs["ends"], strict=True)
    ]
    seeds: list[tuple[float, int, Joint]] = []
    for k, (conf, (xs, ys, scales)) in enumerate(zip(confidences, places, strict=True)):
        for cell in np.argwhere(conf >= form.least_seed):
            x, y, scale = float(xs[*cell]), float(ys[*cell]), float(scales[*cell])
            score = 0.9 * look_up(fine[k], x, y) + 0.1 * float(conf[*cell])
            if score >= form.least_seed:
                seeds.append((score, k, (score, x, y, scale)))
    taken = [np.zeros(map.shape, bool) for map in fine]
    people: list[dict[int, Joint]] = []
    for _, k, joint in sorted(seeds, reverse=True):
        if look_up(taken[k], joint[1], joint[2]):
            continue
        person = grown(form, arrows, fine, k, joint)
        for i, (_, x, y, scale) in person.items():
            reach = max(4, int(scale))
            taken[i][max(int(y) - reach, 0) : int(y) + reach, max(int(x) - reach, 0) : int(x) + reach] = True
        people.append(person)
    return [person for person in people if sum(j[0] for j in person.values()) / len(fine) >= form.least_person]


def accumulated(conf: Floats, place: Floats, form: Composite) -> Floats:
    """The confidences of a keypoint's cells (h, w), gathered as Gaussians where they point to."""
    fine = np.zeros([(side - 1) * form.stride + 1 for side in conf.shape], np.float32)
    for cell in np.argwhere(conf >= form.least_peak):
        x, y, scale = place[:, *cell]
        sigma = max(1.0, 0.5 * float(scale))
        left, top = max(int(x - sigma), 0), max(int(y - sigma), 0)
        patch = fine[top : int(y + sigma + 1), left : int(x + sigma + 1)]
        v, u = np.mgrid[top : top + patch.shape[0], left : left + patch.shape[1]]
        apart = (u - x) ** 2 + (v - y) ** 2
        bump = np.where(apart <= sigma**2, float(conf[*cell]) / 16 * np.exp(-apart / (2 * sigma**2)), 0)
        patch[:] = np.minimum(patch + bump, 1)
    return fine


def look_up(map: NDArray[np.generic], x: float, y: float) -> float:
    """The value at the nearest pixel, or 0 outside."""
    u, v = round(x), round(y)
    return float(map[v, u]) if 0 <= v < map.shape[0] and 0 <= u < map.shape[1] else 0.0


def grown(
    form: Composite, arrows: list[tuple[Floats, Floats]], fine: list[Floats], seed: int, joint: Joint
) -> dict[int, Joint]:
    """A person's keypoints, found along the limbs from a first one, the most certain one first."""
    person: dict[int, Joint] = {}
    frontier = [(-joint[0], seed, joint)]
    while frontier:
        _, k, joint = heapq.heappop(frontier)
        if k in person:
            continue
        person[k] = joint
        for limb, (first, second) in enumerate(form.links):
            for one, other, back in ((first, second, False), (second, first, True)):
                if one != k or other in person:
                    continue
                target = linked(arrows[limb], fine[other], joint, back)
                if target[0] >= form.least_keypoint:
                    heapq.heappush(frontier, (-target[0], other, target))
    return person


def linked(arrows: tuple[Floats, Floats], fine: Floats, joint: Joint, back: bool) -> Joint:
    """The keypoint that the best cell of a limb's field near a keypoint leads to."""
    ends, conf = arrows
    start, end = (slice(2, 4), slice(0, 2)) if back else (slice(0, 2), slice(2, 4))
    score, x, y, scale = joint
    apart = ((ends[:, start] - (x, y)) ** 2).sum(1)
    spread = max(0.5, scale) / 2
    near = np.flatnonzero(apart <= 2 * spread**2)
    if len(near) == 0:
        return 0.0, 0.0, 0.0, 0.0
    weights = conf[near] * np.exp(-apart[near] / (2 * spread**2))
    best = near[np.argmax(weights)]
    u, v = (float(place) for place in ends[best, end])
    rated = float(weights.max()) * (0.1 + 0.9 * look_up(fine, u, v))
    return float(np.sqrt(score * rated)), u, v, float(ends[best, 4 if back else 5])
