"""Time the suppression of poses by OKS: native code against NumPy with one pair of poses per step, as in mmpose.

    python benchmarks/oks.py [--poses 500] [--rounds 5] [--json FILE]

Crowded poses of COCO's 17 keypoints. Both must keep the same poses.
"""

import numpy as np
from numpy.typing import NDArray
from turns import Table, deliver, in_turns, parser

from detforge.deploy.bench.environment import Watch
from detforge.deploy.columns import Keypoints
from detforge.deploy.contract.suppression import Suppress
from detforge.deploy.results.instances import Instances
from detforge.deploy.suppress import suppress
from detforge.models.skeletons import COCO_PERSON

SIGMAS = np.array(COCO_PERSON.sigmas)
HARD = Suppress("oks", conf=0.0, oks=0.9, max_det=100_000)
SOFT = Suppress("oks_gaussian", conf=0.0, sigma=0.9, max_det=100_000)


def main() -> None:
    """Print the medians of hard and soft suppression."""
    flags = parser(__doc__, 5)
    flags.add_argument("--poses", type=int, default=500)
    arguments = flags.parse_args()
    watch = Watch()
    draw = np.random.default_rng(0)
    people = draw.uniform(0, 1000, (max(1, arguments.poses // 4), 17, 2))
    places = people[draw.integers(0, len(people), arguments.poses)] + draw.normal(0, 2, (arguments.poses, 17, 2))
    keypoints = np.concatenate((places, draw.uniform(0, 1, (arguments.poses, 17, 1))), 2).astype(np.float32)
    areas = draw.uniform(8e3, 2e4, arguments.poses).astype(np.float32)
    scores = (draw.permutation(arguments.poses) + 0.5).astype(np.float32) / arguments.poses
    labels = np.zeros(arguments.poses, np.int64)
    poses = Instances.around([Keypoints(keypoints, COCO_PERSON, areas)], scores, labels, ("person",), (1000, 1000))
    given = keypoints, scores, areas.astype(np.float64)
    tables: list[Table] = []
    for name, spec, in_numpy in (("oks", HARD, hard), ("oks_gaussian", SOFT, soft)):
        ways = {
            "detforge": lambda spec=spec: suppress(poses, spec, "poses").keypoints,
            "NumPy, one pair per step": lambda in_numpy=in_numpy: keypoints[in_numpy(*given)],
        }
        kept, expected = (way() for way in ways.values())
        np.testing.assert_array_equal(kept, expected)
        rows = in_turns(ways, arguments.rounds)
        tables.append(Table(f"{name}, {arguments.poses} poses, {len(kept)} kept", rows))
    deliver("oks", tables, watch, arguments)


def hard(keypoints: NDArray[np.float32], scores: NDArray[np.float32], areas: NDArray[np.float64]) -> list[int]:
    """OKS-NMS."""
    order, kept = scores.argsort()[::-1], []
    while len(order):
        best, order = order[0], order[1:]
        kept.append(int(best))
        order = order[similarity(keypoints, areas, best, order) <= HARD.oks]
    return kept


def soft(keypoints: NDArray[np.float32], scores: NDArray[np.float32], areas: NDArray[np.float64]) -> list[int]:
    """Gaussian soft OKS-NMS."""
    order, kept = scores.argsort()[::-1], []
    left = scores[order].astype(np.float64)
    while len(order):
        best, order = order[0], order[1:]
        kept.append(int(best))
        left = left[1:] * np.exp(-(similarity(keypoints, areas, best, order) ** 2) / SOFT.sigma)
        again = left.argsort()[::-1]
        order, left = order[again], left[again]
    return kept


def similarity(
    keypoints: NDArray[np.float32], areas: NDArray[np.float64], best: int, others: NDArray[np.int64]
) -> NDArray[np.float64]:
    """The OKS of one pose with each other pose."""
    found = np.zeros(len(others))
    for place, other in enumerate(others):
        squares = ((keypoints[best, :, :2] - keypoints[other, :, :2]) ** 2).sum(1)
        exponents = squares / (2 * SIGMAS) ** 2 / ((areas[best] + areas[other]) / 2 + np.spacing(1)) / 2
        found[place] = np.exp(-exponents).sum() / len(exponents)
    return found


if __name__ == "__main__":
    main()
