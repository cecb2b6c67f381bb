// Gaussian smoothing of heatmaps with the kernels of OpenCV 4, independent of the installed OpenCV.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

#include "loops.h"

namespace detforge {

// One heatmap in row-major order.
struct Map {
    const float* values;
    ptrdiff_t h, w;
};

// Networks may give any values: NaN, infinite, or so large that sums overflow, count as 0.
inline float finite(float value) { return std::abs(value) <= 1e30f ? value : 0.f; }

// The right half of a kernel of odd `size`, from its centre on. Up to 7 px OpenCV uses fixed values; above,
// sigma = 0.3 (half - 1) + 0.8 px, where half = (size - 1) / 2.
inline std::vector<double> gaussian(ptrdiff_t size) {
    if (size == 1) return {1.0};
    if (size == 3) return {0.5, 0.25};
    if (size == 5) return {0.375, 0.25, 0.0625};
    if (size == 7) return {0.28125, 0.21875, 0.109375, 0.03125};
    const double half = (size - 1) / 2.0, sigma = 0.3 * (half - 1) + 0.8;
    std::vector<double> kernel;
    double sum = 0;
    for (ptrdiff_t i = 0; i <= (size - 1) / 2; ++i) {
        kernel.push_back(std::exp(-0.5 * i * i / (sigma * sigma)));
        sum += i == 0 ? kernel.back() : 2 * kernel.back();
    }
    for (double& weight : kernel) weight /= sum;
    return kernel;
}

// The index in a row of n for position i, with reflection at the ends without repeating them.
inline ptrdiff_t reflected(ptrdiff_t i, ptrdiff_t n) {
    if (n == 1) return 0;
    const ptrdiff_t period = 2 * (n - 1), within = ((i % period) + period) % period;
    return within < n ? within : period - within;
}

enum class Beyond { zero, mirror };

// Smooths whole maps and reuses its memory.
class Smoother {
public:
    // The result includes `margin` px around the map.
    Smoother(ptrdiff_t size, Beyond beyond, ptrdiff_t margin = 0) : beyond_(beyond), margin_(margin) {
        for (const double weight : gaussian(size)) half_.push_back(static_cast<float>(weight));
    }

    // Sets one value of the last result to 0.
    void erase(ptrdiff_t index) { smooth_[index] = 0; }

    // Negates the last result.
    void turn_over() {
        for (float& value : smooth_) value = -value;
    }

    // Returns the smoothed map with its margin. The next call overwrites it.
    Map operator()(const Map& map) {
        const ptrdiff_t reach = half_.size() - 1, pad = margin_ + reach;
        const ptrdiff_t h = map.h + 2 * margin_, w = map.w + 2 * margin_, wide = map.w + 2 * pad;
        padded_.assign((map.h + 2 * pad) * wide, 0.f);
        middle_.resize(wide);
        smooth_.resize(h * w);
        fill(map, pad, wide);
        for (ptrdiff_t y = 0; y < h; ++y) {
            sum_pairs(half_.data(), reach, &padded_[(y + reach) * wide], wide, middle_.data(), wide);
            sum_pairs(half_.data(), reach, &middle_[reach], 1, &smooth_[y * w], w);
        }
        return {smooth_.data(), h, w};
    }

private:
    void fill(const Map& map, ptrdiff_t pad, ptrdiff_t wide) {
        for (ptrdiff_t y = 0; y < map.h; ++y) {
            float* row = &padded_[(y + pad) * wide + pad];
            for (ptrdiff_t x = 0; x < map.w; ++x) row[x] = finite(map.values[y * map.w + x]);
        }
        if (beyond_ == Beyond::zero) return;
        for (ptrdiff_t x = 1; x <= pad; ++x) {
            const ptrdiff_t left = reflected(-x, map.w), right = reflected(map.w - 1 + x, map.w);
            for (ptrdiff_t y = 0; y < map.h; ++y) {
                float* row = &padded_[(y + pad) * wide + pad];
                row[-x] = row[left];
                row[map.w - 1 + x] = row[right];
            }
        }
        for (ptrdiff_t y = 1; y <= pad; ++y) {
            for (const ptrdiff_t to : {-y, map.h - 1 + y}) {
                const float* from = &padded_[(reflected(to, map.h) + pad) * wide];
                std::copy(from, from + wide, &padded_[(to + pad) * wide]);
            }
        }
    }

    Beyond beyond_;
    ptrdiff_t margin_;
    std::vector<float> half_, padded_, middle_, smooth_;
};

}  // namespace detforge
