"""Labels of pose networks: keypoints to the maps, bins and fields that a network learns. One file per kind."""
