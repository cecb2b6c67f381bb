"""Backbones and necks of two-stage networks against mmdet: what their one-stage relatives share with them."""

from functools import partial

import pytest
import torch
from golden.reader import load

from detforge.models.backbones.hrnet import HRNet
from detforge.models.backbones.regnet import X_3_2GF
from detforge.models.backbones.res2net import R2_101
from detforge.models.backbones.resnet import DCN_V2_C3_C5, R50, X101_32X4D, ResNet
from detforge.models.necks.fpn import FPN
from detforge.models.necks.hrfpn import HRFPN

TRUNKS = {
    "faster_rcnn_x101_32x4d": (X101_32X4D, FPN),
    "faster_rcnn_r50_dcnv2": (lambda: ResNet(50, deformable=DCN_V2_C3_C5), FPN),
    "pafpn_faster_r50": (R50, partial(FPN, bottom_up="plain")),
    "faster_rcnn_r2_101": (R2_101, FPN),
    "faster_rcnn_r50_regnet": (X_3_2GF, FPN),
    "faster_rcnn_hrnet_w32": (partial(HRNet, 32, outputs=4), HRFPN),
}


@pytest.mark.parametrize("name", TRUNKS)
def test_trunk_equals_mmdet(name: str) -> None:
    golden = load(name)
    trunk, pyramid = TRUNKS[name]
    backbone = trunk()
    model = torch.nn.ModuleDict(
        {"backbone": backbone, "neck": pyramid(backbone.channels, 256, 5 if pyramid is HRFPN else 4)}
    ).eval()
    model.load_state_dict({key: torch.from_numpy(value) for key, value in golden.state.items()})
    for case in golden.cases.values():
        with torch.inference_mode():
            levels = backbone(torch.from_numpy(case.image))
            features = model["neck"](levels)
        tensors = {"backbone": levels, "neck": features}
        for key, sample in case.raw.items():
            group, _, index = key.partition("/")
            if key != "neck/4" or pyramid is HRFPN:  # others only subsample P5 there, and dense detectors do not
                assert sample.error(tensors[group][int(index)].numpy()) < 3e-4, key
