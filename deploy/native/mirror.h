// Averages the outputs for an image and for its mirror image.
#pragma once

#include <cstddef>

namespace detforge {

// The mean of a map and the map of the mirrored image, which is mirrored back and moved right by `shift` px, 0..1.
// The shift leaves its first column as it is.
inline void average_views(const float* plain, const float* mirrored, size_t h, size_t w, float shift, float* out) {
    if (w == 0) return;
    const float near = 0.5f * (1 - shift), far = 0.5f * shift;
    for (size_t y = 0; y < h; ++y, plain += w, mirrored += w, out += w) {
        out[0] = 0.5f * plain[0] + 0.5f * mirrored[w - 1];
        for (size_t x = 1; x < w; ++x) out[x] = 0.5f * plain[x] + (near * mirrored[w - 1 - x] + far * mirrored[w - x]);
    }
}

}  // namespace detforge
