// DARK and its variants: a Newton step on the logarithm of a smoothed map (Zhang et al., arXiv 1910.06278).
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

#include "peaks.h"

namespace detforge {

// Limits of values before the logarithm. Smoothing lowers a peak, and the reference rescales the map to its former
// maximum. The factor cancels in the derivatives of the logarithm unless a value is clamped, so it is computed only
// then. It is at least 1, and no smoothed value times it exceeds the maximum. If no smoothed value is above 0, as with
// untrained networks, it is negative and negates the map, as in mmpose.
struct Limits {
    double low, high;
    bool cut(const double* values, size_t count, double maximum) const {
        return maximum > high || *std::min_element(values, values + count) < low;
    }
    double log(double value) const { return std::log(std::clamp(value, low, high)); }
};

constexpr Limits udp_limits{1e-3, 50};

template <typename T>
double rescaling(double maximum, const T* smooth, ptrdiff_t count) {
    const double most = *std::max_element(smooth, smooth + count);
    return most != 0 ? maximum / most : 1;
}

// Logarithms of the smoothed map up to `reach` px around the peak. Without a rescaler the map is not rescaled, and is
// padded by reflection instead of with zeros, as mmpose 0.x does.
template <ptrdiff_t reach>
class Surroundings {
public:
    Surroundings(const Map& map, const Peak& peak, const std::vector<double>& kernel, double scale, Limits limits,
                 Smoother* rescaler) {
        smooth_around(map, std::lround(peak.x), std::lround(peak.y), kernel, rescaler == nullptr);
        for (double& value : values_) value /= scale;
        double factor = 1;
        if (rescaler && limits.cut(values_, side * side, peak.value / scale)) {
            const Map smooth = (*rescaler)(map);
            factor = rescaling(peak.value, smooth.values, smooth.h * smooth.w);
        }
        for (double& value : values_) value = limits.log(value * factor);
    }

    double operator()(ptrdiff_t x, ptrdiff_t y) const { return values_[(y + reach) * side + x + reach]; }

private:
    static constexpr ptrdiff_t side = 2 * reach + 1;

    void smooth_around(const Map& map, ptrdiff_t x, ptrdiff_t y, const std::vector<double>& kernel, bool mirrored) {
        const ptrdiff_t half = kernel.size() - 1;
        std::fill(values_, values_ + side * side, 0.0);
        for (ptrdiff_t j = -reach - half; j <= reach + half; ++j) {
            if (!mirrored && (y + j < 0 || y + j >= map.h)) continue;
            const ptrdiff_t from = reflected(y + j, map.h);
            double row[side] = {};
            for (ptrdiff_t i = -reach - half; i <= reach + half; ++i) {
                if (!mirrored && (x + i < 0 || x + i >= map.w)) continue;
                const double value = at(map, mirrored ? reflected(x + i, map.w) : x + i, from);
                for (ptrdiff_t to = std::max(-reach, i - half); to <= std::min(reach, i + half); ++to) {
                    row[to + reach] += kernel[std::abs(to - i)] * value;
                }
            }
            for (ptrdiff_t to = std::max(-reach, j - half); to <= std::min(reach, j + half); ++to) {
                const double weight = kernel[std::abs(to - j)];
                for (ptrdiff_t i = 0; i < side; ++i) values_[(to + reach) * side + i] += weight * row[i];
            }
        }
    }

    double values_[side * side];
};

// DARK: second derivatives over a distance of two pixels. Peaks near the border are not refined.
inline void step_dark(const Map& map, Peak& peak, const std::vector<double>& kernel, double scale,
                      Smoother& smoother) {
    if (peak.x <= 1 || peak.x >= map.w - 2 || peak.y <= 1 || peak.y >= map.h - 2) return;
    const Surroundings<2> log(map, peak, kernel, scale, {1e-10, 1e30}, &smoother);
    const double dxx = 0.25 * (log(2, 0) - 2 * log(0, 0) + log(-2, 0));
    const double dyy = 0.25 * (log(0, 2) - 2 * log(0, 0) + log(0, -2));
    const double dxy = 0.25 * (log(1, 1) - log(1, -1) - log(-1, 1) + log(-1, -1));
    double step[2];
    if (!newton(0.5 * (log(1, 0) - log(-1, 0)), 0.5 * (log(0, 1) - log(0, -1)), dxx, dxy, dyy, step)) return;
    peak.x += step[0];
    peak.y += step[1];
}

// UDP's variant (Huang et al., arXiv 1911.07524): second derivatives over one pixel, with border pixels repeated.
inline void step_udp(const Map& map, Peak& peak, const std::vector<double>& kernel, double scale,
                     Smoother* rescaler) {
    constexpr double ridge = 1.1920929e-07;  // as in mmpose, so that the Hessian of a flat map is invertible
    const Surroundings<1> log(map, peak, kernel, scale, udp_limits, rescaler);
    const ptrdiff_t left = peak.x > 0 ? -1 : 0, right = peak.x < map.w - 1 ? 1 : 0;
    const ptrdiff_t up = peak.y > 0 ? -1 : 0, down = peak.y < map.h - 1 ? 1 : 0;
    const double centre = log(0, 0), l = log(left, 0), r = log(right, 0), u = log(0, up), d = log(0, down);
    const double dxx = r - 2 * centre + l, dyy = d - 2 * centre + u;
    const double dxy = 0.5 * (log(right, down) - r - d + 2 * centre - l - u + log(left, up));
    double step[2];
    if (!newton(0.5 * (r - l), 0.5 * (d - u), dxx + ridge, dxy, dyy + ridge, step)) return;
    peak.x += step[0];
    peak.y += step[1];
}

}  // namespace detforge
