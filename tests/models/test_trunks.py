"""Backbones and necks of two-stage networks against mmdet: ResNeXt, modulated deformable stages."""

import pytest
import torch
from golden.agreement import assert_tensors_agree
from golden.catalog import networks
from golden.reader import load
from reference import numbered

from detforge.models.backbones.resnet import DCN_V2_C3_C5, X101_32X4D, ResNet
from detforge.models.necks.fpn import FPN

TRUNKS = {
    "faster_rcnn_x101_32x4d": X101_32X4D,
    "faster_rcnn_r50_dcnv2": lambda: ResNet(50, deformable=DCN_V2_C3_C5),
}


@pytest.mark.parametrize("name", networks("trunk"))
def test_trunk_equals_mmdet(name: str) -> None:
    golden = load(name)
    backbone = TRUNKS[name]()
    model = torch.nn.ModuleDict({"backbone": backbone, "neck": FPN(backbone.channels, 256, 4)}).eval()
    model.load_state_dict({key: torch.from_numpy(value) for key, value in golden.state.items()})
    for case in [case for case in golden.cases.values() if case.raw]:  # of the padded image no tensors are kept
        with torch.inference_mode():
            levels = backbone(torch.from_numpy(case.image))
            features = model["neck"](levels)
        # The last of the neck's is a subsampling of P5, which dense detectors do without.
        tensors = numbered("backbone", levels) | numbered("neck", [*features, None])
        assert_tensors_agree(case.raw, tensors, 3e-4)
