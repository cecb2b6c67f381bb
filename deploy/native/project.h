// Resizes the maps of several runs of a network to one size and adds them.
#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

namespace detforge {

// The two pixels in a row of `from` between which each of `to` samples is, and its distance from the first.
class Samples {
public:
    // Pixels are areas; or with `aligned` points, and the first and last pixels of both rows coincide.
    Samples(ptrdiff_t from, ptrdiff_t to, bool aligned) : first(to), second(to), weight(to) {
        const double step = aligned ? (to > 1 ? double(from - 1) / (to - 1) : 0) : double(from) / to;
        for (ptrdiff_t i = 0; i < to; ++i) {
            const double place = std::max(aligned ? i * step : (i + 0.5) * step - 0.5, 0.0);
            first[i] = std::min(static_cast<ptrdiff_t>(place), from - 1);
            second[i] = std::min(first[i] + 1, from - 1);
            weight[i] = static_cast<float>(place - first[i]);
        }
    }

    std::vector<ptrdiff_t> first, second;
    std::vector<float> weight;
};

// Adds maps (k, h, w) to a target (k, target h, target w), resized bilinearly and with `mirrored` mirrored left to
// right.
class Projection {
public:
    Projection(ptrdiff_t h, ptrdiff_t w, ptrdiff_t target_h, ptrdiff_t target_w, bool aligned, bool mirrored)
        : h_(h), w_(w), rows_(h, target_h, aligned), columns_(w, target_w, aligned) {
        if (!mirrored) return;
        for (auto* places : {&columns_.first, &columns_.second}) {
            for (ptrdiff_t& place : *places) place = w - 1 - place;
        }
    }

    void add(const float* source, float* target) {
        const ptrdiff_t wide = columns_.first.size();
        stretched_.resize(h_ * wide);
        for (ptrdiff_t y = 0; y < h_; ++y) {
            const float* row = source + y * w_;
            float* out = &stretched_[y * wide];
            for (ptrdiff_t x = 0; x < wide; ++x) {
                out[x] = mix(row[columns_.first[x]], row[columns_.second[x]], columns_.weight[x]);
            }
        }
        for (size_t y = 0; y < rows_.first.size(); ++y) {
            const float *above = &stretched_[rows_.first[y] * wide], *below = &stretched_[rows_.second[y] * wide];
            const float weight = rows_.weight[y];
            float* out = target + y * wide;
            for (ptrdiff_t x = 0; x < wide; ++x) out[x] += mix(above[x], below[x], weight);
        }
    }

private:
    static float mix(float a, float b, float weight) { return (1 - weight) * a + weight * b; }

    ptrdiff_t h_, w_;
    Samples rows_, columns_;
    std::vector<float> stretched_;
};

}  // namespace detforge
