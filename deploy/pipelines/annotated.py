"""Detections in annotated images, as frameworks make them for their evaluation."""

import numpy as np

from ..coco.annotations import AnnotatedImage, Annotations
from ..inputs.geometry import Image
from ..results.instances import Instances
from .crops import PoseEstimator
from .pipeline import Pipeline


def find_annotated(model: Pipeline, annotations: Annotations, image: AnnotatedImage, pixels: Image) -> Instances:
    """The detections in one image. A top-down network is given the boxes of all objects whose keypoints count."""
    if not isinstance(model, PoseEstimator):
        return model.find([pixels])[0]
    counted = [one for one in image.objects if not one.is_crowd and any(one.keypoints[2::3])]
    boxes = np.array([one.box for one in counted], np.float32).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    height, width = pixels.shape[:2]
    boxes = np.clip(boxes, 0, np.array([width, height, width, height], np.float32) - 1)
    names = [annotations.categories[one.category].name for one in counted]
    known = model.card.labels
    labels = np.array([known.index(name) if name in known else 0 for name in names], np.int64)
    given = Instances(boxes, np.ones(len(boxes), np.float32), labels, known, (width, height))
    return model.estimate([pixels], [given])[0]
