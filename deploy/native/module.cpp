// The Python module of the native runtime.
#include "bind.h"

NB_MODULE(_native, m) {
    bind_boxes(m);
    bind_extremes(m);
    bind_fields(m);
    bind_images(m);
    bind_heatmaps(m);
    bind_masks(m);
    bind_polygons(m);
    bind_poses(m);
    bind_tags(m);
    bind_votes(m);
}
