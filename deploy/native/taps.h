// Bicubic enlargement of rows and columns as weighted sums of their pixels.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "cubic.h"
#include "gaussian.h"

namespace detforge {

// The pixels of a row that each of `size` positions is made of: `count` from first[i] on, with weights[i * count + k].
// Two interpolations are in one: by `stride`, and of the first `content` px of that to `size`.
struct Taps {
    static constexpr ptrdiff_t most = 8;

    Taps(ptrdiff_t from, ptrdiff_t stride, ptrdiff_t content, ptrdiff_t size, bool mirrored) : first(size, -1) {
        std::vector<double> sums(size * most);
        for (ptrdiff_t i = 0; i < size; ++i) {
            const ptrdiff_t place = mirrored ? size - 1 - i : i;
            each(content, size, i, [&](ptrdiff_t px, float outer) {
                each(from, from * stride, px, [&](ptrdiff_t cell, float inner) {  // from left to right
                    if (first[place] < 0) first[place] = cell;
                    sums[place * most + cell - first[place]] += double(outer) * inner;
                    count = std::max(count, cell - first[place] + 1);
                });
            });
        }
        weights.resize(size * count);
        for (ptrdiff_t i = 0; i < size; ++i) {
            const ptrdiff_t start = std::max<ptrdiff_t>(0, std::min(first[i], from - count)), shift = first[i] - start;
            for (ptrdiff_t k = shift; k < count; ++k) weights[i * count + k] = static_cast<float>(sums[i * most + k - shift]);
            first[i] = start;
        }
    }

    // The most by which a value may exceed the largest of those that it is made of.
    float gain() const {
        float most_weight = 1;
        for (size_t i = 0; i < first.size(); ++i) {
            float sum = 0;
            for (ptrdiff_t k = 0; k < count; ++k) sum += std::abs(weights[i * count + k]);
            most_weight = std::max(most_weight, sum);
        }
        return most_weight * 1.0001f;  // for rounding
    }

    std::vector<ptrdiff_t> first;
    std::vector<float> weights;
    ptrdiff_t count = 1;

private:
    // The pixels of `from` that position i of `size` is interpolated from, and their weights.
    template <typename Use>
    static void each(ptrdiff_t from, ptrdiff_t size, ptrdiff_t i, Use use) {
        if (from == size) return use(i, 1.f);
        const double place = (i + 0.5) * (double(from) / size) - 0.5, whole = std::floor(place);
        float weights[4];
        cubic_weights(static_cast<float>(place - whole), weights);
        for (ptrdiff_t k = 0; k < 4; ++k) use(std::clamp<ptrdiff_t>(static_cast<ptrdiff_t>(whole) + k - 1, 0, from - 1), weights[k]);
    }
};

// Both write `size` pixels of a row; `stride` is the length of a whole one.
DETFORGE_CLONES static void stretch_row(const float* row, const int32_t* first, const float* weights, ptrdiff_t count,
                                        float* out, ptrdiff_t size, ptrdiff_t stride) {
    if (count == 4) {  // one interpolation
        const float *second = weights + stride, *third = second + stride, *fourth = third + stride;
        for (ptrdiff_t x = 0; x < size; ++x) {
            const float* from = row + first[x];
            out[x] = weights[x] * from[0] + second[x] * from[1] + third[x] * from[2] + fourth[x] * from[3];
        }
        return;
    }
    for (ptrdiff_t x = 0; x < size; ++x) out[x] = weights[x] * row[first[x]];
    for (ptrdiff_t k = 1; k < count; ++k) {
        const float* weight = weights + k * stride;
        for (ptrdiff_t x = 0; x < size; ++x) out[x] += weight[x] * row[first[x] + k];
    }
}

// Mixes `count` rows that follow one another.
DETFORGE_CLONES static void mix_taps(const float* rows, const float* weights, ptrdiff_t count, float* out, ptrdiff_t size,
                                     ptrdiff_t stride) {
    ptrdiff_t k = std::min<ptrdiff_t>(count, 4);
    const float *second = rows + (k > 1 ? stride : 0), *third = rows + (k > 2 ? 2 * stride : 0);
    const float* fourth = rows + (k > 3 ? 3 * stride : 0);
    const float a = weights[0], b = k > 1 ? weights[1] : 0, c = k > 2 ? weights[2] : 0, d = k > 3 ? weights[3] : 0;
    for (ptrdiff_t x = 0; x < size; ++x) out[x] = a * rows[x] + b * second[x] + c * third[x] + d * fourth[x];
    for (; k < count; ++k) {
        const float* row = rows + k * stride;
        for (ptrdiff_t x = 0; x < size; ++x) out[x] += weights[k] * row[x];
    }
}

}  // namespace detforge
