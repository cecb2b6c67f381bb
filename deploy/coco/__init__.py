"""COCO's annotations, results and average precision."""
