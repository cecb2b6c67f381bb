// Decoding of a coordinate from its row of bins.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

#include "dark.h"
#include "peaks.h"

namespace detforge {

// The Newton step from the best bin on the logarithm of the smoothed row, with derivatives over two bins, as in DARK.
// `kernel` is the right half of a Gaussian.
inline double step_bins(const float* bins, ptrdiff_t count, ptrdiff_t best, const std::vector<double>& kernel,
                        std::vector<double>& smooth) {
    constexpr Limits limits{1e-3, 50};
    const ptrdiff_t half = kernel.size() - 1;
    const auto smoothed = [&](ptrdiff_t i) {
        double sum = 0;
        for (ptrdiff_t j = std::max<ptrdiff_t>(i - half, 0); j <= std::min(i + half, count - 1); ++j) {
            sum += kernel[std::abs(j - i)] * finite(bins[j]);
        }
        return sum;
    };
    double values[5], factor = 1;
    for (ptrdiff_t i = 0; i < 5; ++i) values[i] = smoothed(std::clamp<ptrdiff_t>(best + i - 2, 0, count - 1));
    if (limits.cut(values, 5, finite(bins[best]))) {
        smooth.resize(count);
        for (ptrdiff_t i = 0; i < count; ++i) smooth[i] = smoothed(i);
        factor = rescaling(finite(bins[best]), smooth.data(), count);
    }
    for (double& value : values) value = limits.log(value * factor);
    const double bend = 1e-9 + 0.25 * (values[4] - 2 * values[2] + values[0]);
    const double step = -0.5 * (values[3] - values[1]) / bend;
    return std::isfinite(step) ? step : 0;
}

}  // namespace detforge
