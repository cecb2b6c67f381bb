"""Networks that find rigid objects against their authors' numbers."""

from typing import Any

import numpy as np
import pytest
import torch
from golden.agreement import assert_tensors_agree
from golden.reader import Sample, load_ops, picture, positions, weight
from torch import nn

from detforge.deploy.contract.solid import Solid
from detforge.deploy.forms.solid_corners import pose_of
from detforge.models.checkpoint import Checkpoint, load_variant
from detforge.models.zoo import find

pytestmark = pytest.mark.slow


def loaded(case: dict[str, Any], name: str) -> nn.Module:
    """The variant with the golden's weights under the authors' keys."""
    state = {
        key: case["in"][key] if gain is None else weight(key, tuple(shape), gain)
        for key, shape, gain in case["args"]["state"]
    }
    return load_variant(
        find(name), Checkpoint({k: torch.from_numpy(v) for k, v in state.items()}, "golden", None, None)
    )


def samples(case: dict[str, Any]) -> dict[str, Sample]:
    tag = case["args"]["tag"]
    return {
        key: Sample(tuple(shape), std, positions(f"{tag}/raw/{key}", int(np.prod(shape)), count)[::8], case["out"][key])
        for key, (shape, std, count) in case["args"]["raw"].items()
    }


def image_of(case: dict[str, Any]) -> torch.Tensor:
    height, width = case["args"]["shape"][2:]
    return torch.from_numpy(picture(height, width, 1)[None])


def test_every_tensor_of_pvnet() -> None:
    [case] = load_ops("pvnet_r18")
    model, seen = loaded(case, "pvnet_r18"), {}
    for name in ("fc", "conv8s", "conv4s", "conv2s"):
        getattr(model, name).register_forward_hook(lambda _, __, out, name=name: seen.update({name: out}))
    with torch.inference_mode():
        image = image_of(case)
        outputs, levels = model(image), model.levels(image)
    seen |= {f"backbone/{i}": level for i, level in enumerate([*levels, seen.pop("fc")])}
    seen |= {"head/seg": outputs["classes"], "head/vertex": outputs["vectors"]}
    assert_tensors_agree(samples(case), seen, 1e-3)
    mask = outputs["classes"].argmax(1).numpy().ravel()
    assert (mask == np.unpackbits(case["out"]["mask"])[: mask.size]).mean() > 0.999


def test_every_tensor_of_cdpn() -> None:
    [case] = load_ops("cdpn_r34")
    model, seen = loaded(case, "cdpn_r34"), {}
    named = {f"rot/features{i}": model.rot_head_net.features[i] for i in (8, 17, 26)}
    named |= {"trans/features8": model.trans_head_net.features[8], "trans/linears1": model.trans_head_net.linears[1]}
    for name, layer in named.items():
        layer.register_forward_hook(lambda _, __, out, name=name: seen.update({name: out}))
    with torch.inference_mode():
        image = image_of(case)
        outputs = model(image)
        seen |= {"backbone": model.backbone(image)[-1]}
    seen |= {"head/rot": outputs["surface"], "head/trans": outputs["translation"]}
    assert_tensors_agree(samples(case), seen, 1e-3)


def test_every_tensor_of_g2l() -> None:
    [case] = load_ops("g2l_linemod")
    model, seen = loaded(case, "g2l_linemod"), {}
    for name in ("Seg3D", "Tres", "EVF"):
        getattr(model, name).register_forward_hook(lambda _, __, out, name=name: seen.update({name: out}))
    points = torch.from_numpy(case["in"]["points"]).T
    with torch.inference_mode():
        # what a box with fewer points than the input has room for looks like
        outputs = model(nn.functional.pad(points, (0, 100))[None, :, None])
    classes = seen["Seg3D"][0][0, :, 0, : points.shape[1]]
    chosen = classes.argmax(0) == 1
    assert torch.equal(chosen, torch.from_numpy(np.unpackbits(case["out"]["segment"])[: points.shape[1]] == 1))
    assert outputs["count"].item() == chosen.sum()
    vectors, features = (part[0, :, 0, : points.shape[1]][:, chosen] for part in seen["EVF"])
    tensors = {"seg": torch.log_softmax(classes, 0).T, "vectors": vectors.T, "features": features}
    tensors |= {"center_residual": seen["Tres"][0, :, 0], **{key: outputs[key][0] for key in ("corners", "residual")}}
    assert_tensors_agree(samples(case), tensors, 1e-3)
    solid = Solid((-37.93, -38.8, -45.89), (37.93, 38.8, 45.89))
    pose = pose_of(solid, *(outputs[name][0].numpy() for name in ("centre", "corners", "residual")))
    np.testing.assert_allclose(pose[:, :3], case["out"]["R_final"], atol=2e-5)
    np.testing.assert_allclose(pose[:, 3], case["out"]["T"], atol=1e-3)
