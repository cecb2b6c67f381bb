// Peaks of maps that are enlarged bicubically to the size of a region, without storing the enlarged maps.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "enlarged_maps.h"
#include "peaks.h"

namespace detforge {

constexpr ptrdiff_t most_region_px = 1 << 15;

// Maps of one size, each enlarged to h x w px.
class RegionPeaks {
public:
    RegionPeaks(ptrdiff_t map_h, ptrdiff_t map_w, ptrdiff_t h, ptrdiff_t w)
        : rows_(map_h, 1, map_h, h, false), columns_(map_w, 1, map_w, w, false), h_(h), w_(w),
          firsts_(columns_.first.begin(), columns_.first.end()), by_tap_(columns_.weights.size()), row_(map_w),
          stretched_(map_h * w), line_(w), high_(map_h), low_(map_h), bounds_(h) {
        for (ptrdiff_t x = 0; x < w; ++x) {
            for (ptrdiff_t k = 0; k < columns_.count; ++k) by_tap_[k * w + x] = columns_.weights[x * columns_.count + k];
        }
    }

    // The first of the highest pixels of the enlarged map, and its value.
    Peak operator()(const Map& map) {
        stretch(map);
        ptrdiff_t hopeful = 0;
        for (ptrdiff_t y = 0; y < h_; ++y) {
            bounds_[y] = bound(y);
            if (bounds_[y] > bounds_[hopeful]) hopeful = y;
        }
        const float least = row_peak(hopeful).value;
        Peak best{0, 0, -std::numeric_limits<float>::infinity()};
        for (ptrdiff_t y = 0; y < h_; ++y) {
            if (bounds_[y] < least) continue;
            const Peak peak = row_peak(y);
            if (peak.value > best.value) best = peak;
        }
        return best;
    }

private:
    // Enlarges each row of the map to its width, and finds the highest and lowest value of each.
    void stretch(const Map& map) {
        for (ptrdiff_t v = 0; v < map.h; ++v) {
            float* out = &stretched_[v * w_];
            std::transform(map.values + v * map.w, map.values + (v + 1) * map.w, row_.begin(), finite);
            stretch_row(row_.data(), firsts_.data(), by_tap_.data(), columns_.count, out, w_, w_);
            const auto [low, high] = std::minmax_element(out, out + w_);
            low_[v] = *low;
            high_[v] = *high;
        }
    }

    // What no pixel of an enlarged row exceeds.
    float bound(ptrdiff_t y) const {
        float sum = 0, size = 0;
        for (ptrdiff_t k = 0; k < rows_.count; ++k) {
            const ptrdiff_t v = rows_.first[y] + k;
            const float weight = rows_.weights[y * rows_.count + k];
            sum += weight * (weight > 0 ? high_[v] : low_[v]);
            size += std::abs(weight) * std::max(std::abs(high_[v]), std::abs(low_[v]));
        }
        return sum + 1e-5f * size;  // for rounding
    }

    Peak row_peak(ptrdiff_t y) {
        mix_taps(&stretched_[rows_.first[y] * w_], &rows_.weights[y * rows_.count], rows_.count, line_.data(), w_, w_);
        const ptrdiff_t x = argmax(line_.data(), w_);
        return {static_cast<double>(x), static_cast<double>(y), line_[x]};
    }

    Taps rows_, columns_;
    ptrdiff_t h_, w_;
    std::vector<int32_t> firsts_;
    std::vector<float> by_tap_;  // the columns' weights, one tap after the other
    std::vector<float> row_, stretched_, line_, high_, low_, bounds_;
};

}  // namespace detforge
