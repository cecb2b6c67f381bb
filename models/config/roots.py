"""mmpose's codec of displacements from the centres of people, and the `test_cfg` that belongs to it."""

from dataclasses import replace

from ...deploy.forms import Roots
from .codecs import read_size
from .section import Section


def read_roots(section: Section, stride: int, torso: tuple[int, int]) -> tuple[Roots, tuple[int, int]]:
    """The form, and the `input_size` (height, width) px.

    `section` is the head with its `decoder` and the network's `test_cfg`; `stride` is that of its maps, and `torso` the
    form's.
    """
    decoder = section.section("decoder") or section.refuse("decoder", "an SPR")
    decoder.typed("SPR")
    decoder.same("generate_keypoint_heatmaps", True, False)
    decoder.training("sigma", "root_type", "minimal_diagonal_length", "background_weight")
    height, width = read_size(decoder)
    decoder.same("heatmap_size", (width // stride, height // stride))
    kernel = decoder.integer("decode_nms_kernel", 5, most=63)
    people = decoder.integer("decode_max_instances", 30, most=1000)
    form = Roots(
        kernel=kernel if kernel % 2 else decoder.refuse("decode_nms_kernel", "an odd number"),
        top_k=people,
        least_centre=float(decoder.number("decode_thr", 0.01)),
        torso=torso,
        flip=False,
    )
    test = section.section("test_cfg")
    return (form if test is None else _tested(form, test, stride)), (height, width)


def _tested(form: Roots, test: Section, stride: int) -> Roots:
    """The form with the flip test and the suppression of `test_cfg`."""
    test.fixed(multiscale_test=False, nms_joints_thr=None)
    test.training("output_heatmaps", "align_corners")  # maps beside the keypoints, and other heads
    if test.integer("max_num_people", 30, most=1 << 30) < form.top_k:
        test.refuse("max_num_people", f"at least decode_max_instances, {form.top_k}")
    nearby, flip = test.number("nms_dist_thr", 0.0), test.flag("flip_test", False)
    form = replace(form, flip=flip, nearby=nearby if 0 <= nearby <= 1 else test.refuse("nms_dist_thr", "0 to 1"))
    shift = test.flag("shift_heatmap", False)
    # The mirrored image's cells are not those of the image, where they are larger than a pixel.
    return replace(form, shift=float(shift), shift_displacements=1 - 1 / stride) if flip else form
