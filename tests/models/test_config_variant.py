"""From a whole configuration to a variant: real ones, old ones, thresholds, keypoints and what is refused."""

from dataclasses import asdict

import pytest
import torch
from golden.reader import load_ops
from small_configs import DECODER, LOAD, MEAN, NORM, PACK, SIMPLE, STD, TRUNK, dense, new, old, pose, resize

from detforge.deploy.contract.suppression import Suppress
from detforge.deploy.inputs.crop import Crop
from detforge.deploy.inputs.resize import Pad, Resize
from detforge.models.checkpoint import Checkpoint, fits
from detforge.models.config.text import ConfigError, Text, read_text
from detforge.models.config.variant import describe

REAL = {case["name"]: case["args"] for case in load_ops("configurations")}

EDGES = Resize((800, 1333), "edges", pad=Pad(multiple=32))
EXPECTED = {
    "c02b_640fix": (Resize((640, 640), keep_aspect=False, pad=Pad(multiple=32)), Suppress(conf=0.05)),
    "c03b_ret_6anchors": (EDGES, Suppress(conf=0.05, iou=0.5)),
    "c04a_narrow": (EDGES, Suppress(conf=0.05)),
    "c05b_x50": (EDGES, Suppress(conf=0.05)),
    "c05h_gfl_caffe": (EDGES, Suppress(conf=0.05)),
    "c06a_testcfg": (EDGES, Suppress(conf=0.2, iou=0.3, max_det=300)),
    "c07d_fcos_torch": (EDGES, Suppress(conf=0.05, iou=0.5)),
    "c08a_atss": (EDGES, Suppress(conf=0.05)),
    "c12b_hrnet21": (Crop((384, 288), (1.25, 1.25), multiple=32), None),
    "c13a_rtm26": (Crop((256, 192), (1.25, 1.25), multiple=32), None),
}
TEST = {"nms_pre": 1000, "min_bbox_size": 0, "score_thr": 0.05, "max_per_img": 100}
TEST |= {"nms": {"type": "nms", "iou_threshold": 0.6}}
META = {"dataset_meta": {"classes": ("a", "b", "c")}}


def described(model, data, meta=META, **more):
    return describe(Text({"model": model, **data, **more}, {}), meta)


def detector(test=TEST, **changes):
    return dense("GFLHead") | {"test_cfg": test, "data_preprocessor": NORM} | changes


@pytest.mark.parametrize("name", sorted(REAL))
def test_real_checkpoints_are_what_they_say(name):
    case = REAL[name]
    found = describe(read_text(case["cfg"]), {**case["meta"], "cfg": case["cfg"]}).variant
    place, suppress = EXPECTED[name]
    assert found.input.place == place
    if suppress is not None:
        assert found.suppress == suppress
        assert found.labels == ("red car", "行人", "big dog")
    color = ("bgr", (103.53, 116.28, 123.675), (1, 1, 1)) if "caffe" in name else ("rgb", MEAN, STD)
    assert (found.input.color, found.input.mean, found.input.std) == color
    with torch.device("meta"):
        state = {key: torch.empty(shape) for key, shape in case["state"].items()}
    assert fits(found, Checkpoint(state, name, None, None))


def test_keypoints_of_a_real_checkpoint():
    case = REAL["c13a_rtm26"]
    variant = describe(read_text(case["cfg"]), case["meta"]).variant
    assert variant.form.flip
    names = variant.skeleton.keypoints
    assert len(names) == 26
    assert [(names[i], names[j]) for i, j in variant.skeleton.pairs][-1] == ("left_heel", "right_heel")
    assert len(variant.skeleton.pairs) == 11
    hands = describe(read_text(REAL["c12b_hrnet21"]["cfg"]), REAL["c12b_hrnet21"]["meta"]).variant
    assert (hands.form.flip, hands.form.shift, hands.skeleton.pairs) == (True, 1.0, ())


def test_a_detector_of_mmdet_2():
    norm = {"type": "Normalize", "mean": MEAN, "std": STD, "to_rgb": True}
    steps = ({"type": "Resize", "keep_ratio": True}, norm, {"type": "Pad", "size_divisor": 32})
    model = dense("GFLHead") | {"test_cfg": TEST}
    meta = {"CLASSES": ("a", "b", "c")}
    found, expected = described(model, old(*steps), meta).variant, described(detector(), new(resize())).variant
    assert (found.input, found.suppress, found.form) == (expected.input, expected.suppress, expected.form)
    assert found.labels == expected.labels
    ancient = described(dense("GFLHead"), old(*steps), meta, test_cfg=TEST, train_cfg={"assigner": 1}).variant
    assert ancient.suppress == expected.suppress


