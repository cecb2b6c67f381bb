"""Suppression against mmcv's nms and batched_nms."""

import numpy as np
import pytest
from found import detections
from golden.reader import load_ops

from detforge.deploy.contract.suppression import Suppress
from detforge.deploy.suppress import suppress

CASES = {case["name"]: case for case in load_ops("nms")}


@pytest.mark.parametrize("name", CASES)
def test_equals_mmcv(name: str) -> None:
    case = CASES[name]
    given, options = case["in"], case["args"].get("nms_cfg", case["args"])
    labels = given.get("idxs", np.zeros(len(given["boxes"]), np.int64))
    spec = Suppress(iou=options["iou_threshold"], max_det=options.get("max_num", 1000))
    kept = suppress(detections(given["boxes"], given["scores"], labels), spec)
    np.testing.assert_array_equal(kept.boxes, given["boxes"][case["out"]["keep"]])
    np.testing.assert_array_equal(kept.scores, case["out"]["dets"][:, 4])
