import numpy as np
from numpy.typing import NDArray

def nms(
    boxes: NDArray[np.float32],
    scores: NDArray[np.float32],
    labels: NDArray[np.int64],
    iou: float,
    limit: int,
) -> NDArray[np.int64]: ...
def normalize(
    image: NDArray[np.uint8],
    canvas: NDArray[np.float32],
    mean: tuple[float, float, float],
    std: tuple[float, float, float],
    swap: bool,
) -> None: ...