@pytest.mark.parametrize(
    ("changes", "suppress", "top_k"),
    [
        ({}, {"kind": "hard", "conf": 0.05, "iou": 0.6, "max_det": 100}, 1000),
        ({"nms_pre": -1, "max_per_img": -1, "score_thr": 0}, {"conf": 0.0, "max_det": 100_000}, 100_000),
        ({"nms": {"iou_thr": 0.5}}, {"kind": "hard", "iou": 0.5}, 1000),
        ({"nms": {"type": "mmcv.ops.nms", "iou_threshold": 0, "class_agnostic": True}}, {"class_agnostic": True}, 1000),
        ({"nms": {"type": "soft_nms"}}, {"kind": "linear", "conf": 0.05, "iou": 0.3, "floor": 1e-3}, 1000),
        (
            {"nms": {"type": "soft_nms", "method": "gaussian", "sigma": 0.4, "min_score": 0.1}},
            {"kind": "gaussian", "sigma": 0.4, "conf": 0.05, "floor": 0.1},
            1000,
        ),
    ],
)  # fmt: skip
def test_thresholds(changes, suppress, top_k):
    variant = described(detector(TEST | changes), new(resize())).variant
    found = asdict(variant.suppress)
    assert {key: found[key] for key in suppress} == suppress
    assert variant.form.top_k == top_k


def person(**changes):
    """dataset_meta of three keypoints, two of which change places in a mirror."""
    meta = {
        "keypoint_name2id": {"left": 1, "nose": 0, "right": 2},
        "flip_indices": [0, 2, 1],
        "skeleton_links": [[0, 1], [0, 2]],
        "sigmas": [0.02, 0.03, 0.03],
        "keypoint_colors": [[255, 0, 1], [2, 3, 4], [5, 6, 7]],
        "skeleton_link_colors": [[8, 9, 10], [11, 12, 13]],
    }
    return {"dataset_meta": meta | changes}


def crops(**affine):
    steps = (
        {"type": "LoadImage"},
        {"type": "GetBBoxCenterScale"},
        {"type": "TopdownAffine", "input_size": (64, 96)} | affine,
    )
    return {"test_dataloader": {"dataset": {"pipeline": (*steps, {"type": "PackPoseInputs"})}}}


def network(test, **head):
    preprocessor = {"type": "PoseDataPreprocessor", "mean": MEAN, "std": STD, "bgr_to_rgb": True}
    model = pose(SIMPLE | {"out_channels": 3} | head, TRUNK)
    return model | {"test_cfg": test, "data_preprocessor": preprocessor}


def test_a_pose_network():
    variant = described(network({"flip_test": True}), crops(), person()).variant
    skeleton = variant.skeleton
    assert skeleton.keypoints == ("nose", "left", "right")
    assert (skeleton.pairs, skeleton.links, skeleton.sigmas) == (((1, 2),), ((0, 1), (0, 2)), (0.02, 0.03, 0.03))
    assert skeleton.colors == ((255, 0, 1), (2, 3, 4), (5, 6, 7))
    assert skeleton.link_colors == ((8, 9, 10), (11, 12, 13))
    assert (variant.form.flip, variant.form.shift) == (True, 0.0)
    assert not described(network({}), crops(), person()).variant.form.flip
    shifted = described(network({"flip_test": True, "shift_heatmap": True}), crops(), person()).variant
    assert shifted.form.shift == 1.0


def test_offsets_of_udp():
    codec = {"type": "UDPHeatmap", "heatmap_type": "combined", "input_size": (64, 96), "heatmap_size": (16, 24)}
    test = {"flip_test": True, "flip_mode": "udp_combined"}
    model = network(test, decoder=codec, out_channels=9)
    variant = described(model, crops(use_udp=True), person()).variant
    assert (variant.form.kind, variant.form.spacing, variant.input.place.spacing) == ("offsets", None, True)
    form = described(model, crops(use_udp=False), person()).variant.form
    assert form.spacing is True
    form = described(network({}), crops(use_udp=True), person()).variant.form
    assert form.spacing is False
    with pytest.raises(ConfigError, match=r"model\.test_cfg\.flip_mode is 'heatmap'"):
        described(network({"flip_test": True}, decoder=codec, out_channels=9), crops(use_udp=True), person())


