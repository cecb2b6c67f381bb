"""detexport --checkpoint mine.pth, and nothing else."""

import pytest
import torch
from own_checkpoints import META, config, save, text_of
from small_configs import dense

from detforge.deploy.system.errors import InputError, UsageError
from detforge.export import export
from detforge.export.cli import main
from detforge.export.options import ExportOptions
from detforge.export.source import choose
from detforge.models.checkpoint import Checkpoint, fitting
from detforge.models.zoo import find, gfl


def test_everything_follows_the_configuration(tmp_path, capsys):
    file = save(tmp_path / "mine.pth")
    assert main(["--checkpoint", file, "--verify", "off", "-o", str(tmp_path / "m.onnx")]) == 0
    told = capsys.readouterr().out
    for words in ("GFLHead on ResNet-18", "64x96 px", "3: cat, dog, cow", "score 0.1, hard NMS at 0.5, 50 an image"):
        assert words in told
    exported = export(checkpoint=file, verify="off", output=tmp_path / "n.onnx")
    card = exported.card
    assert card.labels == ("cat", "dog", "cow")
    assert (card.input.place.size, card.input.place.keep_aspect) == ((64, 96), False)
    assert (card.suppress.conf, card.suppress.iou, card.suppress.max_det, card.form.top_k) == (0.1, 0.5, 50, 500)


def test_a_dry_run_writes_nothing(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["--checkpoint", save(tmp_path / "mine.pth"), "--dry-run"]) == 0
    assert "GFLHead on ResNet-18" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["mine.pth"]


def test_configurations_of_other_frameworks_are_refused_by_name(tmp_path):
    (tmp_path / "config.yaml").write_text("MODEL:\n  META_ARCHITECTURE: PanopticFPN\n")
    file = save(tmp_path / "mine.pth", text="")
    with pytest.raises(InputError, match=r"config\.yaml: MODEL\.META_ARCHITECTURE is 'PanopticFPN'; supported: "):
        choose(None, ExportOptions(checkpoint=file, config=tmp_path / "config.yaml"))


def _circle():
    circle = {}
    circle["again"] = circle
    return circle


@pytest.mark.parametrize(
    ("text", "meta"),
    [
        ("import os\nos.system('touch RAN')\n", META),
        ("model = __import__('os').system('touch RAN')\n", META),
        ("model = " + "[" * 5000 + "]" * 5000 + "\n", META),
        ("model = " + "-" * 100_000 + "1\n", META),
        ("a = 1\n" * 2_000_000, META),
        ("model = " + "9" * 5000 + "\n", META),
        ("model = 1\0\n", META),
        ("model = '\ud800'\n", META),
        (None, {"dataset_meta": {"keypoint_name2id": _circle()}}),
    ],
)
def test_hostile_texts_end_in_one_line_and_run_nothing(tmp_path, capsys, monkeypatch, text, meta):
    monkeypatch.chdir(tmp_path)
    file = save(tmp_path / "mine.pth", text=text, meta=meta)
    code = main(["--checkpoint", file, "--dry-run"])
    assert code == 3 or text is None  # a detector needs no keypoints
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1  # of a dry run, the time of its step
    assert "Traceback" not in error
    assert [path.name for path in tmp_path.iterdir()] == ["mine.pth"]


def test_weights_of_torchvision_need_no_configuration(tmp_path, capsys):
    variant = find("retinanet_torchvision_test")
    torch.manual_seed(0)
    state = variant.build(5).state_dict()
    theirs = {}
    for key, value in state.items():
        renamed = next((old for old in torchvision_names() if key.startswith(old[1])), None)
        theirs[key if renamed is None else renamed[0] + key.removeprefix(renamed[1])] = value
    assert "backbone.fpn.inner_blocks.0.0.weight" in theirs
    torch.save({"model": theirs, "epoch": 3}, tmp_path / "model_3.pth")
    assert main(["--checkpoint", str(tmp_path / "model_3.pth"), "--dry-run"]) == 0
    told = capsys.readouterr().out
    assert "retinanet_torchvision_test" in told
    assert "800-1333 px" in told


