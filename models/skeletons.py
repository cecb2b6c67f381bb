"""Skeletons that published checkpoints use, in their order."""

from collections.abc import Sequence

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

OPENPOSE_25 = Skeleton(
    keypoints=(
        *OPENPOSE_18.keypoints[:8],
        *("middle_hip", *OPENPOSE_18.keypoints[8:]),
        *(f"{side}_{part}" for side in ("left", "right") for part in ("big_toe", "small_toe", "heel")),
    ),
    links=(
        *((1, 8), (1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7)),
        *((8, 9), (9, 10), (10, 11), (8, 12), (12, 13), (13, 14)),
        *((1, 0), (0, 15), (15, 17), (0, 16), (16, 18)),
        *((14, 19), (19, 20), (14, 21), (11, 22), (22, 23), (11, 24), (2, 17), (5, 18)),
    ),
    pairs=(
        *((2, 5), (3, 6), (4, 7), (9, 12), (10, 13), (11, 14), (15, 16), (17, 18)),
        *((19, 22), (20, 23), (21, 24)),
    ),
    sigmas=(*OPENPOSE_18.sigmas[:8], 0.107, *OPENPOSE_18.sigmas[8:], *(0.068, 0.066, 0.066, 0.092, 0.094, 0.094)),
)
"""OpenPose's 25 keypoints: those of OPENPOSE_18, the middle of the hips, and six points of the feet with the sigmas of
COCO-WholeBody (arXiv 1812.08008, section 4.1; 2007.11858)."""

FACE = Skeleton(
    keypoints=("right_eye", "left_eye", "nose", "right_mouth", "left_mouth"),
    links=(),
    pairs=((0, 1), (3, 4)),
    sigmas=(0.025, 0.025, 0.026, 0.025, 0.025),
)
"""Five points of a face, whose right eye is on the left of the image, as in RetinaFace's annotations of WIDER FACE."""


_FINGERS = ("thumb", "forefinger", "middle_finger", "ring_finger", "pinky_finger")
HAND = Skeleton(
    keypoints=("wrist", *(f"{finger}{joint}" for finger in _FINGERS for joint in (1, 2, 3, 4))),
    links=tuple((0 if joint == 0 else 4 * i + joint, 4 * i + joint + 1) for i in range(5) for joint in range(4)),
    pairs=(),
    sigmas=(
        *(0.029, 0.022, 0.035, 0.037, 0.047, 0.026, 0.025, 0.024, 0.035, 0.018, 0.024),
        *(0.022, 0.026, 0.017, 0.021, 0.021, 0.032, 0.020, 0.019, 0.022, 0.031),
    ),
)
"""A hand's 21 keypoints, each finger from its root to its tip, in OneHand10K (Wang et al., 2018) and COCO-WholeBody,
whose sigmas these are (Jin et al., arXiv 2007.11858)."""

_Part = tuple[str, int, bool]
"""A contour of a face: its name, its number of points, and whether it is closed."""


def _contours(parts: Sequence[_Part]) -> tuple[tuple[str, ...], tuple[tuple[int, int], ...]]:
    """The names of the points of contours one behind the other, and the links along each."""
    names: list[str] = []
    links: list[tuple[int, int]] = []
    for name, count, closed in parts:
        first = len(names)
        names += [f"{name}_{i}" for i in range(count)]
        links += [(first + i, first + i + 1) for i in range(count - 1)]
        links += [(first, first + count - 1)] if closed else []
    return tuple(names), tuple(links)


