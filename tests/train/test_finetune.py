"""Fine-tuning of the bundled model to a new class, and what its command refuses."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from discs import draw, draw_bars
from small_configs import NORM, SIMPLE, TRUNK, dense, new, pose, resize

from detforge.deploy.coco.annotations import read_annotations
from detforge.deploy.coco.evaluation import LEAST_SCORE, Evaluation
from detforge.deploy.inputs.crop import WarpedFrame
from detforge.deploy.inputs.geometry import Normalization
from detforge.deploy.inputs.image import read_image
from detforge.deploy.loader import load
from detforge.deploy.system.errors import IncompatibleError, InputError, UsageError
from detforge.export import export
from detforge.models.checkpoint import read_checkpoint
from detforge.models.config.text import Text, read_text
from detforge.models.config.variant import describe
from detforge.models.skeletons import unlinked
from detforge.models.zoo import find
from detforge.train.finetune.__main__ import main
from detforge.train.finetune.network import dataset_of, keypoints_of, recounted, with_classes
from detforge.train.finetune.options import FinetuneOptions
from detforge.train.finetune.pose import TurnedFrame
from detforge.train.finetune.run import finetune


def asked(folder: Path, count: int, **changes: object) -> FinetuneOptions:
    options = FinetuneOptions(
        data=draw(folder / "images", count),
        images=folder / "images",
        model="gfl_markers",
        epochs=2,
        batch=4,
        rate=2e-3,
        device="cpu",
        output=folder / "run",
    )
    return replace(options, **changes)


def precision(line: str) -> float:
    return float(line.split("AP ")[1].split(",")[0])


@pytest.mark.slow
def test_the_bundled_model_learns_a_class_from_forty_pictures(tmp_path: Path) -> None:
    lines: list[str] = []
    val = draw(tmp_path / "val", 8, seed=2)
    best = finetune(asked(tmp_path, 40, val=val, val_images=tmp_path / "val"), lines.append)
    assert precision(lines[1]) < 20
    assert max(map(precision, lines[2:4])) > 50
    assert lines[-1] == f"next: detexport --model gfl_markers --checkpoint {best}"

    path = export("gfl_markers", checkpoint=str(best), output=tmp_path / "tuned.onnx", verify="off").path
    model = load(path, device="cpu", conf=LEAST_SCORE)
    assert model.card.labels == ("target",)
    annotations = read_annotations(val, tmp_path / "val")
    evaluation = Evaluation(annotations, model.card.labels)
    for image in annotations.images:
        evaluation.add(image, model(read_image(image.file)))
    assert evaluation.accuracy().ap == pytest.approx(max(map(precision, lines[2:4])), abs=0.1)


@pytest.mark.slow
@pytest.mark.long
def test_the_bundled_pose_network_learns_other_keypoints(tmp_path: Path) -> None:
    lines: list[str] = []
    val = draw_bars(tmp_path / "val", 8, seed=2)
    options = asked(tmp_path, 2, model="corners_markers", val=val, val_images=tmp_path / "val")
    options = replace(options, data=draw_bars(tmp_path / "images", 40), epochs=10, batch=8, rate=1e-2)
    best = finetune(options, lines.append)
    assert lines[0] == "corners_markers: 2 keypoints, 40 examples, 8 images to evaluate with"
    assert precision(lines[1]) < 20
    measured = max(map(precision, lines[2:12]))
    assert measured > 50
    path = export("corners_markers", checkpoint=str(best), output=tmp_path / "tuned.onnx", verify="off").path
    model = load(path, device="cpu")
    assert model.card.skeleton.keypoints == ("head", "tail")
    annotations = read_annotations(val, tmp_path / "val")
    evaluation = Evaluation(annotations, model.card.labels, model.card.skeleton)
    for image in annotations.images:
        x, y, w, h = image.objects[0].box
        evaluation.add(image, model(read_image(image.file), boxes=[[x, y, x + w, y + h]]))
    assert evaluation.accuracy().ap == pytest.approx(measured, abs=0.1)


@pytest.mark.parametrize("spacing", [False, True])
def test_a_turned_crop_shows_keypoints_where_they_are(spacing: bool) -> None:
    image = np.zeros((90, 120, 3), np.uint8)
    image[40, 70] = 255
    frame = TurnedFrame((90, 120), (96, 96), (60, 45), (60, 60), spacing, angle=0.5)
    canvas = np.empty((3, 96, 96), np.float32)
    frame.fill(canvas, image, Normalization("bgr", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)), 1)
    light = canvas[0] / canvas[0].sum()
    steps = np.arange(96)
    seen = [(light.sum(0) * steps).sum(), (light.sum(1) * steps).sum()]
    assert frame.to_canvas(np.array([[70.0, 40.0]]))[0].tolist() == pytest.approx(seen, abs=0.1)
    plain = WarpedFrame((90, 120), (96, 96), (60, 45), (60, 60), spacing)
    straight, ours = TurnedFrame(**vars(plain)), np.empty((3, 96, 96), np.float32)
    noise = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    pixels = Normalization("rgb", (100.0, 110.0, 120.0), (50.0, 55.0, 60.0))
    plain.fill(canvas, noise, pixels, 1)
    straight.fill(ours, noise, pixels, 1)
    # OpenCV 5 places pixels exactly, the runtime in steps of 1/32.
    assert np.abs(ours - canvas).mean() < 0.05


def test_left_and_right_keypoints_are_mirrored_pairs(tmp_path: Path) -> None:
    file = draw_bars(tmp_path, 2)
    text = file.read_text(encoding="utf-8").replace('"head", "tail"', '"left_end", "right_end"')
    file.write_text(text, encoding="utf-8")
    own = find("corners_markers").skeleton
    label, skeleton = keypoints_of(read_annotations(file, tmp_path), own)
    assert (label, skeleton.keypoints, skeleton.pairs) == ("bar", ("left_end", "right_end"), ((0, 1),))
    with pytest.raises(InputError, match="no category with named keypoints"):
        keypoints_of(read_annotations(draw(tmp_path, 2), tmp_path), own)


def test_pose_networks_with_other_labels_are_refused(tmp_path: Path) -> None:
    options = replace(
        asked(tmp_path, 2, model="simcc_test", checkpoint="random"), data=draw_bars(tmp_path / "images", 2)
    )
    with pytest.raises(IncompatibleError, match="simcc_test cannot be fine-tuned; the labels of its output"):
        finetune(options)


@pytest.mark.slow
def test_an_interrupted_training_ends_as_an_uninterrupted_one(tmp_path: Path) -> None:
    whole = finetune(asked(tmp_path, 9), print)
    options = replace(asked(tmp_path, 9), output=tmp_path / "again")

    def interrupt(line: str) -> None:
        if line.startswith("epoch 2"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        finetune(options, interrupt)
    resumed: list[str] = []
    finetune(replace(options, resume=True), resumed.append)
    assert [line.split(":")[0] for line in resumed][1:-2] == ["epoch 2/2"]
    ours, theirs = (torch.load(path / "last.pth", weights_only=True) for path in (whole.parent, options.output))
    for name, value in ours["training"]["average"].items():
        torch.testing.assert_close(theirs["training"]["average"][name], value, msg=name)
    with pytest.raises(UsageError, match="had epochs 2; give the same"):
        finetune(replace(options, resume=True, epochs=3), print)
    with pytest.raises(UsageError, match="holds an earlier training; continue it with --resume"):
        finetune(options, print)
    (options.output / "last.pth").write_bytes(b"damaged")
    with pytest.raises(InputError, match="cannot be resumed"):
        finetune(replace(options, resume=True), print)


def test_classes_of_the_same_name_keep_their_weights() -> None:
    variant = find("retinanet_test")
    old = variant.build(3)
    new = with_classes(variant, old, ("cat", "dog", "cow"), ("hen", "dog"), seed=0)
    before = old.bbox_head.retina_cls.weight.unflatten(0, (-1, 3))
    after = new.bbox_head.retina_cls.weight.unflatten(0, (-1, 2))
    assert torch.equal(after[:, 1], before[:, 1])
    assert not torch.equal(after[:, 0], before[:, 0])
    assert torch.equal(new.bbox_head.retina_reg.weight, old.bbox_head.retina_reg.weight)
    assert with_classes(variant, old, ("a", "b", "c"), ("a", "b", "c"), seed=0) is old


def test_networks_without_losses_are_refused(tmp_path: Path) -> None:
    with pytest.raises(IncompatibleError, match=r"yolox_test cannot be fine-tuned.*ATSS, FCOS, GFL, Retina, VFNet"):
        finetune(asked(tmp_path, 2, model="yolox_test", checkpoint="random"))


def test_data_that_cannot_be_used(tmp_path: Path) -> None:
    options = asked(tmp_path, 2)
    with pytest.raises(UsageError, match="give --val"):
        finetune(replace(options, val_images=tmp_path))
    (tmp_path / "images" / "2.png").unlink()
    with pytest.raises(InputError, match="1 of its 2 images are missing"):
        finetune(options)
    with pytest.raises(InputError, match="one image and none to evaluate with"):
        finetune(asked(tmp_path, 1))
    assert not (tmp_path / "run").exists()


def test_the_command_names_what_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = draw(tmp_path, 2)
    arguments = ["--data", str(file), "--images", str(tmp_path), "--model", "gfl_marker", "-o", str(tmp_path / "run")]
    monkeypatch.setattr("sys.argv", ["finetune", *arguments])
    assert main() == 2
    assert "gfl_markers" in capsys.readouterr().err


def test_the_checkpoint_names_its_classes(tmp_path: Path) -> None:
    from detforge.deploy.card import Provenance
    from detforge.train.finetune.network import save

    variant = find("corners_markers")
    card = variant.card(("code",), Provenance("x", None, "fp32", {}))
    save(tmp_path / "tuned.pth", variant.build(4), card, None)
    checkpoint = read_checkpoint(tmp_path / "tuned.pth")
    assert checkpoint.labels == ("code",)
    assert checkpoint.meta["dataset_meta"]["keypoint_name2id"]["top_right"] == 1


def test_a_checkpoint_with_its_configuration_keeps_it(tmp_path: Path) -> None:
    thresholds = {"nms_pre": 500, "score_thr": 0.1, "max_per_img": 50, "nms": {"type": "nms", "iou_threshold": 0.5}}
    model = dense("GFLHead") | {"data_preprocessor": NORM, "test_cfg": thresholds}
    values = {"model": model, **new(resize(scale=(96, 64), keep_ratio=False))}
    text = "".join(f"{name} = {value!r}\n" for name, value in values.items())
    meta = {"dataset_meta": {"classes": ("cat", "dog", "cow")}}
    torch.manual_seed(0)
    network = describe(Text(values, {}), meta).variant.build(3)
    torch.save({"state_dict": network.state_dict(), "meta": {**meta, "cfg": text}}, tmp_path / "mine.pth")
    lines: list[str] = []
    options = asked(tmp_path, 3, model=None, checkpoint=str(tmp_path / "mine.pth"), epochs=1)
    best = finetune(options, lines.append)
    assert lines[-1] == f"next: detexport --checkpoint {best}"
    card = export(checkpoint=str(best), output=tmp_path / "tuned.onnx", verify="off").card
    assert card.labels == ("target",)
    assert card.input.place.size == (64, 96)


def test_a_configuration_of_a_pose_network_takes_other_keypoints() -> None:
    steps = (
        {"type": "LoadImage"},
        {"type": "GetBBoxCenterScale"},
        {"type": "TopdownAffine", "input_size": (64, 96)},
        {"type": "PackPoseInputs"},
    )
    model = pose(SIMPLE, TRUNK) | {"data_preprocessor": NORM | {"type": "PoseDataPreprocessor", "pad_size_divisor": 1}}
    values = {"model": model, "test_dataloader": {"dataset": {"type": "CocoDataset", "pipeline": steps}}}
    text = "".join(f"{name} = {value!r}\n" for name, value in values.items())
    five, two = (dataset_of(("bird",), unlinked(tuple("abcde"[:count]))) for count in (5, 2))
    variant = describe(read_text(text), {"dataset_meta": five}).variant
    found, changed = recounted(variant, text, 5, ("a", "b"), two)
    network = with_classes(found, variant.build(5), tuple("abcde"), ("a", "b"), 0)
    assert network.head.final_layer.weight.shape[0] == 2
    assert "'out_channels': 2" in changed
    with pytest.raises(InputError, match="the configuration does not take 2 instead of 7 as out_channels"):
        recounted(variant, text, 7, ("a", "b"), two)
