// Places an image on its canvas, as deploy/inputs/resize.py does.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>

#include "card.h"

namespace detforge {

// Sizes are (height, width) px.
using Size = std::array<int64_t, 2>;

// The largest canvas; its values take 3 GB.
constexpr int64_t kMostPixels = 1 << 28;

struct Frame {
    Size image, resized, canvas;
    int64_t top = 0, left = 0;
    std::optional<double> factor;
};

inline int64_t padded_side(const PadRule& pad, int64_t side) {
    if (pad.rule == "nearest") {
        const double steps = std::nearbyint(static_cast<double>(side) / static_cast<double>(pad.multiple));
        return std::max<int64_t>(1, static_cast<int64_t>(steps)) * pad.multiple;
    }
    if (pad.rule == "ceil") return (side + pad.multiple - 1) / pad.multiple * pad.multiple;
    return (side | (pad.multiple - 1)) + (pad.rule == "or+1");
}

inline Size padded(const PadRule& pad, const Size& size) {
    return pad.canvas ? *pad.canvas : Size{padded_side(pad, size[0]), padded_side(pad, size[1])};
}

// The px of the canvas per px of the image, before rounding.
inline double factor_of(const ResizeRule& rule, const Size& image) {
    const auto height = static_cast<double>(image[0]), width = static_cast<double>(image[1]);
    if (!rule.size) return std::max(1.0, static_cast<double>(rule.least) / std::min(height, width));
    const auto first = static_cast<double>((*rule.size)[0]), second = static_cast<double>((*rule.size)[1]);
    if (rule.by_edges) return std::min(second / std::max(height, width), first / std::min(height, width));
    return std::min(first / height, second / width);
}

inline Size resized_size(const ResizeRule& rule, const Size& image) {
    if (rule.size && !rule.keep_aspect) return *rule.size;
    const double factor = factor_of(rule, image), half = rule.floors ? 0.0 : 0.5;
    Size size;
    for (size_t axis = 0; axis < 2; ++axis) {
        size[axis] = std::max<int64_t>(1, static_cast<int64_t>(static_cast<double>(image[axis]) * factor + half));
    }
    return rule.keep_aspect ? size : padded(rule.pad, size);
}

inline Frame frame_of(const ResizeRule& rule, const Size& image) {
    Frame frame{image, resized_size(rule, image), {}, 0, 0, std::nullopt};
    frame.canvas = padded(rule.pad, frame.resized);
    const bool is_larger = frame.resized[0] > frame.canvas[0] || frame.resized[1] > frame.canvas[1];
    if (is_larger || frame.canvas[0] > kMostPixels / frame.canvas[1]) {
        const std::string size = std::to_string(image[1]) + "x" + std::to_string(image[0]);
        throw std::runtime_error("an image of " + size + " px does not fit the model's canvas; split it into parts");
    }
    if (rule.pad.centered) {  // aligns the middle pixels of both
        frame.top = frame.canvas[0] / 2 - frame.resized[0] / 2;
        frame.left = frame.canvas[1] / 2 - frame.resized[1] / 2;
    }
    if (rule.inverse == "factor") frame.factor = factor_of(rule, image);
    if (rule.inverse == "height") frame.factor = static_cast<double>(frame.resized[0]) / static_cast<double>(image[0]);
    return frame;
}

}  // namespace detforge
