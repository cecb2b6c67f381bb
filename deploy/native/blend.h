// Resizes the maps of several runs of a network to one size and adds them.
#pragma once

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

namespace detforge {

// Along one axis: the two pixels in a row of `from` between which each of `to` samples is, and its distance from the
// first. Sample i is at `step` * i + `start`; a negative step mirrors the row. Samples outside are at the nearest pixel,
// and those up to one px past the last are blends of it with itself: they round as in PyTorch.
class Samples {
public:
    Samples(ptrdiff_t from, ptrdiff_t to, double step, double start) : first(to), second(to), weight(to) {
        const bool mirrored = step < 0;
        const auto last = static_cast<double>(from - 1);
        for (ptrdiff_t i = 0; i < to; ++i) {
            const double at = step * i + start, place = std::clamp(mirrored ? last - at : at, 0.0, last + 1);
            first[i] = std::min(static_cast<ptrdiff_t>(place), from - 1);
            second[i] = std::min(first[i] + 1, from - 1);
            weight[i] = static_cast<float>(place - first[i]);
            if (mirrored) {
                first[i] = from - 1 - first[i];
                second[i] = from - 1 - second[i];
            }
        }
    }

    std::vector<ptrdiff_t> first, second;
    std::vector<float> weight;
};

// Adds maps of h x w px to targets, bilinearly sampled and multiplied by a sign. A negative step mirrors.
class Blend {
public:
    Blend(ptrdiff_t h, ptrdiff_t w, const Samples& rows, const Samples& columns)
        : h_(h), w_(w), rows_(rows), columns_(columns) {}

    void operator()(const float* source, float* target, float sign) {
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
            for (ptrdiff_t x = 0; x < wide; ++x) out[x] += sign * mix(above[x], below[x], weight);
        }
    }

private:
    static float mix(float a, float b, float weight) { return (1 - weight) * a + weight * b; }

    ptrdiff_t h_, w_;
    Samples rows_, columns_;
    std::vector<float> stretched_;
};

}  // namespace detforge
