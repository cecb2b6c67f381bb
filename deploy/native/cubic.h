// Bicubic interpolation with the kernel and the borders of OpenCV: a = -0.75, and pixels outside equal the nearest ones.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

#include "gaussian.h"
#include "loops.h"

namespace detforge {

// The weights of four neighbours of a position that is `part` of a pixel past the second one.
inline void cubic_weights(float part, float weights[4]) {
    constexpr float a = -0.75f;
    const float far = part + 1, rest = 1 - part;
    weights[0] = ((a * far - 5 * a) * far + 8 * a) * far - 4 * a;
    weights[1] = ((a + 2) * part - (a + 3)) * part * part + 1;
    weights[2] = ((a + 2) * rest - (a + 3)) * rest * rest + 1;
    weights[3] = 1 - weights[0] - weights[1] - weights[2];
}

DETFORGE_CLONES static void mix_rows(const float* const rows[4], const float weights[4], float* out, ptrdiff_t count) {
    for (ptrdiff_t x = 0; x < count; ++x) {
        out[x] = weights[0] * rows[0][x] + weights[1] * rows[1][x] + weights[2] * rows[2][x] + weights[3] * rows[3][x];
    }
}

// Enlarges small parts of maps by a whole factor, and reuses its memory.
class Enlarged {
public:
    explicit Enlarged(ptrdiff_t factor) : factor_(factor), weights_(4 * factor), shifts_(factor) {
        for (ptrdiff_t i = 0; i < factor; ++i) {
            const double place = (i + 0.5) / factor - 0.5, whole = std::floor(place);
            shifts_[i] = static_cast<ptrdiff_t>(whole) - 1;
            cubic_weights(static_cast<float>(place - whole), &weights_[4 * i]);
        }
    }

    // The part of h x w px at (x, y), which lies inside the map. The next call overwrites it.
    Map operator()(const Map& map, ptrdiff_t x, ptrdiff_t y, ptrdiff_t h, ptrdiff_t w) {
        const ptrdiff_t wide = w * factor_, tall = h * factor_;
        rows_.resize(h * wide);
        out_.resize(tall * wide);
        for (ptrdiff_t j = 0; j < h; ++j) {
            const float* row = map.values + (y + j) * map.w + x;
            for (ptrdiff_t i = 0; i < wide; ++i) {
                const ptrdiff_t first = i / factor_ + shifts_[i % factor_];
                const float* weights = &weights_[4 * (i % factor_)];
                float sum = 0;
                for (ptrdiff_t tap = 0; tap < 4; ++tap) {
                    sum += weights[tap] * finite(row[std::clamp<ptrdiff_t>(first + tap, 0, w - 1)]);
                }
                rows_[j * wide + i] = sum;
            }
        }
        for (ptrdiff_t j = 0; j < tall; ++j) {
            const ptrdiff_t first = j / factor_ + shifts_[j % factor_];
            const float* rows[4];
            for (ptrdiff_t tap = 0; tap < 4; ++tap) rows[tap] = &rows_[std::clamp<ptrdiff_t>(first + tap, 0, h - 1) * wide];
            mix_rows(rows, &weights_[4 * (j % factor_)], &out_[j * wide], wide);
        }
        return {out_.data(), tall, wide};
    }

private:
    ptrdiff_t factor_;
    std::vector<float> weights_;
    std::vector<ptrdiff_t> shifts_;
    std::vector<float> rows_, out_;
};

}  // namespace detforge