OLD_INFO = {
    "keypoint_info": {
        0: {"name": "nose", "id": 0, "color": (1, 2, 3), "type": "upper", "swap": ""},
        1: {"name": "left", "id": 1, "color": (1, 2, 3), "type": "upper", "swap": "right"},
        2: {"name": "right", "id": 2, "color": (1, 2, 3), "type": "upper", "swap": "left"},
    },
    "skeleton_info": {0: {"link": ("nose", "left"), "id": 0, "color": (1, 2, 3)}},
    "joint_weights": (1.0, 1.0, 1.0),
    "sigmas": (0.02, 0.03, 0.03),
}
CPM_TRUNK = {"type": "CPM", "in_channels": 3, "out_channels": 3, "feat_channels": 16, "middle_channels": 8}
CPM_TRUNK |= {"num_stages": 2}
OLD_HEAD = {"type": "TopdownHeatmapSimpleHead", "in_channels": 64, "out_channels": 3, "num_deconv_layers": 3}
OLD_HEAD |= {"num_deconv_filters": (16, 16, 16), "num_deconv_kernels": (4, 4, 4), "extra": {"final_conv_kernel": 1}}
OLD_HEAD |= {"loss_keypoint": {"type": "JointsMSELoss"}}


def mmpose0(test, **head):
    steps = ({"type": "LoadImageFromFile"}, {"type": "TopDownAffine"}, {"type": "ToTensor"})
    norm = {"type": "NormalizeTensor", "mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
    model = {
        "type": "TopDown",
        "pretrained": None,
        "backbone": TRUNK,
        "keypoint_head": OLD_HEAD | head,
        "test_cfg": test,
    }
    data = {"test": {"pipeline": (*steps, norm, {"type": "Collect"}), "dataset_info": OLD_INFO}}
    return model, {"data": data, "data_cfg": {"image_size": (64, 96), "heatmap_size": (16, 24), "num_joints": 3}}


@pytest.mark.parametrize(
    ("test", "form"),
    [
        ({"flip_test": True, "post_process": "default", "shift_heatmap": True}, ("quarter", True, 1.0)),
        ({"flip_test": True, "post_process": True}, ("quarter", True, 0.0)),
        ({"flip_test": False, "post_process": "unbiased", "modulate_kernel": 17}, ("dark", False, 0.0)),
        ({"post_process": "default", "unbiased_decoding": True}, ("dark", True, 0.0)),
    ],
)
def test_a_pose_network_of_mmpose_0(test, form):
    variant = described(*mmpose0(test), {}).variant
    assert (variant.form.method, variant.form.flip, variant.form.shift) == form
    assert variant.input.mean == pytest.approx(MEAN)
    skeleton = variant.skeleton
    assert (skeleton.keypoints, skeleton.pairs, skeleton.links) == (("nose", "left", "right"), ((1, 2),), ((0, 1),))
    assert skeleton.sigmas == (0.02, 0.03, 0.03)
    assert (skeleton.colors, skeleton.link_colors) == (((1, 2, 3),) * 3, ((1, 2, 3),))
    assert {key.split(".")[0] for key in variant.build(3).state_dict()} == {"backbone", "head"}


def old_keys(network):
    state = network.state_dict()
    return {f"keypoint_{key}" if key.startswith("head.") else key: value for key, value in state.items()}


def test_grouped_layers_of_mmpose_0():
    """The head of ViPNAS, whose defaults differ from those of the simple one."""
    model, data = mmpose0({"post_process": "default"})
    head = {"type": "ViPNASHeatmapSimpleHead", "in_channels": 64, "out_channels": 3, "num_deconv_groups": (8, 4, 2)}
    variant = described(model | {"keypoint_head": head}, data, {}).variant
    layers = variant.build(3).head.deconv_layers
    assert [tuple(layers[3 * i].weight.shape) for i in range(3)] == [(64, 18, 4, 4), (144, 36, 4, 4), (144, 72, 4, 4)]
    assert fits(variant, Checkpoint(old_keys(variant.build(3)), "old.pth", None, None))


@pytest.mark.parametrize("kernel", [0, 1])
def test_stages_of_mmpose_0(kernel):
    """A stacked hourglass with a last layer for each stack, of which the last counts, and a CPM that gives maps."""
    model, data = mmpose0({"post_process": "default"})
    data["data_cfg"] = {"image_size": (64, 96), "heatmap_size": (16, 24) if kernel else (8, 12), "num_joints": 3}
    trunk = {"type": "HourglassNet", "num_stacks": 2, "feat_channel": 16} if kernel else CPM_TRUNK
    head = {"type": "TopdownHeatmapMultiStageHead", "in_channels": 16 if kernel else 3, "out_channels": 3}
    head |= {"num_stages": 2, "num_deconv_layers": 0, "extra": {"final_conv_kernel": kernel}}
    head |= {"loss_keypoint": {"type": "JointsMSELoss"}}
    if kernel:
        trunk |= {"downsample_times": 1, "stage_channels": (16, 24), "stage_blocks": (1, 1)}
    variant = described(model | {"backbone": trunk, "keypoint_head": head}, data, {}).variant
    network = variant.build(3)
    state = network.state_dict()
    if not kernel:
        assert not [key for key in state if key.startswith("head.")]
        return
    assert state["head.final_layer.weight"].shape == (3, 16, 1, 1)
    old = {key.replace("head.final_layer", "keypoint_head.multi_final_layers.1"): value for key, value in state.items()}
    old |= {f"keypoint_head.multi_final_layers.0.{part}": torch.zeros(3) for part in ("weight", "bias")}
    assert fits(variant, Checkpoint(old, "old.pth", None, None))


def test_offsets_of_mmpose_0():
    """Offsets are smoothed as well, and the radius is a part of the map's height, in this case of 24 px."""
    test = {"use_udp": True, "target_type": "CombinedTarget", "modulate_kernel": 5, "valid_radius_factor": 0.05}
    model, data = mmpose0(test, out_channels=9)
    steps = data["data"]["test"]["pipeline"]
    data["data"]["test"]["pipeline"] = (steps[0], {"type": "TopDownAffine", "use_udp": True}, *steps[2:])
    form = described(model, data, {}).variant.form
    assert (form.radius, form.blur, form.offset_blur, form.flip, form.shift) == (0.05 * 24, 11, 5, True, 0.0)


def test_joined_levels_and_further_convolutions_of_mmpose_0():
    head = {"in_channels": (8, 16, 32, 64), "in_index": (0, 1, 2, 3), "input_transform": "resize_concat"}
    head |= {"num_deconv_layers": 0, "extra": {"final_conv_kernel": 1, "num_conv_layers": 1, "num_conv_kernels": (1,)}}
    variant = described(*mmpose0({"modulate_kernel": 11}, **head), {}).variant
    shapes = {key: tuple(value.shape) for key, value in variant.build(3).head.state_dict().items()}
    assert shapes["conv_layers.0.weight"] == (120, 120, 1, 1)
    assert shapes["final_layer.weight"] == (3, 120, 1, 1)
    state = variant.build(3).state_dict()
    names = {"head.conv_layers.": "keypoint_head.final_layer.", "head.final_layer.": "keypoint_head.final_layer.3."}
    old = {}
    for key, value in state.items():
        start = next((start for start in names if key.startswith(start)), None)
        old[key if start is None else names[start] + key.removeprefix(start)] = value
    assert fits(variant, Checkpoint(old, "old.pth", None, None))


@pytest.mark.parametrize(
    "changes",
    [
        {"skeleton_links": 5},
        {"skeleton_links": [[0, 1], ["a"], 3, None]},
        {"skeleton_links": [[0, 10**30]]},
        {"keypoint_colors": "red"},
        {"keypoint_colors": [[1, 2], [3, 4], [5, 6]]},
        {"keypoint_colors": [[1, 2, 300]] * 3},
        {"skeleton_link_colors": [[1, 2, 3]]},
        {"sigmas": [float("inf")] * 3},
        {"sigmas": 1},
    ],
)
def test_what_only_draws_or_scores_poses_is_left_out_where_it_is_damaged(changes):
    skeleton = described(network({"flip_test": True}), crops(), person(**changes)).variant.skeleton
    assert (skeleton.keypoints, skeleton.pairs) == (("nose", "left", "right"), ((1, 2),))
    usual = described(network({"flip_test": True}), crops(), person()).variant.skeleton
    kept = {"skeleton_links": "sigmas", "sigmas": "links"}.get(next(iter(changes)), "links")
    assert getattr(skeleton, kept) == getattr(usual, kept)


def _other_pose(**changes):
    return network({"flip_test": True} | changes), crops(), person()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((detector(TEST | {"nms": {"type": "nms_match", "iou_thr": 0.5}}), new(resize())), "type is 'nms_match'"),
        ((detector(TEST | {"min_bbox_size": 16}), new(resize())), "model.test_cfg.min_bbox_size is 16"),
        ((detector(TEST | {"score_thr": 5}), new(resize())), "model.test_cfg.score_thr is 5"),
        ((detector(TEST | {"score_voting": True}), new(resize())), "model.test_cfg.score_voting is True"),
        ((detector({"nms_pre": 1, "max_per_img": 1}), new(resize())), "model.test_cfg.nms is None"),
        ((detector(test_head={"a": 1}), new(resize())), "model.test_head is {'a': 1}, which is not supported"),
        ((detector(), {}), "test_dataloader.dataset.pipeline is missing"),
        ((network({}), crops(padding=1), person()), "pipeline[2].padding is 1, which is not supported"),
        ((network({}, decoder=DECODER | {"blur_kernel_size": 10}), crops(), person()), "is 10; supported: an odd"),
        ((network({}, decoder=DECODER | {"input_size": (0, 96)}), crops(), person()), "decoder.input_size is (0, 96)"),
        (_other_pose(output_keypoint_indices=(0, 9)), "output_keypoint_indices is (0, 9); supported: indices below 3"),
        (_other_pose(output_keypoint_indices=(0, 0)), "output_keypoint_indices is (0, 0); supported: indices below 3"),
        (_other_pose(flip_mode="offset"), "model.test_cfg.flip_mode is 'offset'"),
        ((network({}, out_channels=4), crops(), person()), "model.head has 4 keypoints and meta names 3"),
        ((network({}), crops(), {}), "meta.dataset_meta is missing"),
        ((network({}), crops(), person(flip_indices=[1, 2, 0])), "flip_indices is [1, 2, 0]; supported: pairs"),
        ((network({}), crops(), person(flip_indices=[0, 2])), "flip_indices is [0, 2]"),
        ((network({}), crops(), person(flip_indices=[0, 2, 7])), "flip_indices is [0, 2, 7]; supported: whole numbers"),
        ((network({}), crops(), person(keypoint_name2id={"a": 0, "b": 5})), "keypoint_name2id is {'a': 0, 'b': 5}"),
        ((*mmpose0({"use_udp": True, "target_type": "Offsets"}), {}), "target_type is 'Offsets'"),
        ((*mmpose0({"post_process": None}), {}), "model.test_cfg.post_process is None"),
        ((*mmpose0({"post_process": "mine"}), {}), "model.test_cfg.post_process is 'mine'"),
        ((*mmpose0({}, input_transform="multiple_select"), {}), "model.keypoint_head.input_transform is 'multiple_sel"),
        ((*mmpose0({}, extra={"final_conv_kernel": 0}), {}), "model.keypoint_head.extra.final_conv_kernel is 0"),
        ((*mmpose0({}, type="DeepposeRegressionHead"), {}), "model.keypoint_head.type is 'DeepposeRegressionHead'"),
    ],
)  # fmt: skip
def test_what_is_not_supported_is_named(given, message):
    with pytest.raises(ConfigError) as refused:
        described(*given)
    assert message in str(refused.value)


