"""Parts of configurations with another arithmetic: mmdet 1.x's boxes, and backbones of five stages."""

import math

import numpy as np
import pytest
import torch
from small_configs import HEADS, STRIDES, dense

from detforge.models.config.network import read_network
from detforge.models.config.section import Section
from detforge.models.config.text import ConfigError

LEGACY = {
    "anchor_generator": HEADS["RetinaHead"]["anchor_generator"]
    | {"type": "LegacyAnchorGenerator", "center_offset": 0.5},
    "bbox_coder": {"type": "LegacyDeltaXYWHBBoxCoder", "target_stds": (0.5, 0.5, 1.0, 1.0)},
    "norm_cfg": None,
}


def read(model):
    section = Section(model, "model")
    network = read_network(section)
    section.finish()
    return network


def test_boxes_of_mmdet_1() -> None:
    """Corners of anchors are rounded, and sides are x2 - x1 + 1."""
    network = read(dense("RetinaHead", **LEGACY))
    assert network.form.clip == "last_pixel"
    head = network.build(3).bbox_head
    generator = np.random.default_rng(0)
    sizes = [(2, 3), (1, 2), (1, 1), (1, 1), (1, 1)]
    deltas = [generator.normal(0, 0.7, (1, 24, h, w)).astype(np.float32) for h, w in sizes]
    expected = []
    for (h, w), stride, values in zip(sizes, STRIDES, deltas, strict=True):
        middle = (stride - 1) / 2
        for y in range(h):
            for x in range(w):
                for i, (ratio, octave) in enumerate((r, o) for r in (0.5, 1.0, 2.0) for o in range(2)):
                    size = stride * 8 * 2 ** (octave / 2)
                    sides = np.array([size / math.sqrt(ratio), size * math.sqrt(ratio)])
                    low, high = (np.round(middle + sign * (sides - 1) / 2) for sign in (-1, 1))
                    low, high = (corner + np.array([x, y]) * stride for corner in (low, high))
                    own = values[0, 4 * i : 4 * i + 4, y, x].astype(np.float64) * [0.5, 0.5, 1, 1]
                    centre = (low + high) / 2 + (high - low + 1) * own[:2]
                    reach = (high - low + 1) * np.exp(own[2:]) / 2
                    expected.append([*(centre - reach + 0.5), *(centre + reach - 0.5)])
    logits = {"deltas": [*map(torch.from_numpy, deltas)], "classes": [torch.zeros(1, 18, h, w) for h, w in sizes]}
    np.testing.assert_allclose(head.decode(logits)["boxes"][0].numpy(), expected, rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize(
    ("kind", "stages", "blocks"), [("CSPNeXt", (2, 3, 4, 5), (3, 6, 6, 3, 3)), ("CSPDarknet", (3, 5), (3, 9, 9, 3, 3))]
)
def test_backbones_of_five_stages(kind: str, stages: tuple[int, ...], blocks: tuple[int, ...]) -> None:
    """Channels 128 to 512, 768 and 1024, of which these have a sixteenth; pooling in the last stage alone."""
    own = {"type": kind, "arch": "P6", "deepen_factor": 1.0, "widen_factor": 1 / 16, "out_indices": stages}
    widths = [8, 16, 32, 48, 64]
    neck = {"type": "CSPNeXtPAFPN", "in_channels": tuple(widths[i - 1] for i in stages), "out_channels": 16}
    points = {"type": "MlvlPointGenerator", "offset": 0, "strides": tuple(2 << i for i in stages)}
    head = {"type": "RTMDetSepBNHead", "in_channels": 16, "feat_channels": 16, "stacked_convs": 1, "num_classes": 3}
    head |= {"anchor_generator": points, "bbox_coder": {"type": "DistancePointBBoxCoder"}}
    model = {"type": "RTMDet", "backbone": own, "neck": neck | {"num_csp_blocks": 1}, "bbox_head": head}
    network = read(model | {"bbox_head": head | {"with_objectness": False}})
    assert network.form.strides == points["strides"]
    trunk = network.build(3).eval().backbone
    with torch.inference_mode():
        levels = trunk(torch.zeros(1, 3, 128, 64))
    assert [tuple(x.shape[1:]) for x in levels] == [(widths[i - 1], 128 >> (i + 1), 64 >> (i + 1)) for i in stages]
    found = {
        key.partition(".blocks.")[0] + key.partition(".blocks.")[2].partition(".")[0] for key in trunk.state_dict()
    }
    last = [
        max(int(key[-1]) for key in found if key.startswith(f"stage{i}") and key[-1].isdigit()) for i in range(1, 6)
    ]
    assert [count - 1 for count in blocks] == last
    pooled = {key[:6] for key in trunk.state_dict() if ".conv2." in key and key.count(".") == 4}
    assert pooled == {"stage5"}


def test_only_retinanet_has_the_boxes_of_mmdet_1() -> None:
    with pytest.raises(ConfigError, match=r"bbox_coder\.type is 'DeltaXYWHBBoxCoder'"):
        read(dense("RetinaHead", **(LEGACY | {"bbox_coder": {"type": "DeltaXYWHBBoxCoder"}})))
    with pytest.raises(ConfigError, match=r"bbox_coder is None; supported: a LegacyDeltaXYWHBBoxCoder"):
        read(dense("RetinaHead", **(LEGACY | {"bbox_coder": None})))
    with pytest.raises(ConfigError, match=r"anchor_generator\.type is 'LegacyAnchorGenerator'"):
        read(dense("ATSSHead", anchor_generator=LEGACY["anchor_generator"]))
