import numpy as np
from numpy.typing import NDArray

def fuse(
    scores: NDArray[np.float32], quality: NDArray[np.float32], exponents: tuple[float, float]
) -> NDArray[np.float32]: ...
def select(
    scores: NDArray[np.float32],
    quality: NDArray[np.float32] | None,
    ends: list[int],
    conf: float,
    top_k: int,
    exponents: tuple[float, float],
    threshold_fused: bool,
    rank_fused: bool,
    points: bool,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]: ...
def nms(
    boxes: NDArray[np.float32],
    scores: NDArray[np.float32],
    labels: NDArray[np.int64],
    iou: float,
    limit: int,
) -> NDArray[np.int64]: ...
def guided_nms(
    boxes: NDArray[np.float32],
    scores: NDArray[np.float32],
    quality: NDArray[np.float32],
    labels: NDArray[np.int64],
    iou: float,
    limit: int,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]: ...
def soft_nms(
    boxes: NDArray[np.float32],
    scores: NDArray[np.float32],
    labels: NDArray[np.int64],
    iou: float,
    sigma: float | None,
    floor: float,
    limit: int,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]: ...
def polygon_iou(corners: NDArray[np.float32], ends: NDArray[np.int64], overlaps: NDArray[np.float64]) -> None: ...
def polygon_nms(
    corners: NDArray[np.float32],
    ends: NDArray[np.int64],
    scores: NDArray[np.float32],
    labels: NDArray[np.int64],
    iou: float,
    limit: int,
) -> NDArray[np.int64]: ...
def locality_nms(
    quads: NDArray[np.float32], scores: NDArray[np.float32], iou: float, limit: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]: ...
def grow(labels: NDArray[np.int32], mask: NDArray[np.uint8]) -> None: ...
def vote_lines(
    places: NDArray[np.float32],
    vectors: NDArray[np.float32],
    pairs: NDArray[np.int64],
    cosine: float,
    hypotheses: NDArray[np.float32],
    counts: NDArray[np.int32],
) -> None: ...
def group_extremes(
    cells: NDArray[np.float32],
    scores: NDArray[np.float32],
    labels: NDArray[np.int64],
    centres: NDArray[np.float32],
    least: float,
    least_centre: float,
    conf: float,
    top_k: int,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]: ...
def resize(
    image: NDArray[np.uint8],
    canvas: NDArray[np.float32 | np.float16 | np.uint8],
    size: tuple[int, int],
    offset: tuple[int, int],
    mean: tuple[float, float, float],
    std: tuple[float, float, float],
    fill: tuple[float, float, float],
    swap: bool,
    threads: int,
) -> None: ...
def antialias(image: NDArray[np.uint8], resized: NDArray[np.uint8]) -> None: ...
def crop(
    image: NDArray[np.uint8],
    matrices: NDArray[np.float64],
    canvases: NDArray[np.float32],
    mean: tuple[float, float, float],
    std: tuple[float, float, float],
    swap: bool,
) -> None: ...
def heatmap_peaks(
    maps: NDArray[np.float32],
    method: str,
    blur: int,
    sigma: float,
    beta: float,
    debias: bool,
    scale: float,
    older: bool,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]: ...
def offset_peaks(
    maps: NDArray[np.float32],
    offsets: NDArray[np.float32],
    radius: float,
    blur: int,
    offset_blur: int,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]: ...
def vote_peaks(
    maps: NDArray[np.float32],
    offsets: NDArray[np.float32],
    radius: float,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]: ...
def region_peaks(
    maps: NDArray[np.float32],
    sizes: NDArray[np.int64],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]: ...
def bin_peaks(
    rows: NDArray[np.float32],
    blur: int | None,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]: ...
def average_views(
    plain: NDArray[np.float32],
    mirrored: NDArray[np.float32],
    order: NDArray[np.int64],
    shift: float,
    out: NDArray[np.float32],
) -> None: ...
def oks(
    keypoints: NDArray[np.float32],
    areas: NDArray[np.float64],
    sigmas: NDArray[np.float64],
    least_score: float | None,
    similarities: NDArray[np.float64],
) -> None: ...
def oks_nms(
    keypoints: NDArray[np.float32],
    scores: NDArray[np.float32],
    areas: NDArray[np.float64],
    sigmas: NDArray[np.float64],
    least_score: float | None,
    threshold: float,
    floor: float,
    limit: int,
) -> NDArray[np.int64]: ...
def soft_oks_nms(
    keypoints: NDArray[np.float32],
    scores: NDArray[np.float32],
    areas: NDArray[np.float64],
    sigmas: NDArray[np.float64],
    least_score: float | None,
    threshold: float,
    sigma: float | None,
    floor: float,
    limit: int,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]: ...
def assign(costs: NDArray[np.float64]) -> NDArray[np.int64]: ...
def group(
    heatmaps: NDArray[np.float32],
    tags: NDArray[np.float32],
    order: NDArray[np.int64],
    top_k: int,
    least_peak: float,
    tag_distance: float,
    udp: bool,
    mmpose: bool,
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]: ...
def group_affinity(
    heatmaps: NDArray[np.float32],
    fields: NDArray[np.float32],
    limbs: NDArray[np.int64],
    stride: int,
    top_k: int,
    starts: int,
    least_peak: float,
    least_field: float,
    least_parts: int,
    least_score: float,
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]: ...
def group_parts(
    runs: list[
        tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64], NDArray[np.int64], tuple[int, int, bool]]
    ],
    limbs: NDArray[np.int64],
    size: tuple[int, int],
    stride: int,
    top_k: int,
    least_peak: float,
    least_limb: float,
    threads: int,
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]: ...
def group_composite(
    heatmaps: NDArray[np.float32],
    places: NDArray[np.float32],
    limbs: NDArray[np.float32],
    ends: NDArray[np.float32],
    links: NDArray[np.int64],
    stride: int,
    top_k: int,
    least_peak: float,
    least_seed: float,
    least_keypoint: float,
    least_person: float,
    views: int,
) -> NDArray[np.float32]: ...
def blend(
    source: NDArray[np.float32],
    target: NDArray[np.float32],
    order: NDArray[np.int64],
    signs: NDArray[np.float32],
    rows: tuple[float, float],
    columns: tuple[float, float],
) -> None: ...
def paste_mask(
    mask: NDArray[np.float32],
    box: NDArray[np.float32],
    image_size: tuple[int, int],
    paste: str,
) -> tuple[tuple[int, int], NDArray[np.uint8]]: ...
def run_text(
    part: NDArray[np.uint8],
    top_left: tuple[int, int],
    image_size: tuple[int, int],
) -> str: ...
