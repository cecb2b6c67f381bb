"""Checkpoints of a small network, as training leaves them."""

import torch
from small_configs import NORM, dense, new, resize

from detforge.models.config.text import Text
from detforge.models.config.variant import describe

TEST = {"nms_pre": 500, "score_thr": 0.1, "max_per_img": 50, "nms": {"type": "nms", "iou_threshold": 0.5}}
META = {"dataset_meta": {"classes": ("cat", "dog", "cow")}}


def config(**changes):
    model = dense("GFLHead") | {"test_cfg": TEST, "data_preprocessor": NORM} | changes
    return {"model": model, **new(resize(scale=(96, 64), keep_ratio=False))}


def text_of(values):
    return "".join(f"{name} = {value!r}\n" for name, value in values.items())


def save(path, values=None, text=None, meta=META):
    """A checkpoint of the small network, with what it says of itself."""
    values = values or config()
    torch.manual_seed(0)
    network = describe(Text(config(), {}), META).variant.build(3)
    written = {} if text == "" else {"cfg": text or text_of(values)}
    torch.save({"state_dict": network.state_dict(), "meta": {**meta, **written}}, path)
    return str(path)