def torchvision_names():
    """What torchvision's names and ours begin with, the newer names first."""
    return [(old.removeprefix("^"), new) for old, new in find("retinanet_torchvision_test").mapping.items()]


def test_a_configuration_beside_a_stripped_checkpoint(tmp_path):
    file = save(tmp_path / "mine.pth", text="")
    (tmp_path / "flat.py").write_text(text_of(config()), encoding="utf-8-sig")
    source = choose(None, ExportOptions(checkpoint=file, config=tmp_path / "flat.py"))
    assert source.variant.input.place.size == (64, 96)
    for name in ("none.py", "."):
        with pytest.raises(InputError, match="the configuration cannot be read"):
            choose(None, ExportOptions(checkpoint=file, config=tmp_path / name))


def test_a_configuration_wins_over_a_name_and_says_where(tmp_path):
    file = save(tmp_path / "mine.pth")
    source = choose("gfl_test", ExportOptions(checkpoint=file))
    assert source.variant.name == "gfl_resnet18"
    assert "suppress.conf: 0.1, not 0.25" in source.differences
    assert "input.place.size: (64, 96), not (800, 1333)" in source.differences
    assert source.differences[0].startswith("network: GFLHead on ResNet-18, not ")
    named = choose("gfl_test", ExportOptions(checkpoint=file, ignore_config=True))
    assert (named.variant, named.differences) == (find("gfl_test"), ())


def test_a_named_model_does_without_a_configuration_that_is_not_supported(tmp_path):
    file = save(tmp_path / "mine.pth", text="model = dict(type='YuNet')")
    with pytest.raises(InputError, match="supported networks") as unnamed:
        choose(None, ExportOptions(checkpoint=file))
    assert "ignore" not in str(unnamed.value)
    with pytest.raises(InputError, match="export gfl_test without it by ignore_config"):
        choose("gfl_test", ExportOptions(checkpoint=file))


def test_a_configuration_of_another_program_is_not_read_where_the_weights_fit(tmp_path):
    """As in the checkpoints of libfacedetection."""
    variant, file = find("yunet_test"), tmp_path / "yunet.pth"
    meta = {"CLASSES": ("face",), "config": "model = dict(type='YuNet')"}
    torch.save({"state_dict": variant.build(1).state_dict(), "meta": meta}, file)
    with pytest.raises(InputError, match=r"type is 'YuNet'.*its weights fit yunet_test; choose with --model"):
        choose(None, ExportOptions(checkpoint=file))
    with pytest.warns(UserWarning, match=r"is not read.*thresholds are those of yunet_test"):
        source = choose("yunet_test", ExportOptions(checkpoint=file))
    assert (source.variant, source.facts) == (variant, ())
    (tmp_path / "given.py").write_text(meta["config"])
    with pytest.raises(InputError, match=r"given\.py.*supported networks"):
        choose("yunet_test", ExportOptions(checkpoint=file, config=tmp_path / "given.py"))


def test_without_a_configuration_the_weights_name_candidates(tmp_path):
    torch.manual_seed(0)
    torch.save({"state_dict": find("gfl_test").build(2).state_dict()}, tmp_path / "mine.pth")
    with pytest.raises(
        UsageError, match=r"mine\.pth: the checkpoint has no configuration; its weights fit gfl_test; choose with"
    ):
        choose(None, ExportOptions(checkpoint=str(tmp_path / "mine.pth")))
    with torch.device("meta"):  # a network that replaces a layer of a shape that no weight has
        state = find("fpt_test").build(2).state_dict()
    assert fitting((find("gfl_test"), find("fpt_test")), Checkpoint(state, "", None, None)) == [find("fpt_test")]
    with pytest.raises(UsageError, match="its weights fit no model"):
        choose(None, ExportOptions(checkpoint=save(tmp_path / "other.pth", text="")))


