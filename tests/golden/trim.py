"""Cuts the full goldens down to the small files of this folder: `python tests/golden/trim.py FOLDER NAME...`.

Of the recorded values of a tensor every fourth (padded case: every second; pose networks: every eighth) is kept.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
from reader import FOLDER

STEPS = {"a": 4, "b": 2}
POSE_STEP = 8
SCENES = "one three crowd crossing border occluded broken ghosts small party empty".split()
OPERATORS = {
    "deform_conv": (
        "ops_mmcv",
        [f"{op}_{i}" for op in ("deform_conv2d", "modulated_deform_conv2d") for i in range(7)],
    ),
    "corner_pool": ("ops_mmcv", [f"corner_pool_{side}" for side in ("top", "bottom", "left", "right")]),
    "roi_align": (
        "ops_mmcv",
        [f"roi_align_{aligned}_{ratio}_{size}_avg" for aligned in (True, False) for ratio in (0, 2) for size in (7, 2)],
    ),
    "prroi_pool": ("ops_prroi", ["prroi_7_0.125", "prroi_3_0.125", "prroi_2_0.25"]),
    "deform_roi_pool": (
        "ops_d2det",
        [f"{op}_{i}" for op in ("deform_psroi", "roi_align_v1") for i in range(4)],
    ),
    "bezier_align": ("ops_abcnet", ["bezier_align_cuda_sr1", "bezier_align_cpu_sr1", "bezier_levels"]),
    "spotted_text": ("ops_abcnet", ["bezier_to_poly", "decode_text"]),
    "d2det": ("ops_d2det", ["awpool", "d2det_dense_avg"]),
    "double_head": ("ops_twostage", [f"double_head_mode{mode}" for mode in (2, 3)]),
    "visible_nms": ("ops_twostage", [f"r2nms_{scene}_{iou}" for scene in (0, 1) for iou in (0.3, 0.5)]),
    "fitness": ("ops_nms_variants", ["fitness_score"]),
    "em_merger": (
        "ops_em_merger",
        [f"em_merge_{scene}" for scene in range(4)]
        + [f"mog_collapse_{scene}_{k}" for scene in range(4) for k in (0, 1)],
    ),
    "border_align": ("ops_border", [f"border_align_{i}" for i in range(3)]),
    "nms": ("ops_mmcv", ["nms_0.3_0", "nms_0.5_0", "nms_0.7_0", "batched_nms", "batched_nms_max"]),
    "soft_nms": (
        "ops_mmcv",
        [f"soft_nms_{kind}_{offset}" for kind in ("linear", "gaussian") for offset in (0, 1)]
        + ["batched_soft", "batched_soft_gauss"],
    ),
    "multiclass_soft_nms": ("ops_det", ["multiclass_soft"]),
    "polygons": (
        "ops_polygons",
        ["rotated_iou", "quad_iou", "concave_iou", *(f"quad_nms_{iou}" for iou in (0.2, 0.5))]
        + [f"rotated_nms_{iou}" for iou in (0.1, 0.3, 0.5)],
    ),
    "rotated_boxes": (
        "ops_text",
        ["rbox_restore", "rbox_head", "rbox_maps_one_sign", "rbox_maps_mixed_sign", "lnms_order_a", "lnms_order_b"],
    ),
    "text_regions": (
        "ops_text",
        ["satext_decode_0", "satext_decode_1", "satext_textfill_default", "satext_textfill_top7_end2", "dgst_grow"],
    ),
    "line_votes": (
        "ops_pvnet",
        ["v3_128_max100", "v3_256_all", "v3_64_thr999", "voting_distribution", "degenerate_hypotheses"],
    ),
    "surface": (
        "ops_cdpn_g2l",
        [
            "cdpn_decode_0",
            "cdpn_decode_1",
            *(f"cdpn_zoom_{at}" for at in ("inside", "left_top", "right_bottom", "big")),
        ],
    ),
    "rotations": ("ops_cdpn_g2l", [f"g2l_kabsch_{case}" for case in ("noise", "reflected", "flat")]),
    "weighted_pnp": ("ops_pvnet", [f"uncertainty_pnp_{i}" for i in range(3)]),
    "pnp": (
        "ops_pnp",
        [f"pnp_{case}" for case in ("kpt9_clean", "kpt9_noise", "kpt9_noise_far", "dense_noise", "dense_outliers")]
        + ["pnp_planar", "pnp_min4"],
    ),
    "centers": ("ops_corner", ["centernet_decode_0", "centernet_decode_4"]),
    "corners": ("ops_corner", [f"{name}_decode{b}" for name in ("cornernet", "centripetal") for b in ("", "_border")]),
    "extremes": ("ops_extreme", ["exct_decode_aggr0.1", "exct_decode_aggr0.0"]),
    "extreme_edges": ("ops_extreme", ["h_aggregate", "v_aggregate"]),
    "extreme_post": ("ops_extreme", [f"extreme_post_ghost{on}" for on in (True, False)]),
    "fpt": (
        "ops_fpt",
        [f"self_trans_mix{count}" for count in (2, 4)]
        + [f"ground_trans_{form}" for form in ("dot", "embedded")]
        + ["render_trans", "lgt"],
    ),
    "center_pad": ("ops_transforms", ["center_pad_31_0", "center_pad_31_1", "center_pad_127_0"]),
    "resizes": ("ops_transforms", ["imresize"] + [f"imrescale_{i}" for i in range(3)]),
    "crops": (
        "ops_transforms",
        ["bbox_xyxy2cs", "bottomup_expand_std", "bottomup_expand_udp"]
        + [f"topdown_affine_{i}_{kind}" for i in range(4) for kind in ("std", "udp")],
    ),
    "oks": (
        "ops_pose",
        ["oks_iou"]
        + [
            f"{op}_{threshold}_{visible}"
            for op in ("oks_nms", "soft_oks_nms")
            for threshold in (0.3, 0.7, 0.9)
            for visible in (None, 0.4)
        ],
    ),
    "points": ("ops_det", ["prior_points0", "prior_points05"]),
    "anchors": ("ops_det", ["prior_retina", "prior_rpn", "prior_atss", "prior_atss_center0"]),
    "keypoints": (
        "ops_pose",
        ["heatmap_max", "refine", "codec_msra", "codec_msra_dark", "codec_megvii", "codec_udp_gaussian"]
        + [f"refine_dark_{size}" for size in (11, 17)]
        + [f"refine_dark_udp_{size}" for size in (11, 17)]
        + ["codec_udp_combined", "codec_simcc", "codec_simcc_dark", "codec_simcc_rtm"]
        + [f"flip_heatmaps_{how}" for how in ("True", "False", "udp")],
    ),
    "tags": ("ops_pose", ["codec_ae", "codec_ae_udp", "codec_ae_flip2"]),
    "coders": ("ops_det", ["decode_noclip", "decode_rpn", "decode_atss", "decode_legacy", "decode_distance"]),
    "losses": (
        "ops_losses",
        ["focal_g2.0_a0.25", "focal_none_g1.5_a0.5", "qfl_b2.0", "qfl_b1.5", "qfl_prob", "vfl_True", "vfl_False", "dfl"]
        + [f"ghmc_{case}" for case in ("b10_m0_call0", "b30_m0.75_call0", "b30_m0.75_call1")]
        + [f"ghmr_{case}" for case in ("m0_call0", "m0.7_call0", "m0.7_call1")]
        + ["smooth_l1_1", "smooth_l1_0.11", "balanced_l1_1.0", "balanced_l1_0.5"]
        + [f"IoULoss_{form}_none" for form in ("log", "linear", "square")]
        + [f"{kind}IoULoss__none" for kind in "GDC"]
        + [f"ap_loss_{case}" for case in (0, 1, 2, 3, "no_pos")]
        + [f"dr_loss_{case}" for case in (0, 1, 2)]
        + ["cornernet_neg_loss", "cornernet_neg_loss_nopos", "cornernet_ae", "cornernet_regr"]
        + ["isr_p_k2_b0", "isr_p_k1_b0.3", "carl_sigmoidFalse", "carl_sigmoidTrue"]
        + ["iou_balanced_ce", "iou_balanced_focal", "iou_balanced_smoothl1_0.11", "iou_regression_bce"],
    ),
    "pose_losses": (
        "ops_pose_losses",
        ["mse_use_target_weight", "ohkm_3", "ohkm_4", "udp_combined", "grmi", "ipr_l1"]
        + ["softargmax_False_1.0", "softargmax_False_2.0", "focal_l2_", "focal_l2_alpha_beta"]
        + ["kl_", "kl_beta_label_softmax", "kl_beta_label_softmax_label_beta", "kl_mask_mask_weight"]
        + [f"rle_{base}_{residual}" for base in ("laplace", "gaussian") for residual in (True, False)]
        + ["rle_flow"],
    ),
    "assigners": (
        "ops_losses",
        [f"max_iou_{case}" for case in ("retina", "rpn", "rcnn", "ssd", "ign")]
        + ["atss_topk9", "atss_topk3", "fcos_targets_plain", "fcos_targets_norm_center"]
        + ["gaussian_radius_0.3", "gaussian_radius_0.7", "gen_gaussian_target", "cornernet_targets"]
        + ["ttf_target_default", "ttf_target_beta", "encode_delta", "encode_legacy"],
    ),
    "labels": (
        "ops_pose_labels",
        [f"label_{kind}" for kind in ("msra", "msra_unbiased", "udp_gaussian", "udp_combined")]
        + [f"label_megvii_{kernel}" for kernel in (15, 11, 9, 7, 5)]
        + ["label_simcc", "label_simcc_rtm", "label_simcc_smooth"],
    ),
    "centre_poses": (
        "ops_centerpose",
        [f"decode_{scene}" for scene in ("three", "crowd", "border", "occluded", "small", "noisy")]
        + [f"soft_nms_39_{method}" for method in (0, 1, 2)],
    ),
    "displaced_poses": ("ops_spm", [f"hier_{scene}" for scene in ("three", "crowd", "occluded", "noisy")]),
    "affinity": ("ops_openpose", [f"targets_{case}" for case in ("one", "three", "crowd", "border", "occluded")]),
    "composite_labels": ("ops_pifpaf", ["target_cif_lab1", "target_caf_lab1", "target_cif_lab2", "target_caf_lab2"]),
    "openpose": ("ops_openpose", [f"decode_{scene}" for scene in SCENES] + ["flip", "preprocess"]),
    "simplepose": ("ops_simplepose", [f"decode_{scene}" for scene in (*SCENES, "multiscale")]),
    "pifpaf": ("ops_pifpaf", [f"decode_{scene}" for scene in (*SCENES, "weak")]),
    "gaussfit": (
        "ops_gaussfit",
        [f"lsq_{case}" for case in ("clean", "clean_s15", "border", "noise_05", "u8", "second", "degenerate")],
    ),
    "head_losses": (
        "ops_head_losses",
        [f"{kind}_loss" for kind in ("retina", "atss", "gfl", "vfnet", "autoassign", "freeanchor", "pisa_retina")]
        + ["fcos_loss_plain", "fcos_loss_norm_center"],
    ),
}
WHOLE = (
    "losses",
    "pose_losses",
    "assigners",
    "labels",
    "head_losses",
    "roi_align",
    "prroi_pool",
    "deform_roi_pool",
    "bezier_align",
    "text_regions",
    "d2det",
)
"""Operators whose sums are over the whole batch, whose boxes name an image, or have corners."""


SLOW = (
    *(
        f"faster_rcnn_{on}"
        for on in ("r50_caffe", "r50_caffe_c4", "r50_dcn", "r50_dcnv2", "r50_dcnv2_g4", "r50_softnms")
    ),
    *(f"faster_rcnn_{on}" for on in ("r50_caffe_c4", "x101_32x4d", "r2_101", "r50_regnet", "hrnet_w32")),
    *("cascade_rcnn_r50_dcn", "htc_nosem_r50"),
    "cornernet_hg104",
    "centripetalnet_hg104",
    "pisa_faster_r50",
    *("ga_faster_r50", "sabl_faster_r50", "sabl_cascade_r50"),
    *("d2det_r50", "grid_rcnn_r50", "hitdet"),
    "crowddet_r50",
    "double_head_ext_r50",
)
"""Networks that are run on one image only."""
LEAST = {"extremenet_hg104": 0.01}
"""Scores below which there are copies of suppressed boxes."""
DETECTORS_OF_POSES = ("directpose_r50",)
"""Pose networks whose keypoints are beside boxes, as those of faces."""
UNREAD = ("f0/2", "f1/2", "f2/2")
"""Sums of maps that only ASFF's authors draw."""
MIXED = ("hand_hrnetv2_w18_udp",)
"""Networks whose configuration warps crops by one convention and decodes maps by another, which is refused."""
UNEVEN = ("nas_fpn_retinanet_r50",)
"""Networks whose second image has a size that they do not take."""


