import numpy as np
from numpy.typing import NDArray

def nms(
    boxes: NDArray[np.float32],
    scores: NDArray[np.float32],
    labels: NDArray[np.int64],
    iou: float,
    limit: int,
) -> NDArray[np.int64]: ...
def soft_nms(
    boxes: NDArray[np.float32],
    scores: NDArray[np.float32],
    labels: NDArray[np.int64],
    iou: float,
    sigma: float | None,
    floor: float,
    limit: int,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]: ...
def normalize(
    image: NDArray[np.uint8],
    canvas: NDArray[np.float32],
    offset: tuple[int, int],
    mean: tuple[float, float, float],
    std: tuple[float, float, float],
    fill: tuple[float, float, float],
    swap: bool,
) -> None: ...
