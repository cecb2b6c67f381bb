"""Losses of pose networks and their gradients against those of OpenMMLab and of the papers' authors."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from golden.reader import load_ops, weight
from gradients import Inputs, Outputs, agrees
from torch.autograd import gradcheck

from detforge.train.losses import coordinates, discs, distances, heatmaps, lines

Args = dict[str, Any]


def squares(x: Inputs, args: Args) -> Outputs:
    return {"loss": heatmaps.heatmap_loss(x["output"], x["target"], x["w"]).mean()}


def hardest(x: Inputs, args: Args) -> Outputs:
    return {"loss": heatmaps.hard_keypoint_loss(x["output"], x["target"], x["w"], args["topk"]).mean()}


def combined(x: Inputs, args: Args) -> Outputs:
    return {"loss": heatmaps.combined_loss(x["output"], x["target"], x["w"]).mean(0).sum() / 6}


def focal_l2(x: Inputs, args: Args) -> Outputs:
    options = {key: args[key] for key in ("alpha", "beta") if key in args}
    factors = torch.ones(7)
    factors[args["heat_start"] : args["bkg_start"]] *= args["keypoint_task_weight"]
    factors[-2] *= args["multi_task_weight"]
    losses = heatmaps.focal_l2_loss(x["s"], x["target"], **options) * x["mask"] * factors[:, None, None]
    return {"loss": losses.flatten(1).sum(1).mean()}


def grmi(x: Inputs, args: Args) -> Outputs:
    height, width = x["logit"].shape[2:]
    cells = torch.stack(torch.meshgrid(torch.arange(width), torch.arange(height), indexing="xy")).float()
    away = x["kpt"][..., None, None] - cells  # (n, k, 2, h, w)
    seen = x["vis"][..., None, None]
    inside = (away.square().sum(2).sqrt() <= args["R"]).float() * seen
    return {
        "heat": (discs.disc_loss(x["logit"], inside) * seen).mean(),
        "offset": discs.disc_offset_loss(x["offset"].unflatten(1, (-1, 2)), away, inside),
    }


def integral(x: Inputs, args: Args) -> Outputs:
    points = coordinates.soft_argmax(x["heatmap"]) / torch.tensor([9.0, 12])
    smooth = distances.smooth_l1_loss(points, x["target"]) * x["w"]
    return {"l1": coordinates.integral_loss(x["heatmap"], x["target"], x["w"]).mean(), "smooth": smooth.mean()}


def expectation(x: Inputs, args: Args) -> Outputs:
    return {"coords": coordinates.soft_argmax(x["heatmap"], args["beta"]) / torch.tensor([9.0, 12])}


def divergence(x: Inputs, args: Args) -> Outputs:
    beta = args.get("beta", 1.0)
    label_beta = args.get("label_beta", beta) if args.get("label_softmax") else None
    factors = x["w"].clone()
    factors[:, args.get("mask", [])] *= args.get("mask_weight", 1.0)
    losses = [coordinates.bins_loss(x[axis], x[f"t{axis}"], beta, label_beta) for axis in "xy"]
    return {"loss": ((losses[0] + losses[1]) * factors).sum() / x["w"].shape[1]}


def flow(args: Args) -> coordinates.Flow:
    """The flow with the reference's weights."""
    model = coordinates.Flow()
    state = {
        key.removeprefix("flow_model."): torch.from_numpy(weight(key, tuple(shape), gain))
        for key, shape, kind, gain in args["state"]
        if kind != "ov"
    }
    model.load_state_dict(state | {"mask": model.mask})
    return model


def density(x: Inputs, args: Args) -> Outputs:
    model = flow(args)
    assert (model.mask == x["mask_flow_model_mask"]).all()
    return {"log_prob": model(x["x"])}


def likelihood(x: Inputs, args: Args) -> Outputs:
    base = args["q_distribution"] if args["residual"] else None
    losses = coordinates.residual_likelihood_loss(x["pred"], x["sigma"], x["target"], flow(args), base)
    return {"loss": (losses * x["w"]).sum() / len(losses)}


