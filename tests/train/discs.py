"""Generated pictures of one kind of target, with COCO annotations."""

import json
from pathlib import Path

import cv2
import numpy as np

WIDTH, HEIGHT = 256, 192


def draw(folder: Path, count: int, seed: int = 1) -> Path:
    """Draw pictures with one to three red and white discs, and return the file of their annotations."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    images, objects = [], []
    for i in range(1, count + 1):
        ground = rng.integers(60, 200, (12, 16, 3), dtype=np.uint8)
        picture = cv2.resize(ground, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
        for _ in range(rng.integers(1, 4)):
            r = int(rng.integers(14, 40))
            x, y = int(rng.integers(r, WIDTH - r)), int(rng.integers(r, HEIGHT - r))
            for radius, colour in ((r, (40, 40, 230)), (r // 2, (250, 250, 250))):
                cv2.circle(picture, (x, y), radius, colour, -1, cv2.LINE_AA)
            box = [x - r, y - r, 2 * r, 2 * r]
            objects.append({"id": len(objects) + 1, "image_id": i, "category_id": 7, "bbox": box, "area": 4 * r * r})
        cv2.imwrite(str(folder / f"{i}.png"), picture)
        images.append({"id": i, "file_name": f"{i}.png"})
    file = folder / "coco.json"
    categories = [{"id": 3, "name": "unused"}, {"id": 7, "name": "target"}]
    file.write_text(json.dumps({"images": images, "annotations": objects, "categories": categories}), encoding="utf-8")
    return file
