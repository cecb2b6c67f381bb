// uint8 HWC pixels to a normalised, padded float32 CHW canvas, in one pass.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace detforge {

// Plane c of the canvas becomes (pixel[channel[c]] - mean[c]) / std[c] over the image, whose first pixel lies at (top,
// left), and fill[c] around it. The division is kept, since a product with the reciprocal rounds differently from the
// reference implementations.
inline void normalize(const uint8_t* image, size_t height, size_t width, float* canvas, size_t canvas_height,
                      size_t canvas_width, size_t top, size_t left, const int channel[3], const float mean[3],
                      const float std[3], const float fill[3]) {
    for (int c = 0; c < 3; ++c) {
        float* plane = canvas + c * canvas_height * canvas_width;
        std::fill(plane, plane + top * canvas_width, fill[c]);
        for (size_t y = 0; y < height; ++y) {
            const uint8_t* source = image + y * width * 3 + channel[c];
            float* row = plane + (top + y) * canvas_width;
            std::fill(row, row + left, fill[c]);
            for (size_t x = 0; x < width; ++x) row[left + x] = (static_cast<float>(source[3 * x]) - mean[c]) / std[c];
            std::fill(row + left + width, row + canvas_width, fill[c]);
        }
        std::fill(plane + (top + height) * canvas_width, plane + canvas_height * canvas_width, fill[c]);
    }
}

}  // namespace detforge