def trim_network(source: Path, name: str) -> None:
    """Write one network's golden."""
    with np.load(source / f"{name}.npz") as file:
        full = dict(file)
    meta, state = json.loads(bytes(full["meta"])), json.loads(bytes(full["state"]))
    if name in DETECTORS_OF_POSES:
        names = {"bboxes": "bboxes", "scores": "scores", "kps": "keypoints"}
        full |= {f"a/det/{ours}": full[f"a/pose/{theirs}"] for ours, theirs in names.items()}
        full["a/det/labels"] = np.zeros(len(full["a/det/scores"]), np.int64)
    is_pose = meta["kind"] == "pose" and name not in DETECTORS_OF_POSES
    (trim_pose if is_pose else trim_detector)(name, full, meta, state)


def trim_detector(name: str, full: dict[str, Any], meta: dict[str, Any], state: list[Any]) -> None:
    """Write a detection network's golden."""
    for case in meta["cases"].values():
        case["raw"] = {key: info for key, info in case["raw"].items() if not key.endswith(UNREAD)}
    if name in SLOW + UNEVEN:
        del meta["cases"]["b"]
    arrays: dict[str, Any] = {f"weights/{key[3:]}": full[key] for key in full if key.startswith("ov/")}
    cases: dict[str, Any] = {}
    for tag, case in meta["cases"].items():
        cases[tag] = {
            "input_shape": case["input_shape"],
            "image_size": case["img_shape"],
            "offset": [0, 0],
            "seed": 1 if tag == "b" else 0,
            "step": STEPS[tag],
            "raw": {key: [info["shape"], info["std"], info["k"]] for key, info in case["raw"].items()},
        }
        if case.get("border"):
            top, bottom, left, right = map(int, case["border"])
            cases[tag] |= {"image_size": [bottom - top, right - left], "offset": [top, left]}
        if case.get("flip"):
            cases[tag]["flip"] = True
        arrays |= {f"{tag}/raw/{key}": full[f"{tag}/raw/{key}"][:: STEPS[tag]] for key in case["raw"]}
        if meta["kind"] == "text":  # without detections
            continue
        kept = full[f"{tag}/det/scores"] > LEAST.get(name, 0)
        if name.startswith("crowddet"):  # which keeps boxes without area
            kept &= (full[f"{tag}/det/bboxes"][:, 2:] > full[f"{tag}/det/bboxes"][:, :2]).all(1)
        for ours, theirs in (("boxes", "bboxes"), ("scores", "scores"), ("labels", "labels")):
            arrays[f"{tag}/{ours}"] = full[f"{tag}/det/{theirs}"][kept]
        if f"{tag}/det/kps" in full:
            arrays[f"{tag}/keypoints"] = full[f"{tag}/det/kps"]
        if f"{tag}/proposals/bboxes" in full:
            arrays[f"{tag}/proposals"] = full[f"{tag}/proposals/bboxes"]
        for ours, theirs in (("curves", "beziers"), ("symbols", "recs")):
            if f"{tag}/det/{theirs}" in full:
                arrays[f"{tag}/{ours}"] = full[f"{tag}/det/{theirs}"]
    write(name, _manifest(meta, state, cases), arrays)