_NAMES_68, _LINKS_68 = _contours(
    (
        *(("jaw", 17, False), ("right_eyebrow", 5, False), ("left_eyebrow", 5, False)),
        *(("nose_bridge", 4, False), ("nostrils", 5, False), ("right_eye", 6, True), ("left_eye", 6, True)),
        *(("outer_lips", 12, True), ("inner_lips", 8, True)),
    )
)
FACE_68 = Skeleton(
    keypoints=_NAMES_68,
    links=_LINKS_68,
    pairs=(
        *((i, 16 - i) for i in range(8)),
        *((i, 43 - i) for i in range(17, 22)),
        *((31, 35), (32, 34), (36, 45), (37, 44), (38, 43), (39, 42), (40, 47), (41, 46)),
        *((48, 54), (49, 53), (50, 52), (55, 59), (56, 58), (60, 64), (61, 63), (65, 67)),
    ),
    sigmas=(
        *(0.042, 0.043, 0.044, 0.043, 0.040, 0.035, 0.031, 0.025, 0.020, 0.023, 0.029, 0.032, 0.037, 0.038),
        *(0.043, 0.041, 0.045, 0.013, 0.012, 0.011, 0.011, 0.012, 0.012, 0.011, 0.011, 0.013, 0.015, 0.009),
        *(0.007, 0.007, 0.007, 0.012, 0.009, 0.008, 0.016, 0.010, 0.017, 0.011, 0.009, 0.011, 0.009, 0.007),
        *(0.013, 0.008, 0.011, 0.012, 0.010, 0.034, 0.008, 0.008, 0.009, 0.008, 0.008, 0.007, 0.010, 0.008),
        *(0.009, 0.009, 0.009, 0.007, 0.007, 0.008, 0.011, 0.008, 0.008, 0.008, 0.010, 0.008),
    ),
)
"""A face's 68 points (Sagonas et al., "300 Faces in-the-Wild Challenge"), with COCO-WholeBody's sigmas."""

_NAMES_98, _LINKS_98 = _contours(
    (
        *(("jaw", 33, False), ("right_eyebrow", 9, True), ("left_eyebrow", 9, True)),
        *(("nose_bridge", 4, False), ("nostrils", 5, False), ("right_eye", 8, True), ("left_eye", 8, True)),
        *(("outer_lips", 12, True), ("inner_lips", 8, True), ("right_pupil", 1, False), ("left_pupil", 1, False)),
    )
)
FACE_98 = Skeleton(
    keypoints=_NAMES_98,
    links=_LINKS_98,
    pairs=(
        *((i, 32 - i) for i in range(16)),
        *((i, 79 - i) for i in range(33, 38)),
        *((i, 88 - i) for i in range(38, 42)),
        *((55, 59), (56, 58)),
        *((i, 132 - i) for i in range(60, 65)),
        *((i, 140 - i) for i in range(65, 68)),
        *((76, 82), (77, 81), (78, 80), (83, 87), (84, 86), (88, 92), (89, 91), (93, 95), (96, 97)),
    ),
    sigmas=(0.05,) * 98,  # none are published
)
"""A face's 98 points in WFLW (Wu et al., "Look at Boundary", arXiv 1805.10483)."""


def _whole_body() -> Skeleton:
    """COCO's person, then six points of the feet, a face and both hands."""
    feet = ("big_toe", "small_toe", "heel")
    at_feet, at_face, at_left, at_right = 17, 23, 91, 112
    keypoints = (
        *COCO_PERSON.keypoints,
        *(f"{side}_{part}" for side in ("left", "right") for part in feet),
        *(f"face_{name}" for name in FACE_68.keypoints),
        *(f"{side}_hand_{name}" for side in ("left", "right") for name in HAND.keypoints),
    )
    links = (
        *COCO_PERSON.links,
        *((ankle, at_feet + 3 * i + j) for i, ankle in enumerate((15, 16)) for j in range(3)),
        *((at_face + a, at_face + b) for a, b in FACE_68.links),
        *((start + a, start + b) for start in (at_left, at_right) for a, b in HAND.links),
    )
    pairs = (
        *COCO_PERSON.pairs,
        *((at_feet + i, at_feet + 3 + i) for i in range(3)),
        *((at_face + a, at_face + b) for a, b in FACE_68.pairs),
        *((at_left + i, at_right + i) for i in range(len(HAND.keypoints))),
    )
    sigmas = OPENPOSE_25.sigmas[-6:]
    return Skeleton(keypoints, links, pairs, (*COCO_PERSON.sigmas, *sigmas, *FACE_68.sigmas, *HAND.sigmas * 2))


WHOLE_BODY = _whole_body()
"""COCO-WholeBody's 133 keypoints: body, feet, face and hands (Jin et al., arXiv 2007.11858)."""


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
