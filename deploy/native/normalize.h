// uint8 HWC pixels to a normalised, zero-padded float32 CHW canvas, in one pass.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace detforge {

// Plane c of the canvas becomes (pixel[channel[c]] - mean[c]) / std[c] over the image and 0 beyond it. The division
// is kept, since a product with the reciprocal rounds differently from the reference implementations.
inline void normalize(const uint8_t* image, size_t height, size_t width, float* canvas, size_t canvas_height,
                      size_t canvas_width, const int channel[3], const float mean[3], const float std[3]) {
    for (int c = 0; c < 3; ++c) {
        float* plane = canvas + c * canvas_height * canvas_width;
        for (size_t y = 0; y < height; ++y) {
            const uint8_t* source = image + y * width * 3 + channel[c];
            float* row = plane + y * canvas_width;
            for (size_t x = 0; x < width; ++x) row[x] = (static_cast<float>(source[3 * x]) - mean[c]) / std[c];
            std::memset(row + width, 0, (canvas_width - width) * sizeof(float));
        }
        std::memset(plane + height * canvas_width, 0, (canvas_height - height) * canvas_width * sizeof(float));
    }
}

}  // namespace detforge
