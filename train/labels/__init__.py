"""Labels of pose networks: keypoints to the maps, bins and fields that a network learns. One file per kind.

Points are (..., 2) xy in px of the map and may lie outside it; `size` is the map's (h, w).
"""