def test_weights_of_another_number_of_classes_are_refused():
    variant = described(detector(), new(resize())).variant
    with pytest.raises(ConfigError, match="the configuration has 3 classes or keypoints and the weights 5"):
        variant.build(5)


def test_what_is_no_data_is_only_missed_where_it_is_needed():
    text = read_text(
        f"gpu_ids = range(0, 1)\nmodel = {detector()!r}\ntest_dataloader = {new(resize())['test_dataloader']!r}\n"
    )
    assert describe(text, META).variant.labels == ("a", "b", "c")
    with pytest.raises(ConfigError, match="model: line 1: a Call is a call"):
        describe(read_text("model = build()\n"), META)
    with pytest.raises(ConfigError, match="model is missing"):
        describe(read_text(f"pipeline = {(LOAD, PACK)!r}\n"), META)


@pytest.mark.parametrize(
    ("palette", "expected"),
    [
        ([(1, 2, 3), [4, 5, 6], (7, 8, 9), (0, 0, 0)], ((1, 2, 3), (4, 5, 6), (7, 8, 9))),
        ([(1, 2, 3), (4, 5, 6)], ()),
        ([(1, 2, 3), (4, 5, 6), (7, 8, 999)], ()),
        ([(1, 2, 3), (4, 5, 6), (7, 8)], ()),
        ([(1, 2, 3), (4, 5, 6), 7], ()),
        ("random", ()),
    ],
)
def test_classes_have_the_colours_of_their_palette(palette, expected):
    meta = {"dataset_meta": {"classes": ("a", "b", "c"), "palette": palette}}
    assert described(detector(), new(resize()), meta).variant.colors == expected
