"""Time the grouping of keypoints by limbs: native code against NumPy, one pair of peaks or one cell per step.

    python benchmarks/limbs.py [--people 33] [--rounds 7] [--json FILE]

Maps of crowds in 656x368 px, those of the tests. The Python follows the papers, without the peculiarities of published
code that ours reproduces, so that the people found differ. Then the time by the number of people. Only Simple Pose's
grouping uses more than one thread.
"""

import sys
from pathlib import Path

import cv2
import plain_openpose
import plain_pifpaf
import plain_simple_pose
from turns import Table, deliver, in_turns, parser

from detforge.deploy.bench.environment import Watch
from detforge.deploy.forms import Affinity, BodyParts, Composite
from detforge.deploy.forms.form import Run
from detforge.deploy.inputs.resize import Pad, Resize
from detforge.models.skeletons import COCO_PERSON, OPENPOSE_18
from detforge.models.zoo import find

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from golden.crowds import FIELDS, PARTS, affinity_maps, composite_fields, part_maps, people, with_neck

WIDTH, HEIGHT = 656, 368
COUNTS = (5, 10, 20, 40)


class OpenPose:
    form = Affinity(OPENPOSE_18.links, starts=18)

    def __init__(self, count: int, _threads: int) -> None:
        heatmaps, fields = affinity_maps(with_neck(crowd(count)), WIDTH, HEIGHT)
        order = [FIELDS.index(limb) for limb in self.form.limbs]
        self.maps = heatmaps[:18], fields.reshape(19, 2, *fields.shape[1:])[order]

    def ours(self) -> int:
        return len(self.form.group(*self.maps)[0])

    def plain(self) -> int:
        return len(plain_openpose.group(self.form, *self.maps))


class SimplePose:
    form = BodyParts(PARTS, find("simplepose").form.keypoints)

    def __init__(self, count: int, threads: int) -> None:
        self.maps = part_maps(with_neck(crowd(count), rounded=False), WIDTH, HEIGHT)
        self.threads = threads

    def ours(self) -> int:
        limbs, heatmaps = self.maps
        run = Run({"limbs": limbs, "heatmaps": heatmaps}, Resize(pad=Pad(multiple=16)).whole((HEIGHT, WIDTH)))
        return len(self.form.group([run], (HEIGHT, WIDTH), COCO_PERSON, self.threads)[0])

    def plain(self) -> int:
        limbs, heatmaps = self.maps
        return len(plain_simple_pose.group(self.form, heatmaps, limbs))


class PifPaf:
    form = Composite(COCO_PERSON.links)

    def __init__(self, count: int, _threads: int) -> None:
        keypoints, limbs = composite_fields(crowd(count), WIDTH, HEIGHT)
        self.outputs = {"heatmaps": keypoints[:, 1], "places": keypoints[:, 2:], "limbs": limbs[:, 1]}
        self.outputs["ends"] = limbs[:, 2:]

    def ours(self) -> int:
        return len(self.form.group(self.outputs))

    def plain(self) -> int:
        return len(plain_pifpaf.group(self.form, self.outputs))


def crowd(count: int):
    """COCO's keypoints (count, 17, 3) of people side by side, a tenth of them hidden."""
    return people("crowd", count, WIDTH, HEIGHT, size=(0.3, 0.6), hide=0.1)


def main() -> None:
    """Print the medians of a crowd, and of ours by the number of people."""
    flags = parser(__doc__, 7)
    flags.add_argument("--people", type=int, default=33)
    arguments = flags.parse_args()
    cv2.setNumThreads(arguments.threads)
    watch = Watch()
    tables: list[Table] = []
    for system in (OpenPose, SimplePose, PifPaf):
        scene = system(arguments.people, arguments.threads)
        ways = {"detforge": scene.ours, "NumPy, one step at a time": scene.plain}
        results = {name: f"{way()} people" for name, way in ways.items()}
        rows = in_turns(ways, arguments.rounds, results)
        tables.append(Table(f"{system.__name__}, {arguments.people} people", rows))
    for system in (OpenPose, SimplePose, PifPaf):
        scenes = {f"detforge, {count} people": system(count, arguments.threads).ours for count in COUNTS}
        tables.append(Table(f"{system.__name__}, ratio to {COUNTS[0]} people", in_turns(scenes, arguments.rounds)))
    deliver("limbs", tables, watch, arguments)


if __name__ == "__main__":
    main()
