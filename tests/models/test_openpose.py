"""OpenPose with 25 keypoints: its layout, and its stages written once more in float64."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from detforge.models.checkpoint import Checkpoint, load_variant, random_model
from detforge.models.zoo import find

State = dict[str, Tensor]


def block(x: Tensor, state: State, name: str, kernel: int = 3) -> Tensor:
    x = F.conv2d(x, state[f"{name}.Mconv.weight"], state[f"{name}.Mconv.bias"], padding=kernel // 2)
    return F.prelu(x, state[f"{name}.MPrelu.weight"])


def stage(x: Tensor, state: State, name: str) -> Tensor:
    for i in range(1, 6):
        one = block(x, state, f"{name}.Mconv{i}_0")
        two = block(one, state, f"{name}.Mconv{i}_1")
        x = torch.cat((one, two, block(two, state, f"{name}.Mconv{i}_2")), 1)
    x = block(x, state, f"{name}.Mconv6", 1)
    return F.conv2d(x, state[f"{name}.Mconv7.weight"], state[f"{name}.Mconv7.bias"])


def layout(state: State) -> State:
    """The keys of the port's checkpoint."""
    return {key.replace("backbone.", "feature_extractor.").removeprefix("head."): value for key, value in state.items()}


def test_the_layout_is_that_of_the_port() -> None:
    with torch.device("meta"):
        state = layout(find("openpose_body25").build(25).state_dict())
    assert len(state) == 327
    assert state["feature_extractor.24.weight"].shape == (256,)
    assert state["l2_stages.0.Mconv2_0.Mconv.weight"].shape == (96, 288, 3, 3)
    assert state["l2_stages.3.Mconv1_0.Mconv.weight"].shape == (128, 128 + 52, 3, 3)
    assert state["l1_stages.1.Mconv1_0.Mconv.weight"].shape == (128, 128 + 26 + 52, 3, 3)
    assert state["l1_stages.1.Mconv6.Mconv.weight"].shape == (512, 384, 1, 1)


def test_the_stages_see_one_another() -> None:
    variant = find("openpose25_test")
    network = random_model(variant).eval()
    state = layout(network.state_dict())
    again = load_variant(variant, Checkpoint(state, "theirs.pth", None, None))
    image = torch.randn((1, 3, 48, 64), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        outputs, features = again(image), network.backbone(image).double()
    state = {key: value.double() for key, value in state.items()}
    x = features
    for i in range(4):
        fields = stage(x, state, f"l2_stages.{i}")
        x = torch.cat((features, fields), 1)
    heatmaps = stage(x, state, "l1_stages.0")
    heatmaps = stage(torch.cat((features, heatmaps, fields), 1), state, "l1_stages.1")
    np.testing.assert_allclose(outputs["heatmaps"], heatmaps[:, :25], atol=1e-5)
    links = variant.skeleton.links
    # The pairs of channels by OpenPose's table, of the trunk, a hand's side and both ends of the order.
    for link, first in (((1, 8), 0), ((9, 10), 2), ((3, 4), 18), ((2, 17), 20), ((5, 18), 28), ((11, 24), 50)):
        np.testing.assert_allclose(outputs["fields"][:, links.index(link)], fields[:, first : first + 2], atol=1e-5)


def test_links_and_pairs_name_what_they_join() -> None:
    skeleton = find("openpose_body25").skeleton
    names = skeleton.keypoints
    assert len(names) == len(set(names)) == 25
    for left, right in skeleton.pairs:
        assert {names[left].split("_")[0], names[right].split("_")[0]} == {"left", "right"}
        assert names[left].split("_", 1)[1] == names[right].split("_", 1)[1]
    joined = {frozenset((names[a], names[b])) for a, b in skeleton.links}
    assert {frozenset(("left_ankle", "left_heel")), frozenset(("right_big_toe", "right_small_toe"))} <= joined
    assert frozenset(("neck", "middle_hip")) in joined
