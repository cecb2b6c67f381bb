"""Files that say themselves what they are need no question."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from foreign_files import Recorded, write_foreign

from detforge.deploy import load
from detforge.deploy.card import Card
from detforge.deploy.system.errors import IncompatibleError, InputError
from detforge.export import adopt

COCO_INPUT = {"to_rgb": True, "mean": [123.675, 116.28, 103.53], "std": [58.395, 57.12, 57.375]}


def write_pipeline(folder: Path, transforms: list[dict[str, Any]], component: str, params: dict[str, Any]) -> None:
    tasks = [
        {"type": "Task", "module": "Transform", "name": "Preprocess", "transforms": transforms},
        {"type": "Task", "module": "Net", "name": "net"},
        {"type": "Task", "module": "mmx", "name": "postprocess", "component": component, "params": params},
    ]
    (folder / "pipeline.json").write_text(json.dumps({"pipeline": {"tasks": tasks}}), encoding="utf-8")


def adopted(folder: Path, outputs: dict[str, np.ndarray], **foreign: Any) -> Card:
    path = write_foreign(folder / "end2end.onnx", outputs, **foreign)
    return adopt(path, output=folder / "ours.onnx").card


DETECTOR = [
    {"type": "LoadImageFromFile", "file_client_args": {"backend": "disk"}},
    {"type": "Resize", "keep_ratio": True, "size": [320, 320]},
    {"type": "Pad", "size": [320, 320], "pad_val": {"img": [114, 114, 114]}},
    {
        "type": "Normalize",
        "to_rgb": False,
        "mean": [103.53, 116.28, 123.675],
        "std": [57.375, 57.12, 58.395],
    },
    {"type": "Pad", "size_divisor": 1},
    {"type": "DefaultFormatBundle"},
    {"type": "Collect", "keys": ["img"]},
]


def test_a_detector_of_mmdeploy_finds_what_its_runtime_found(tmp_path: Path) -> None:
    recorded = Recorded("mmdeploy")
    write_pipeline(tmp_path, DETECTOR, "ResizeBBox", {"score_thr": 0.05})
    (tmp_path / "names.txt").write_text("person\n")
    made = adopt(recorded.write(tmp_path / "end2end.onnx"), labels=tmp_path / "names.txt", output=tmp_path / "o.onnx")
    assert made.card.provenance.adopted_as == "pipeline.json of mmdeploy"
    place = made.card.input.place
    assert (place.size, place.pad.canvas, place.pad.value) == ((320, 320), (320, 320), 114)
    found = load(str(made.path), conf=0.3)(recorded.image)
    assert len(found) == len(recorded.boxes)
    order = [int(np.abs(found.boxes - box).max(1).argmin()) for box in recorded.boxes]
    assert np.abs(found.boxes[order] - recorded.boxes).max() < 1e-3
    assert np.abs(found.scores[order] - recorded.scores).max() < 1e-4


DETS = {"dets": np.zeros((1, 2, 5), np.float32), "labels": np.zeros((1, 2), np.int64)}


def test_an_image_on_sides_of_a_multiple(tmp_path: Path) -> None:
    transforms = [
        {"type": "Resize", "keep_ratio": True, "size": [1333, 800]},
        {"type": "Normalize", **COCO_INPUT},
        {"type": "Pad", "size_divisor": 32, "pad_val": {"img": 0}},
    ]
    write_pipeline(tmp_path, transforms, "ResizeBBox", {})
    (tmp_path / "names.txt").write_text("a\nb\n")
    path = write_foreign(tmp_path / "end2end.onnx", DETS, shape=("batch", 3, "height", "width"))
    card = adopt(path, labels=tmp_path / "names.txt", output=tmp_path / "ours.onnx").card
    place = card.input.place
    assert (place.by, place.size, place.pad.multiple, place.pad.canvas) == ("edges", (800, 1333), 32, None)
    assert place.pad.value is None  # 0 after the normalisation
    assert (card.input.color, card.input.mean) == ("rgb", (123.675, 116.28, 103.53))


CROP = [
    {"type": "TopDownGetBboxCenterScale", "padding": 1.2, "image_size": [192, 256]},
    {"type": "TopDownAffine", "image_size": [192, 256]},
    {"type": "Normalize", **COCO_INPUT},
]


def test_a_pose_by_bins(tmp_path: Path) -> None:
    write_pipeline(tmp_path, CROP, "SimCCLabelDecode", {"simcc_split_ratio": 2.0, "type": "SimCCLabel"})
    bins = {"simcc_x": np.ones((1, 17, 384), np.float32), "simcc_y": np.ones((1, 17, 512), np.float32)}
    card = adopted(tmp_path, bins, shape=(1, 3, 256, 192))
    assert card.form.kind == "simcc"
    assert (card.input.place.size, card.input.place.enlarge) == ((256, 192), (1.2, 1.2))


@pytest.mark.parametrize(
    ("params", "method", "blur", "spacing"),
    [
        ({"post_process": "default"}, "quarter", 11, False),
        ({"post_process": "unbiased", "modulate_kernel": 17}, "dark", 17, False),
        ({"type": "MSRAHeatmap", "unbiased": True, "blur_kernel_size": 17}, "dark", 17, False),
        ({"type": "UDPHeatmap", "blur_kernel_size": 9}, "udp", 9, True),
        ({"use_udp": True}, "udp", 11, True),
    ],
)
def test_a_pose_by_heatmaps(params: dict[str, Any], method: str, blur: int, spacing: bool, tmp_path: Path) -> None:
    transforms = [step | ({"use_udp": spacing} if step["type"] == "TopDownAffine" else {}) for step in CROP]
    write_pipeline(tmp_path, transforms, "TopdownHeatmapBaseHeadDecode", params)
    card = adopted(tmp_path, {"output": np.ones((1, 17, 64, 48), np.float32)}, shape=(1, 3, 256, 192))
    form: Any = card.form
    assert (form.method, form.blur, card.input.place.spacing, form.flip) == (method, blur, spacing, False)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "pipeline.json: not JSON"),
        ('{"pipeline": 3}', "pipeline.json: not a pipeline"),
        ('{"pipeline": {"tasks": []}}', "pipeline.tasks"),
        ('{"pipeline": {"tasks": [{"module": "Transform", "transforms": [{"type": "Warp"}]}]}}', "transform 'Warp'"),
        ('{"pipeline": {"tasks": [{"module": "Transform", "transforms": [{"type": "Resize"}]}]}}', "Resize.size"),
        ('{"pipeline": {"tasks": [{"module": "Transform", "transforms": [{"type": "Normalize"}]}]}}', "mean"),
    ],
)
def test_a_pipeline_that_is_not_understood(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "pipeline.json").write_text(text, encoding="utf-8")
    path = write_foreign(tmp_path / "end2end.onnx", DETS)
    with pytest.raises(InputError, match=words):
        adopt(path, output=tmp_path / "ours.onnx")


def test_heatmaps_of_another_kind_are_refused(tmp_path: Path) -> None:
    write_pipeline(tmp_path, CROP, "TopdownHeatmapBaseHeadDecode", {"target_type": "CombinedTarget"})
    path = write_foreign(tmp_path / "end2end.onnx", {"output": np.ones((1, 51, 64, 48), np.float32)})
    with pytest.raises(InputError, match="not supported"):
        adopt(path, output=tmp_path / "ours.onnx")


def metadata(**more: str) -> dict[str, str]:
    return {"names": "{0: 'cat', 1: 'dog'}", "stride": "32", "imgsz": "[64, 96]", **more}


@pytest.mark.parametrize(
    ("shape", "more", "kind"),
    [
        ((1, 6, 126), {"task": "detect"}, "dense"),
        ((1, 378, 7), {}, "dense"),
        ((1, 300, 6), {"task": "detect"}, "graph"),
        ((1, 56, 126), {"task": "pose", "kpt_shape": "[17, 3]", "names": "{0: 'person'}"}, "dense"),
        ((1, 13, 126), {"task": "pose", "kpt_shape": "[4, 2]", "names": "{0: 'card'}"}, "dense"),
    ],
)
def test_metadata_of_ultralytics(shape: tuple[int, ...], more: dict[str, str], kind: str, tmp_path: Path) -> None:
    card = adopted(
        tmp_path,
        {"output0": np.full(shape, 0.5, np.float32)},
        shape=("batch", 3, "height", "width"),
        metadata=metadata(**more),
    )
    assert card.form.kind == kind
    assert card.labels == (("cat", "dog") if "names" not in more else (more["names"][5:-2],))
    place = card.input.place
    assert (place.pad.canvas, place.pad.centered, place.pad.value) == ((64, 96), True, 114)
    keypoints = None if card.skeleton is None else len(card.skeleton.keypoints)
    assert keypoints == {"[17, 3]": 17, "[4, 2]": 4}.get(more.get("kpt_shape", ""))


def test_other_tasks_are_refused(tmp_path: Path) -> None:
    path = write_foreign(tmp_path / "seg.onnx", DETS, metadata=metadata(task="segment"))
    with pytest.raises(InputError, match="task 'segment' is not supported"):
        adopt(path, output=tmp_path / "ours.onnx")


PADDLE = """
arch: PicoDet
label_list: [cat, dog]
Preprocess:
- {type: Resize, interp: 1, keep_ratio: false, target_size: [64, 96]}
- {type: NormalizeImage, is_scale: true, mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225]}
- {type: Permute}
"""


def test_settings_of_paddledetection(tmp_path: Path) -> None:
    (tmp_path / "infer_cfg.yml").write_text(PADDLE, encoding="utf-8")
    outputs: dict[str, Any] = {
        "multiclass_nms3_0.tmp_0": np.array([[1, 0.9, 10, 12, 40, 44]], np.float32),
        "multiclass_nms3_0.tmp_2": np.array([1], np.int32),
    }
    shape = ("batch", 3, "height", "width")
    card = adopted(tmp_path, outputs, image="image", shape=shape, further={"scale_factor": 2})
    assert card.labels == ("cat", "dog")
    assert (card.input.place.canvas, card.input.place.keep_aspect, card.input.color) == ((64, 96), False, "rgb")
    np.testing.assert_allclose(card.input.mean, [123.675, 116.28, 103.53])
    found = load(str(tmp_path / "ours.onnx"))(np.zeros((128, 192, 3), np.uint8))
    np.testing.assert_allclose(found.boxes, [[20, 24, 80, 88]], rtol=1e-6)


def test_paddledetection_without_suppression(tmp_path: Path) -> None:
    (tmp_path / "infer_cfg.yml").write_text(PADDLE.replace("PicoDet", "YOLO"), encoding="utf-8")
    scores = np.zeros((1, 2, 5), np.float32)
    scores[0, 1, 3] = 0.9
    boxes = np.tile(np.array([10, 12, 40, 44], np.float32), (1, 5, 1))
    shape = ("batch", 3, "height", "width")
    card = adopted(tmp_path, {"tmp_3": boxes, "c": scores}, image="image", shape=shape, further={"scale_factor": 2})
    assert (card.labels, card.form.kind, card.suppress.kind) == (("cat", "dog"), "dense", "hard")
    found = load(str(tmp_path / "ours.onnx"))(np.zeros((128, 192, 3), np.uint8))
    np.testing.assert_allclose(found.boxes, [[20, 24, 80, 88]], rtol=1e-6)
    assert found.labels.tolist() == [1]
    path = write_foreign(tmp_path / "three.onnx", {"a": boxes, "b": boxes, "c": scores}, image="image", shape=shape)
    with pytest.raises(InputError, match="arch 'YOLO' with 3 outputs is not supported"):
        adopt(path, output=tmp_path / "other.onnx")


@pytest.mark.parametrize(
    "text", ["[", "3", "Preprocess: 3", "Preprocess: [{type: Warp}]", "Preprocess: [{type: Resize}]"]
)
def test_settings_that_are_not_understood(text: str, tmp_path: Path) -> None:
    (tmp_path / "infer_cfg.yml").write_text(text, encoding="utf-8")
    path = write_foreign(tmp_path / "model.onnx", DETS)
    with pytest.raises(InputError, match=r"infer_cfg\.yml"):
        adopt(path, output=tmp_path / "ours.onnx")


def test_a_file_that_says_nothing(tmp_path: Path) -> None:
    path = write_foreign(tmp_path / "model.onnx", DETS)
    with pytest.raises(IncompatibleError, match="does not say what it is"):
        adopt(path, output=tmp_path / "ours.onnx")
