"""Pose networks through the whole door: exported, verified, and run by the runtime as PyTorch runs them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from lively import cases, with_new_parts

from detforge.deploy import load
from detforge.deploy.backends.ort import OrtBackend
from detforge.deploy.card import METADATA_KEY, Card, Provenance
from detforge.deploy.forms import Dense
from detforge.deploy.inputs.resize import Resize
from detforge.deploy.loader import assemble
from detforge.deploy.system.errors import InputError, UsageError
from detforge.export import cli, export
from detforge.export.photographs import make_up
from detforge.models.checkpoint import random_model
from detforge.models.zoo import VARIANTS, find

pytestmark = pytest.mark.slow

NAMES = [
    name
    for name, variant in VARIANTS.items()
    if name.endswith("_test") and variant.form.has_keypoints and not variant.other_inputs
]
# All in half precision, and in single precision the first of each form. Long tests are those in single precision but
# one, those of networks whose backbone alone is new, and those that take longest.
LONGEST = ("simplepose", "cid", "dekr", "openpose", "openpose25", "repose", "ae", "higherhrnet", "pifpaf")
SINGLE = {VARIANTS[name].form.kind: name for name in reversed(NAMES)}.values()
SHORT = {(NAMES[0], "fp32"), *((name, "fp16") for name in with_new_parts(NAMES))} - {
    (f"{name}_test", "fp16") for name in LONGEST
}
CASES = cases([*((name, "fp32") for name in SINGLE), *((name, "fp16") for name in NAMES)], SHORT)
IMAGE = make_up((120, 160), 3)
BOXES = np.array([[20, 10, 90, 115], [-30, 40, 50, 150]], np.float32)


class TorchBackend:
    """The network in PyTorch as a backend."""

    def __init__(self, name: str, ports: OrtBackend) -> None:
        self.model = random_model(find(name))
        self.inputs, self.outputs, self.metadata = ports.inputs, ports.outputs, {}

    def run(self, feeds):
        with torch.inference_mode():
            return {name: value.numpy() for name, value in self.model(torch.from_numpy(feeds["image"])).items()}


@pytest.fixture(scope="module", params=CASES, ids="-".join)
def report(request, tmp_path_factory):
    """The export of a tiny variant, every axis free that may be, verified."""
    name, precision = request.param
    path = tmp_path_factory.mktemp("pose") / f"{name}.onnx"
    return export(name, checkpoint="random", precision=precision, output=path)


def test_the_file_agrees_with_pytorch(report):
    comparison = report.comparison
    assert comparison.problem is None
    # SPM has a map of people's centres and none of keypoints.
    per_image = 1 if report.card.model == "spm_test" else len(report.card.skeleton.keypoints)
    assert comparison.detections >= 2 * per_image
    assert {shape[0] for shape in comparison.runs} == {1, 2}
    # CID's graph picks pixels: in half precision one may jump to another that is as high.
    least = 0.998 if report.card.form.kind == "people" else 0.999
    assert all(row.cosine > least for row in comparison.outputs.values())
    if report.card.provenance.precision == "fp32":
        assert comparison.match_rate == 1.0


def test_the_card_says_what_a_pose_is(report):
    card = Card.from_json(OrtBackend(str(report.path)).metadata[METADATA_KEY])
    assert card == report.card
    variant = find(card.model)
    assert card.form.task == "pose" and card.labels == variant.labels
    assert card.skeleton == variant.skeleton


def test_keypoints_are_those_of_pytorch(report):
    model = load(str(report.path), conf=0.0)
    reference = TorchBackend(report.card.model, OrtBackend(str(report.path)))
    twin = assemble(reference, model.card)
    if not model.takes_boxes:
        found, expected = model(IMAGE), twin(IMAGE)
        assert abs(len(found) - len(expected)) <= 2  # who is a person hangs on differences of nearly equal tags
        return
    found, expected = model(IMAGE, BOXES), twin(IMAGE, BOXES)
    assert found.keypoints.shape == (2, len(model.card.skeleton.keypoints), 3) and np.isfinite(found.keypoints).all()
    if report.card.provenance.precision == "fp16":
        return  # the maps of random weights are so flat that half precision moves their peaks
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-5, rtol=1e-4)
    distance = np.abs(found.keypoints - expected.keypoints)[..., :2].max(-1)
    assert (distance < 0.01).mean() > 0.95


def test_a_crop_of_another_size(tmp_path):
    report = export("simplebaseline_test", checkpoint="random", imgsz=(64, 128), output=tmp_path / "m.onnx")
    assert report.card.input.place.canvas == (64, 128) and report.card.form.runs_on == "crops"
    assert load(str(report.path))(IMAGE, BOXES).keypoints.shape == (2, 17, 3)


@pytest.mark.parametrize("name", ["simcc_test", "higherhrnet_test"])
def test_networks_that_have_one_size(name, tmp_path):
    with pytest.raises(UsageError, match="imgsz"):
        export(name, checkpoint="random", imgsz=(64, 128), output=tmp_path / "m.onnx")


@pytest.mark.parametrize(
    ("name", "precision"),
    [
        pytest.param("posefix_test", "fp32", marks=pytest.mark.long),
        ("posefix_test", "fp16"),
        pytest.param("hintpose_test", "fp16", marks=pytest.mark.long),
    ],
)
def test_a_refinement_runs_behind_a_pose_network(name, precision, tmp_path):
    poses, refiner = tmp_path / "poses.onnx", tmp_path / "refiner.onnx"
    export("simplebaseline_test", checkpoint="random", verify="off", output=poses)
    report = export(name, checkpoint="random", precision=precision, output=refiner)
    assert report.comparison.problem is None
    before, after = load(str(poses))(IMAGE, BOXES), load(str(poses), refine=str(refiner))(IMAGE, BOXES)
    assert after.keypoints.shape == (2, 17, 3) and np.isfinite(after.keypoints).all()
    np.testing.assert_array_equal(after.keypoints[..., 2], before.keypoints[..., 2])
    assert (after.keypoints[..., :2] != before.keypoints[..., :2]).any()
    with pytest.raises(UsageError, match="give them with"):
        load(str(refiner))(IMAGE, BOXES)
    with pytest.raises(UsageError, match="does not refine poses"):
        load(str(poses), refine=str(poses))


def own_keypoints(count: int, path: Path) -> Path:
    torch.save(find("simplebaseline_test").build(count).state_dict(), path)
    return path


def test_keypoints_of_the_users_own(tmp_path):
    """As many as the checkpoint has, by the names of a file or numbered; nobody knows what a mirror exchanges."""
    weights = own_keypoints(3, tmp_path / "own.pth")
    report = export("simplebaseline_test", checkpoint=str(weights), verify="off", output=tmp_path / "m.onnx")
    assert report.card.skeleton.keypoints == ("keypoint_0", "keypoint_1", "keypoint_2")
    assert not report.card.form.flip and not report.card.skeleton.pairs
    (tmp_path / "names.txt").write_text("tip\nbase\ntail\n")
    options = {"checkpoint": str(weights), "verify": "off", "output": tmp_path / "m.onnx"}
    report = export("simplebaseline_test", labels=tmp_path / "names.txt", **options)
    assert report.card.skeleton.keypoints == ("tip", "base", "tail")
    assert load(str(report.path))(IMAGE, BOXES).keypoints.shape == (2, 3, 3)
    (tmp_path / "names.txt").write_text("tip\n")
    with pytest.raises(InputError, match="1 labels, but the model has 3 keypoints"):
        export("simplebaseline_test", labels=tmp_path / "names.txt", **options)


def test_suppression_in_the_file_is_for_detectors(tmp_path):
    with pytest.raises(UsageError, match="decoded at run time"):
        export("hrnet_test", checkpoint="random", nms="graph", output=tmp_path / "m.onnx")


def test_the_command(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["--model", "simplebaseline_test", "--checkpoint", "random", "--fp16"]) == 0
    out = capsys.readouterr().out
    assert "simplebaseline_test, fp16, 17 keypoints" in out
    assert "next: detinfer image.jpg --model DETECTOR.onnx --pose-model exports/simplebaseline_test-fp16.onnx" in out


def test_a_wrong_card_is_no_card(tmp_path):
    """A crop's decoder on whole images, or a pose without a skeleton, is refused when the Card is made."""
    card = find("simplebaseline_test").card(("person",), Provenance("none", None, "fp32", {}))
    whole = replace(card.input, place=Resize((64, 64)))
    for change in ({"skeleton": None}, {"inputs": (whole,)}, {"form": Dense((8,))}):
        with pytest.raises(ValueError, match="must hold"):
            replace(card, **change)