def trim_pose(name: str, full: dict[str, Any], meta: dict[str, Any], state: list[Any]) -> None:
    """Write a pose network's golden, without what the mirrored image gives inside the network, and training's maps."""
    mirrored = re.compile(r"@|^flipped/|_flipped$|^global/")
    arrays: dict[str, Any] = {f"weights/{key[3:]}": full[key] for key in full if key.startswith("ov/")}
    cases: dict[str, Any] = {}
    for tag, case in meta["cases"].items():
        given = {key: info for key, info in case["raw"].items() if not mirrored.search(key)}
        raw = {key: [info["shape"], info["std"], info["k"]] for key, info in given.items()}
        cases[tag] = {"flip": case["flip"], "step": POSE_STEP, "raw": raw}
        arrays |= {f"{tag}/raw/{key}": full[f"{tag}/raw/{key}"][::POSE_STEP] for key in raw}
        names = {"keypoints": "keypoints", "scores": "keypoint_scores", "boxes": "bboxes", "totals": "scores"}
        for ours, theirs in names.items():
            if f"{tag}/pose/{theirs}" in full:
                arrays[f"{tag}/{ours}"] = full[f"{tag}/pose/{theirs}"]
    manifest = _manifest(meta, state, cases) | {"image_size": case["img_shape"]}
    facts = meta["facts"]
    if facts.get("type") == "TopdownPoseEstimator" and name not in MIXED:
        manifest["pipeline"] = facts.pop("test_pipeline")
        manifest["model"] = {key: value for key, value in facts.items() if key != "codec"}
    write(name, manifest, arrays)


