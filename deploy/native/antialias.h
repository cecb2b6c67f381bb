// The bilinear resize of Pillow for 8-bit pixels, to the last bit: a triangle as wide as the step between output pixels,
// so that a reduction averages all pixels. Rows come first and are rounded to 8 bits, then columns; weights are in
// fixed point. (Pillow 13 begins with the columns if the width grows and the height shrinks; older ones do not.)
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "../../plugins/core/simd.h"

namespace detforge {

// The weights of each output pixel of one axis: `count` input pixels from `first` on.
struct Triangles {
    static constexpr int kBits = 22;
    struct Span {
        size_t first, count;
    };
    std::vector<Span> spans;
    std::vector<int32_t> weights;  // `widest` for each output pixel
    size_t widest;

    Triangles(size_t pixels, size_t resized) {
        const double step = static_cast<double>(pixels) / static_cast<double>(resized), support = std::max(step, 1.0);
        widest = static_cast<size_t>(std::ceil(support)) * 2 + 1;
        weights.assign(widest * resized, 0);
        std::vector<double> parts;
        for (size_t i = 0; i < resized; ++i) {
            const double centre = (static_cast<double>(i) + 0.5) * step;
            const auto first = static_cast<size_t>(std::max(0.0, centre - support + 0.5));
            const size_t end = std::min(pixels, static_cast<size_t>(centre + support + 0.5));
            parts.clear();
            double sum = 0;
            for (size_t x = first; x < end; ++x) {
                const double far = std::abs((static_cast<double>(x) - centre + 0.5) * (1 / support));
                parts.push_back(std::max(0.0, 1 - far));
                sum += parts.back();
            }
            for (size_t k = 0; k < parts.size(); ++k) {
                const double weight = sum == 0 ? parts[k] : parts[k] / sum;
                weights[i * widest + k] = static_cast<int32_t>(0.5 + weight * (1 << kBits));
            }
            spans.push_back({first, parts.size()});
        }
    }
};

inline uint8_t rounded(int32_t sum) { return static_cast<uint8_t>(std::clamp(sum >> Triangles::kBits, 0, 255)); }

DETFORGE_CLONES static void add_row(const uint8_t* row, int32_t weight, int32_t* sums, size_t count) {
    for (size_t x = 0; x < count; ++x) sums[x] += weight * row[x];
}

// Resizes (height, width, 3) pixels to (out_height, out_width, 3).
inline void antialias(const uint8_t* image, size_t height, size_t width, uint8_t* out, size_t out_height, size_t out_width) {
    constexpr int32_t kHalf = 1 << (Triangles::kBits - 1);
    const Triangles rows(height, out_height), columns(width, out_width);
    std::vector<uint8_t> narrow(height * out_width * 3);
    if (width == out_width) {
        std::copy_n(image, narrow.size(), narrow.data());
    } else {
        for (size_t y = 0; y < height; ++y) {
            for (size_t x = 0; x < out_width; ++x) {
                const Triangles::Span& span = columns.spans[x];
                const uint8_t* pixel = image + (y * width + span.first) * 3;
                const int32_t* weight = &columns.weights[x * columns.widest];
                int32_t sums[3] = {kHalf, kHalf, kHalf};
                for (size_t k = 0; k < span.count; ++k) {
                    for (size_t c = 0; c < 3; ++c) sums[c] += weight[k] * pixel[3 * k + c];
                }
                for (size_t c = 0; c < 3; ++c) narrow[(y * out_width + x) * 3 + c] = rounded(sums[c]);
            }
        }
    }
    if (height == out_height) {
        std::copy_n(narrow.data(), narrow.size(), out);
        return;
    }
    std::vector<int32_t> sums(out_width * 3);
    for (size_t y = 0; y < out_height; ++y) {
        std::fill(sums.begin(), sums.end(), kHalf);
        const Triangles::Span& span = rows.spans[y];
        for (size_t k = 0; k < span.count; ++k) {
            add_row(&narrow[(span.first + k) * out_width * 3], rows.weights[y * rows.widest + k], sums.data(), sums.size());
        }
        std::transform(sums.begin(), sums.end(), out + y * out_width * 3, rounded);
    }
}

}  // namespace detforge
