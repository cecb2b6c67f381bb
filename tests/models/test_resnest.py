"""ResNeSt from configurations: names and sizes as mmdet and mmpose have them, and split attention by its definition."""

import numpy as np
import pytest
import torch

from detforge.models.backbones.resnest import SplitAttention, from_config, resnest
from detforge.models.config.section import Section
from detforge.models.config.text import ConfigError


def test_split_attention_is_its_definition() -> None:
    """Section 3.1, in float64: groups weighted by a softmax over them, each channel by its own."""
    torch.manual_seed(0)
    radix, channels, side = 3, 6, 6
    layer = SplitAttention(channels, 2, radix=radix, reduction=2).double().eval()
    x = torch.randn(1, channels, side, side, dtype=torch.float64)
    with torch.inference_mode():
        ours = layer(x)[0].numpy()
        wide = torch.relu(layer.bn0(layer.conv(x)))[0].numpy()
        w = {key: value.numpy() for key, value in layer.state_dict().items()}
    mean = wide.reshape(radix, channels, -1).sum(0).mean(1)
    hidden = w["fc1.weight"][:, :, 0, 0] @ mean + w["fc1.bias"]
    hidden = np.maximum(hidden / np.sqrt(1 + 1e-5), 0)
    logits = (w["fc2.weight"][:, :, 0, 0] @ hidden + w["fc2.bias"]).reshape(radix, channels)
    weights = np.exp(logits) / np.exp(logits).sum(0)
    mixed = np.zeros((channels, side, side))
    for k in range(radix):
        for c in range(channels):
            mixed[c] += weights[k, c] * wide[k * channels + c]
    padded = np.pad(mixed, ((0, 0), (1, 1), (1, 1)))
    for i in range(side // 2):
        for j in range(side // 2):
            window = padded[:, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3]
            np.testing.assert_allclose(ours[:, i, j], window.sum((1, 2)) / 9, atol=1e-12)


CONFIGURED = {"type": "ResNeSt", "depth": 50, "stem_channels": 8, "base_channels": 8, "radix": 2, "reduction_factor": 4}


@pytest.mark.parametrize("scope", ["mmdet", "mmpose"])
def test_configurations_give_the_same_network(scope: str) -> None:
    section = Section({**CONFIGURED, "avg_down_stride": True, "norm_cfg": {"type": "SyncBN"}}, "model.backbone")
    trunk = from_config(section.with_defaults(_scope_=scope))
    section.finish()
    ours = trunk.build().state_dict()
    expected = resnest(50, stem=8, width=8, least=2 if scope == "mmpose" else 1).state_dict()
    assert {k: v.shape for k, v in ours.items()} == {k: v.shape for k, v in expected.items()}
    last = "0" if scope == "mmpose" else "1"  # mmdet numbers a shortcut's pooling of single pixels too
    assert f"layer1.0.downsample.{last}.weight" in ours


@pytest.mark.parametrize(
    ("change", "key"),
    [({"groups": 2}, "groups"), ({"radix": 1}, "radix"), ({"dcn": {"type": "DCN"}}, "dcn"), ({"depth": 18}, "depth")],
)
def test_other_forms_are_refused(change: dict, key: str) -> None:
    with pytest.raises(ConfigError, match=rf"backbone\.{key} is .*; supported"):
        from_config(Section(CONFIGURED | change, "model.backbone"))