def test_a_name_or_a_checkpoint_is_needed():
    with pytest.raises(UsageError, match="model is missing"):
        export()
    with pytest.raises(UsageError, match="model is missing"):
        export(checkpoint="random")
    with pytest.raises(UsageError, match="belongs to a checkpoint"):
        export("gfl_test", config="flat.py")


def test_weights_that_do_not_fit_their_configuration_are_refused(tmp_path):
    wide = config(bbox_head=dense("GFLHead", reg_max=8)["bbox_head"])
    with pytest.raises(InputError, match=r"mine\.pth: does not fit gfl_resnet18; bbox_head.gfl_reg.*--config FILE"):
        export(checkpoint=save(tmp_path / "mine.pth", wide), verify="off", output=tmp_path / "m.onnx")
    more = config(bbox_head=dense("GFLHead", num_classes=5)["bbox_head"])
    with pytest.raises(InputError, match="has 5 classes or keypoints and the weights 3"):
        export(checkpoint=save(tmp_path / "mine.pth", more), verify="off", output=tmp_path / "m.onnx")
    assert not (tmp_path / "m.onnx").exists()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("import os\nos.system('touch ran')\n", "line 1: it imports"),
        ("model = __import__('os').system('touch ran')\n", "model: line 1: a Call is a call"),
        ("model = dict(" * 5000, "not valid Python"),
        ("a = " + "-" * 500_000 + "1", "cannot be parsed"),
        ("x = 1\n" * 2_000_000, "it has 12000000 characters"),
        ("model = dict(type='GFL', **{'a\\n\\x1b[31m': 1})\n", "a Call is a call"),
        ("model = {'type': 'FasterRCNN\\n\\x1b[31m'}\n", r"model.type is 'FasterRCNN\n\x1b[31m'; supported"),
        ("_base_ = 'a.py'\n", "line 1: it inherits"),
        ("\0", "null bytes"),
    ],
)
def test_hostile_texts_are_one_line_and_run_nothing(text, words, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = save(tmp_path / "mine.pth", text=text)
    assert main(["--checkpoint", file]) == 3
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1
    assert "\x1b" not in error
    assert [path.name for path in tmp_path.iterdir()] == ["mine.pth"]


def test_a_key_of_the_file_is_shown_safely(tmp_path, capsys):
    values = config()
    values["model"]["bbox_head"]["a\n\x1b[31m"] = 1
    assert main(["--checkpoint", save(tmp_path / "mine.pth", values)]) == 3
    error = capsys.readouterr().err
    assert r"model.bbox_head.'a\n\x1b[31m' is 1" in error
    assert error.count("\n") == 1


def test_a_named_model_without_a_configuration_is_exported_as_before(tmp_path):
    torch.manual_seed(0)
    torch.save({"state_dict": gfl.VARIANTS[-2].build(2).state_dict()}, tmp_path / "c.pth")
    source = choose("gfl_test", ExportOptions(checkpoint=str(tmp_path / "c.pth")))
    assert (source.variant, source.facts, source.differences) == (find("gfl_test"), (), ())


def test_another_normalisation_is_refused(tmp_path):
    """Early checkpoints of OpenMMLab 3.x keep the mean and std of their images beside the weights."""
    state = find("hrnet_test").build(17).state_dict()
    mean, std = (
        torch.tensor(values).reshape(3, 1, 1) for values in ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
    )
    state |= {"data_preprocessor.mean": mean, "data_preprocessor.std": std}
    torch.save({"state_dict": state}, tmp_path / "c.pth")
    assert choose("hrnet_test", ExportOptions(checkpoint=tmp_path / "c.pth")).variant == find("hrnet_test")
    torch.save({"state_dict": state | {"data_preprocessor.mean": mean.flip(0)}}, tmp_path / "c.pth")
    with pytest.raises(InputError, match=r"c\.pth: its images had the mean 103\.53 116\.28 123\.675, and"):
        choose("hrnet_test", ExportOptions(checkpoint=tmp_path / "c.pth"))
    assert choose("hrnet_test", ExportOptions(checkpoint=tmp_path / "c.pth", ignore_config=True))