COMPUTE: dict[str, Callable[[Inputs, Args], Outputs]] = {
    "mse": squares,
    "ohkm": hardest,
    "udp": combined,
    "focal_l2": focal_l2,
    "grmi": grmi,
    "ipr": integral,
    "softargmax": expectation,
    "kl": divergence,
    "rle_flow": density,
    "rle": likelihood,
}


@pytest.mark.parametrize("case", load_ops("pose_losses"), ids=lambda case: case["name"])
def test_equals_the_reference(case: dict[str, Any]) -> None:
    name = max((prefix for prefix in COMPUTE if case["name"].startswith(prefix)), key=len)
    agrees(case, COMPUTE[name])


def test_the_flow_is_a_density() -> None:
    """Its integral over the plane is 1."""
    torch.manual_seed(0)
    model = coordinates.Flow().double()
    side = torch.linspace(-9, 9, 301, dtype=torch.float64)
    points = torch.stack(torch.meshgrid(side, side, indexing="ij"), -1).reshape(-1, 2)
    with torch.no_grad():
        total = model(points).exp().sum() * (side[1] - side[0]) ** 2
    assert total.item() == pytest.approx(1, abs=1e-4)


def test_the_distance_of_a_line_from_a_keypoint() -> None:
    keypoint = torch.tensor([[3.0, 4.0]])
    pixel = torch.tensor([[0.0, 0.0]])
    # the line along x passes 4 px below; that along the keypoint's direction meets it; the length does not matter
    for vector, distance in (((1.0, 0.0), 4.0), ((-9.0, 0.0), 4.0), ((0.6, 0.8), 0.0), ((0.0, 0.1), 3.0)):
        loss = lines.proxy_voting_loss(torch.tensor([vector]), pixel, keypoint)
        assert loss.item() == pytest.approx(max(0.0, distance - 0.5), abs=1e-6)
    lost = torch.zeros(1, 2, requires_grad=True)
    lines.proxy_voting_loss(lost, pixel, keypoint).sum().backward()
    assert lost.grad is not None and lost.grad.isfinite().all()


def test_gradients_by_finite_differences() -> None:
    torch.manual_seed(1)
    vectors = torch.randn(5, 2, dtype=torch.float64, requires_grad=True)
    pixels, keypoints = torch.randn(2, 5, 2, dtype=torch.float64).unbind()
    assert gradcheck(lambda v: lines.proxy_voting_loss(v, pixels, keypoints), vectors)
    maps = torch.randn(2, 3, 4, 5, dtype=torch.float64, requires_grad=True)
    targets, weights = torch.rand(2, 3, 4, 5, dtype=torch.float64), torch.rand(2, 3, dtype=torch.float64)
    assert gradcheck(lambda m: heatmaps.hard_keypoint_loss(m, targets, weights, 2), maps)
    assert gradcheck(lambda m: heatmaps.focal_l2_loss(m, targets), maps)
    assert gradcheck(coordinates.soft_argmax, maps)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_fp32(dtype: torch.dtype) -> None:
    torch.manual_seed(2)
    maps, targets = (torch.randn(1, 17, 64, 48) * 30).to(dtype), torch.rand(1, 17, 64, 48).to(dtype)
    weights = torch.ones(1, 17, dtype=dtype)
    exact = heatmaps.heatmap_loss(maps.float(), targets.float(), weights.float())
    assert torch.equal(heatmaps.heatmap_loss(maps, targets, weights), exact)
    assert coordinates.soft_argmax(maps).isfinite().all()


def test_unseen_keypoints_cost_nothing() -> None:
    maps = torch.randn(1, 4, 6, 5, requires_grad=True)
    loss = heatmaps.hard_keypoint_loss(maps, torch.rand(1, 4, 6, 5), torch.zeros(1, 4), 3).sum()
    assert loss == 0
    assert not torch.autograd.grad(loss, maps)[0].any()
    empty = torch.zeros(1, 2, 4, 4)
    assert discs.disc_offset_loss(torch.randn(1, 2, 2, 4, 4), torch.zeros(1, 2, 2, 4, 4), empty) == 0
