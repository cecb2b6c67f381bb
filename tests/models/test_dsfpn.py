"""DSFPN's second stage against its definition, since its authors have published no weights."""

import numpy as np
import torch

from detforge.models.heads.bbox import SplitBoxHead


def test_classes_and_boxes_have_layers_of_their_own() -> None:
    torch.manual_seed(0)
    head = SplitBoxHead(3, 4, size=2, width=5, agnostic=True).double()
    for parameter in head.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    weights = {name: value.detach().numpy() for name, value in head.named_parameters()}
    features = np.random.default_rng(0).normal(size=(2, 6, 4, 2, 2))
    regions = np.float64([[[10, 20, 50, 40], [0, 0, 30, 90]]]).repeat(3, 1).repeat(2, 0)

    def layer(x: np.ndarray, name: str) -> np.ndarray:
        return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    def branch(name: str) -> np.ndarray:
        hidden = np.maximum(layer(features.reshape(2, 6, 16), f"{name}.0"), 0)
        return np.maximum(layer(hidden, f"{name}.1"), 0)

    with torch.inference_mode():
        logits = head(torch.from_numpy(features))
        scores = head.scores(logits).numpy()
        boxes = head.boxes(logits, torch.from_numpy(regions)).numpy()

    odds = np.exp(layer(branch("shared_fcs"), "fc_cls"))
    np.testing.assert_allclose(scores, (odds / odds.sum(-1, keepdims=True))[..., :3], atol=1e-6)
    dx, dy, dw, dh = np.moveaxis(layer(branch("reg_fcs"), "fc_reg") * (0.1, 0.1, 0.2, 0.2), -1, 0)
    sides = regions[..., 2:] - regions[..., :2]
    centres = (regions[..., 2:] + regions[..., :2]) / 2 + np.stack((dx, dy), -1) * sides
    half = sides * np.exp(np.stack((dw, dh), -1)) / 2
    np.testing.assert_allclose(
        boxes[:, :, 0], np.concatenate((centres - half, centres + half), -1), rtol=1e-5, atol=1e-4
    )
