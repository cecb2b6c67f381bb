"""PifPaf on ShuffleNet V2: its layout, and a unit written once more from the keys of its checkpoint."""

import torch
from torch import Tensor
from torch.nn import functional as F

from detforge.models.checkpoint import Checkpoint, load_variant
from detforge.models.zoo import find

State = dict[str, Tensor]


def normed(x: Tensor, state: State, name: str) -> Tensor:
    mean, var, weight, bias = (state[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
    return F.batch_norm(x, mean, var, weight, bias, eps=1e-3)


def unit(x: Tensor, state: State, name: str) -> Tensor:
    """Two branches, the first one absent where the size stays, and their channels in turns."""
    changed, stride = x, 1
    if f"{name}.branch1.0.weight" in state:
        stride = 2
        depthwise = state[f"{name}.branch1.0.weight"]
        kept = normed(F.conv2d(x, depthwise, None, 2, 2, groups=x.shape[1]), state, f"{name}.branch1.1")
        kept = normed(F.conv2d(kept, state[f"{name}.branch1.2.weight"]), state, f"{name}.branch1.3").relu()
    else:
        kept, changed = x[:, : x.shape[1] // 2], x[:, x.shape[1] // 2 :]
    changed = normed(F.conv2d(changed, state[f"{name}.branch2.0.weight"]), state, f"{name}.branch2.1").relu()
    depthwise = state[f"{name}.branch2.3.weight"]
    changed = normed(F.conv2d(changed, depthwise, None, stride, 2, groups=len(depthwise)), state, f"{name}.branch2.4")
    changed = normed(F.conv2d(changed, state[f"{name}.branch2.5.weight"]), state, f"{name}.branch2.6").relu()
    joined = torch.empty(len(x), 2 * kept.shape[1], *kept.shape[2:], dtype=x.dtype)
    joined[:, 0::2], joined[:, 1::2] = kept, changed
    return joined


def test_the_layout_is_that_of_its_authors() -> None:
    """As many keys and parameters as their checkpoints have: of 38.9 MB, and of 115 MB."""
    for name, keys, megabytes in (("k16", 340, 38.9), ("k30", 592, 115.0)):
        with torch.device("meta"):
            state = find(f"pifpaf_shufflenetv2{name}").build(17).state_dict()
        assert len(state) == keys
        size = sum(value.numel() for value in state.values()) * 4 / 1e6
        assert abs(size / megabytes - 1) < 0.06


def test_its_units_are_those_of_the_keys() -> None:
    variant = find("pifpaf_shufflenetv2k16")
    generator = torch.Generator().manual_seed(0)
    state: State = {}
    for key, value in variant.build(17).state_dict().items():
        drawn = torch.rand(value.shape, generator=generator) + 0.5
        if value.ndim > 1:
            drawn = (drawn - 1) * (6 / value[0].numel()) ** 0.5
        theirs = key.replace("backbone.", "base_net.").replace("head.head_nets", "head_nets")
        state[theirs] = value if key.endswith("num_batches_tracked") else drawn
    network = load_variant(variant, Checkpoint(state, "theirs.pkl", None, None))
    exact = {key.removeprefix("base_net."): value.double() for key, value in state.items()}
    x = torch.randn((1, 3, 49, 65), generator=generator).double()
    with torch.inference_mode():
        [found] = network.backbone(x.float())
        x = normed(F.conv2d(x, exact["input_block.0.weight"], None, 2, 1), exact, "input_block.1").relu()
        for stage, count in ((2, 4), (3, 8), (4, 4)):
            for i in range(count):
                x = unit(x, exact, f"stage{stage}.{i}")
        expected = normed(F.conv2d(x, exact["conv5.0.weight"]), exact, "conv5.1").relu()
        outputs = network.head.decode(network.head([found]))
    assert found.shape == (1, 1392, 4, 5)
    torch.testing.assert_close(found.double(), expected, rtol=1e-3, atol=1e-3)
    assert outputs["heatmaps"].shape == (1, 17, 7, 9)
