// Soft-argmax: the expected position under a softmax of a map.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "../../plugins/core/simd.h"
#include "loops.h"
#include "peaks.h"

namespace detforge {

// exp(x) for -87 <= x <= 0, accurate to about 2 ulp; below -87 results are not normal numbers. It has no branches, so
// that compilers vectorise it. x is split into n log 2 + r with |r| <= log(2) / 2.
DETFORGE_INLINE float exp_below(float x) {
    constexpr float round = 12582912.f;  // 1.5 * 2^23: adding and subtracting it rounds to integers
    const float n = (x * 1.44269504f + round) - round;
    const float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
    // Taylor series; the first omitted term is r^7 / 5040 < 2e-7.
    const float tail = 1.f / 24 + r * (1.f / 120 + r * (1.f / 720));
    const float value = 1.f + r * (1.f + r * (0.5f + r * (1.f / 6 + r * tail)));
    const int32_t bits = (static_cast<int32_t>(n) + 127) << 23;
    float power;
    std::memcpy(&power, &bits, sizeof power);
    return value * power;
}

// For each column of a map (h, w), sums of exp(factor (value - most)) and of the same times y. `powers` has length w.
DETFORGE_CLONES static void add_powers(const float* values, ptrdiff_t h, ptrdiff_t w, float most, float factor,
                                       float* powers, double* sums, double* moments) {
    for (ptrdiff_t y = 0; y < h; ++y, values += w) {
        for (ptrdiff_t x = 0; x < w; ++x) {
            // The comparison gives NaN the smallest weight.
            const float power = factor * (values[x] - most);
            powers[x] = power > -87.f ? power : -87.f;
        }
        for (ptrdiff_t x = 0; x < w; ++x) powers[x] = exp_below(powers[x]);
        for (ptrdiff_t x = 0; x < w; ++x) sums[x] += powers[x];
        for (ptrdiff_t x = 0; x < w; ++x) moments[x] += static_cast<double>(powers[x]) * y;
    }
}

class Integral {
public:
    // Soft-argmax (Sun et al., arXiv 1711.08229) of `beta` times the map over `scale`. With debiasing (Gu et al., arXiv
    // 2107.13788) the background of the softmax is removed: C / (C - 1) (x - w / 2C) with C = sum exp(map / scale),
    // without `beta` as in mmpose. The value is always 1, because a softmax has no score, unless all values are NaN.
    Peak operator()(const Map& map, double beta, bool debias, double scale) {
        const ptrdiff_t index = argmax(map.values, map.h * map.w);
        if (index < 0 || !std::isfinite(map.values[index])) return empty(0);
        const float most = map.values[index];
        add(map, most, static_cast<float>(beta / scale));
        double sum = 0, x_sum = 0, y_sum = 0;
        for (ptrdiff_t x = 0; x < map.w; ++x) {
            sum += sums_[x];
            x_sum += x * sums_[x];
            y_sum += moments_[x];
        }
        Peak peak{x_sum / sum, y_sum / sum, 1};
        if (!debias) return peak;
        add(map, most, static_cast<float>(1 / scale));
        double whole = 0;
        for (const double column : sums_) whole += column;
        const double floor = std::exp(-most / scale) / whole;  // 1 / C
        if (floor < 1) {  // for C <= 1 there is no background to remove
            peak.x = (peak.x - floor * map.w / 2) / (1 - floor);
            peak.y = (peak.y - floor * map.h / 2) / (1 - floor);
        }
        return peak;
    }

private:
    void add(const Map& map, float most, float factor) {
        powers_.resize(map.w);
        sums_.assign(map.w, 0);
        moments_.assign(map.w, 0);
        add_powers(map.values, map.h, map.w, most, factor, powers_.data(), sums_.data(), moments_.data());
    }

    std::vector<float> powers_;
    std::vector<double> sums_, moments_;
};

}  // namespace detforge
