"""Bottom-up networks against mmpose's people: from the network's outputs to poses."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from golden.agreement import assert_near
from golden.catalog import networks
from golden.reader import People, PoseGolden, load_pose
from reference import load_network
from torch import Tensor
from torch.nn import functional as F

from detforge.deploy.forms.views import add_maps, spread
from detforge.models.variant import Variant


@dataclass(frozen=True)
class Run:
    """Our network on a golden: what each of its stages gives for the image and for its mirror image (2, c, h, w)."""

    golden: PoseGolden
    variant: Variant
    stages: list[Tensor]


@pytest.fixture(scope="module", params=networks("tags"))
def run(request: pytest.FixtureRequest) -> Run:
    golden = load_pose(request.param)
    variant, model = load_network(request.param, golden.state)
    image = torch.from_numpy(golden.image)
    with torch.inference_mode():
        stages = model.head(model.backbone(torch.cat((image, image.flip(3)))))
    return Run(golden, variant, [stages] if isinstance(stages, Tensor) else list(stages))


def merged(run: Run, flip: bool) -> tuple[np.ndarray, np.ndarray]:
    """Heatmaps (k, h, w) and tags (views, k, h, w) as mmpose has them: every stage resized at once, then averaged."""
    spacing = run.variant.input.place.spacing
    size = run.stages[-1].shape[2:] if spacing else run.golden.image.shape[2:]
    large = [F.interpolate(maps, size, mode="bilinear", align_corners=spacing) for maps in run.stages]
    heatmaps = sum(maps[:, :17] for maps in large) / len(large)
    tags = large[0][:, 17:]
    views = [(heatmaps[0], tags[0])]
    if flip:
        order = run.variant.skeleton.mirrored()
        views.append((heatmaps[1, order].flip(2), tags[1, order].flip(2)))
    mean = sum(view[0] for view in views) / len(views)
    return mean.numpy(), torch.stack([view[1] for view in views]).numpy()


def found(run: Run, case: People) -> tuple[np.ndarray, np.ndarray]:
    """Our keypoints in px of the image, and their scores."""
    spacing = run.variant.input.place.spacing
    parts, scores, _ = run.variant.form.group(*merged(run, case.flip), spacing)
    # mmpose 0.x, given the image instead of a file, takes its size in units of 200 px for px.
    size = np.array(run.golden.image.shape[:1:-1]) / (200 if spacing else 1)
    return parts * size, scores


def test_people_equal_the_reference(run: Run) -> None:
    for tag, case in run.golden.cases.items():
        points, scores = found(run, case)
        assert_near(f"score of case {tag}", scores, case.scores, 1e-5)
        if run.variant.input.place.spacing:
            # Where a map is nearly flat, the Newton step of UDP leads far away, and rounding with it.
            given = case.scores > 0
            assert_near(f"keypoint of case {tag}", points[given], case.keypoints[given], 1e-3 / 200, far=0.05)
        else:
            assert_near(f"keypoint of case {tag}", points, case.keypoints, 1e-3)


def test_outputs_at_full_size_are_those_of_the_reference(run: Run) -> None:
    if len(run.stages) > 1:
        return
    tags = run.stages[0][:, 17:].numpy()
    full = np.zeros((17, *run.golden.image.shape[2:]), np.float32)
    for i, view in enumerate(merged(run, True)[1]):
        full[:] = 0
        order = run.variant.skeleton.mirrored() if i else range(17)
        places = (spread(tags.shape[axis], full.shape[axis - 1], False, bool(i) and axis == 3) for axis in (2, 3))
        add_maps(tags[i], full, order, [1.0] * 17, *places)
        np.testing.assert_allclose(full, view, atol=1e-6)
