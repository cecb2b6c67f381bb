// Fills a canvas with an image, as ResizedFrame.fill of deploy/inputs/resize.py does.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "../deploy/native/antialias.h"
#include "../deploy/native/resize.h"
#include "frame.h"

namespace detforge {

// Writes an image (h, w, 3) RGB, normalised, to a canvas (3, h, w).
template <typename T>
void fill_canvas(const ImageInput& input, const Frame& frame, const uint8_t* rgb, T* canvas, size_t threads) {
    const auto side = [](int64_t length) { return static_cast<size_t>(length); };
    const Layout layout{side(frame.canvas[0]), side(frame.canvas[1]), side(frame.top), side(frame.left), side(frame.resized[0]), side(frame.resized[1])};
    Planes planes{{0, 1, 2}, {}, {}, {}};
    if (!input.rgb) std::swap(planes.channel[0], planes.channel[2]);
    for (size_t c = 0; c < 3; ++c) {
        planes.mean[c] = static_cast<float>(input.mean[c]);
        planes.std[c] = static_cast<float>(input.std[c]);
        const std::optional<double>& value = input.place.pad.value;
        planes.fill[c] = value ? static_cast<float>((*value - input.mean[c]) / input.std[c]) : 0.0f;
    }
    size_t height = side(frame.image[0]), width = side(frame.image[1]);
    std::vector<uint8_t> smaller;
    if (input.place.antialias) {
        smaller.resize(layout.height * layout.width * 3);
        antialias(rgb, height, width, smaller.data(), layout.height, layout.width);
        rgb = smaller.data();
        height = layout.height;
        width = layout.width;
    }
    resize(rgb, height, width, canvas, layout, planes, threads);
}

}  // namespace detforge
