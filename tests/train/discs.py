"""Generated pictures of one kind of target or of bars, with COCO annotations."""

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


def draw_bars(folder: Path, count: int, seed: int = 1) -> Path:
    """Draw pictures with one bar each, red at its head and blue at its tail, and return the file of annotations."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    images, objects = [], []
    for i in range(1, count + 1):
        ground = rng.integers(60, 200, (12, 16, 3), dtype=np.uint8)
        picture = cv2.resize(ground, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
        angle, length = rng.uniform(0, 2 * np.pi), rng.uniform(25, 45)
        ends = (
            rng.uniform((70, 70), (WIDTH - 70, HEIGHT - 70))
            + np.outer((1, -1), (np.cos(angle), np.sin(angle))) * length
        )
        head, tail = np.rint(ends).astype(int).tolist()
        cv2.line(picture, head, tail, (250, 250, 250), 5, cv2.LINE_AA)
        cv2.circle(picture, head, 9, (40, 40, 230), -1, cv2.LINE_AA)
        cv2.circle(picture, tail, 9, (230, 60, 40), -1, cv2.LINE_AA)
        low, high = np.minimum(head, tail) - 14, np.maximum(head, tail) + 14
        box = [*map(int, low), *map(int, high - low)]
        points = [*head, 2, *tail, 2]
        objects.append({"id": i, "image_id": i, "category_id": 1, "bbox": box, "keypoints": points, "num_keypoints": 2})
        cv2.imwrite(str(folder / f"{i}.png"), picture)
        images.append({"id": i, "file_name": f"{i}.png"})
    file = folder / "coco.json"
    categories = [{"id": 1, "name": "bar", "keypoints": ["head", "tail"]}]
    file.write_text(json.dumps({"images": images, "annotations": objects, "categories": categories}), encoding="utf-8")
    return file
