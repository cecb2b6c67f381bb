"""Skeletons that published checkpoints use, in their order."""

from ..deploy.contract.skeleton import Skeleton

COCO_PERSON = Skeleton(
    keypoints=(
        *("nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder"),
        *("left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip"),
        *("left_knee", "right_knee", "left_ankle", "right_ankle"),
    ),
    links=(
        *((15, 13), (13, 11), (16, 14), (14, 12), (11, 12), (5, 11), (6, 12), (5, 6), (5, 7), (6, 8), (7, 9), (8, 10)),
        *((1, 2), (0, 1), (0, 2), (1, 3), (2, 4), (3, 5), (4, 6)),
    ),
    pairs=tuple((i, i + 1) for i in range(1, 17, 2)),
    sigmas=(
        *(0.026, 0.025, 0.025, 0.035, 0.035, 0.079, 0.079, 0.072, 0.072),
        *(0.062, 0.062, 0.107, 0.107, 0.087, 0.087, 0.089, 0.089),
    ),
)
"""COCO's 17 keypoints (cocodataset.org, keypoints evaluation)."""

OPENPOSE_18 = Skeleton(
    keypoints=(
        *("nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist"),
        *("right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle"),
        *("right_eye", "left_eye", "right_ear", "left_ear"),
    ),
    links=(
        *((1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10), (1, 11), (11, 12), (12, 13)),
        *((1, 0), (0, 14), (14, 16), (0, 15), (15, 17), (2, 16), (5, 17)),
    ),
    pairs=((2, 5), (3, 6), (4, 7), (8, 11), (9, 12), (10, 13), (14, 15), (16, 17)),
    sigmas=(
        *(0.026, 0.079, 0.079, 0.072, 0.062, 0.079, 0.072, 0.062, 0.107, 0.087, 0.089, 0.107, 0.087, 0.089),
        *(0.025, 0.025, 0.035, 0.035),
    ),
)
"""COCO's 17 keypoints and the neck between the shoulders, with a shoulder's sigma (arXiv 1611.08050, figure 4)."""

FACE = Skeleton(
    keypoints=("right_eye", "left_eye", "nose", "right_mouth", "left_mouth"),
    links=(),
    pairs=((0, 1), (3, 4)),
    sigmas=(0.025, 0.025, 0.026, 0.025, 0.025),
)
"""Five points of a face, whose right eye is on the left of the image, as in RetinaFace's annotations of WIDER FACE."""


def unlinked(keypoints: tuple[str, ...]) -> Skeleton:
    """A skeleton of keypoints with only known names, and a default OKS sigma for each."""
    return Skeleton(keypoints, (), (), (0.05,) * len(keypoints))


QUADRILATERAL = Skeleton(
    keypoints=("top_left", "top_right", "bottom_right", "bottom_left"),
    links=((0, 1), (1, 2), (2, 3), (3, 0)),
    pairs=((0, 1), (3, 2)),
    sigmas=(0.025,) * 4,
)
"""The corners of a flat object, named by their position in the image."""