def _manifest(meta: dict[str, Any], state: list[Any], cases: dict[str, Any]) -> dict[str, Any]:
    return {
        "config": meta["config"],
        "framework": meta["framework"],
        "state": [[key, shape, None if kind == "ov" else gain] for key, shape, kind, gain in state],
        "cases": cases,
    }


def trim_operator(source: Path, name: str) -> None:
    """Write the chosen cases of one operator; of batched feature maps the first image, except in `WHOLE`."""
    file_name, chosen = OPERATORS[name]
    with np.load(source / f"{file_name}.npz") as file:
        full = dict(file)
    cases = [case for case in json.loads(bytes(full["meta"]))["cases"] if case["name"] in chosen]
    arrays: dict[str, Any] = {}
    for case in cases:
        for side in ("in", "out"):
            for argument, key in case[side].items():
                batched = (full[key].ndim == 4 and not argument.endswith("weight")) or (
                    full[key].ndim == 3 and argument == "boxes"
                )
                arrays[key] = full[key][:1] if batched and name not in WHOLE else full[key]
    write(name, cases, arrays)


def trim_posefix(source: Path) -> None:
    """Write PoseFix's golden: its weights' names, shapes and gains, a pose, and what becomes of both."""
    with np.load(source / "posefix_resnet152_384.npz") as file:
        full = dict(file)
    meta, state = json.loads(bytes(full["meta"])), json.loads(bytes(full["state"]))
    raw = {"logits": "a", "input_hm": "a", "flipped_logits": "flip"}
    args = {
        "state": [[key, shape, None if kind == "ov" else gain] for key, shape, kind, gain in state],
        "sigma": meta["facts"]["input_sigma"],
        "raw": {
            name: [meta["cases"][tag]["raw"][name][key] for key in ("shape", "std", "k")] for name, tag in raw.items()
        },
    }
    arrays = {name: full[f"{tag}/raw/{name}"][::POSE_STEP] for name, tag in raw.items()}
    arrays |= {"bias": full["ov/out.bias"], "pose": np.float32(meta["facts"]["input_pose"])}
    arrays |= {tag: full[f"{tag}/pose/keypoints"] for tag in ("a", "flip")}
    given, found = ("bias", "pose"), (*raw, "a", "flip")
    sides = {"in": {name: name for name in given}, "out": {name: name for name in found}}
    write("posefix", [{"name": "posefix_resnet152_384", "args": args, **sides}], arrays)


def trim_configurations(source: Path, name: str) -> None:
    """Write what checkpoints of real training runs say of themselves: text, meta, and each parameter's shape."""
    cases: list[dict[str, Any]] = []
    for path in sorted(source.glob("*.npz")):
        with np.load(path) as file:
            text, meta, state = (bytes(file[key]).decode() for key in ("cfg", "meta", "state"))
        shapes = {key: shape for key, shape, *_ in json.loads(state)}
        args = {"cfg": text, "meta": json.loads(meta), "state": shapes}
        cases.append({"name": path.stem, "args": args, "in": {}, "out": {}})
    write(name, cases, {})


def write(name: str, manifest: Any, arrays: dict[str, Any]) -> None:
    text = np.frombuffer(json.dumps(manifest).encode(), np.uint8)
    np.savez_compressed(FOLDER / f"{name}.npz", manifest=text, **arrays)


if __name__ == "__main__":
    for wanted in sys.argv[2:]:
        if wanted == "posefix":
            trim_posefix(Path(sys.argv[1]))
            continue
        trim = trim_operator if wanted in OPERATORS else trim_network
        (trim_configurations if wanted == "configurations" else trim)(Path(sys.argv[1]), wanted)
