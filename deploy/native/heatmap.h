// Decoding of one keypoint from one heatmap, by the methods in forms/heatmaps.py.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

#include "dark.h"
#include "gaussfit.h"
#include "gaussian.h"
#include "integral.h"
#include "peaks.h"

namespace detforge {

enum class Method { argmax, quarter, parabola, paraboloid, dark, udp, megvii, second_peak, gaussfit, integral };

// The parameters of Heatmaps in forms/heatmaps.py.
struct HeatmapRules {
    Method method;
    ptrdiff_t blur;
    double sigma, beta;
    bool debias;
    double scale;
    bool older;  // mmpose 0.x
};

constexpr ptrdiff_t second_peak_margin = 10;

class HeatmapDecoder {
public:
    explicit HeatmapDecoder(const HeatmapRules& rules)
        : rules_(rules), kernel_(gaussian(rules.blur)),
          smoother_(rules.blur, Beyond::zero, rules.method == Method::second_peak ? second_peak_margin : 0) {}

    // The position in px of the map, and the score.
    Peak operator()(const Map& map) {
        if (rules_.method == Method::integral) return integral_(map, rules_.beta, rules_.debias, rules_.scale);
        Peak peak = top(map);
        if (peak.value > 0) step(map, peak);
        peak.value /= rules_.scale;
        if (rules_.method == Method::megvii || rules_.method == Method::second_peak) peak.value += 0.5f;
        return peak;
    }

private:
    void step(const Map& map, Peak& peak) {
        switch (rules_.method) {
            case Method::quarter: return step_quarter(map, peak, rules_.older);
            case Method::parabola: return step_parabola(map, peak);
            case Method::paraboloid: return step_paraboloid(map, peak);
            case Method::dark: return step_dark(map, peak, kernel_, rules_.scale, smoother_);
            case Method::udp: return step_udp(map, peak, kernel_, rules_.scale, rules_.older ? nullptr : &smoother_);
            case Method::megvii: return step_megvii(map, peak);
            case Method::second_peak: return step_second_peak(map, peak);
            case Method::gaussfit: return step_gaussfit(map, peak, rules_.sigma);
            default: return;
        }
    }

    // MSPN's rule as mmpose implements it: the largest pixel of the smoothed map, moved by a quarter of a pixel, plus
    // 0.5. mmpose rescales the smoothed map to its former maximum. If no smoothed value is above 0, as with untrained
    // networks, that factor is negative and negates the map.
    void step_megvii(const Map& map, Peak& peak) {
        const Map smooth = smoother_(map);
        const ptrdiff_t count = smooth.h * smooth.w;
        ptrdiff_t index = argmax(smooth.values, count);
        if (const float most = smooth.values[index]; most < 0) {
            smoother_.turn_over();
            index = argmax(smooth.values, count);
            peak.value *= smooth.values[index] / -most;
        }
        const ptrdiff_t x = index % map.w, y = index / map.w;
        peak.x = x;
        peak.y = y;
        if (x <= 1 || x >= map.w - 1 || y <= 1 || y >= map.h - 1) return;
        peak.x += 0.25 * sign(at(smooth, x + 1, y) - at(smooth, x - 1, y)) + 0.5;
        peak.y += 0.25 * sign(at(smooth, x, y + 1) - at(smooth, x, y - 1)) + 0.5;
    }

    // The rule of the authors of MSPN and RSN: the largest pixel of the smoothed map, padded by 10 px, moved by a
    // quarter of a pixel towards the second largest. The value is that of the unsmoothed map there.
    void step_second_peak(const Map& map, Peak& peak) {
        const Map smooth = smoother_(map);
        const ptrdiff_t count = smooth.h * smooth.w, first = argmax(smooth.values, count);
        smoother_.erase(first);
        const ptrdiff_t second = argmax(smooth.values, count);
        const double dx = second % smooth.w - first % smooth.w, dy = second / smooth.w - first / smooth.w;
        const double length = std::max(std::hypot(dx, dy), 1e-3);
        peak.x = first % smooth.w - second_peak_margin + 0.25 * dx / length;
        peak.y = first / smooth.w - second_peak_margin + 0.25 * dy / length;
        peak.x = std::clamp(peak.x, 0.0, map.w - 1.0);
        peak.y = std::clamp(peak.y, 0.0, map.h - 1.0);
        peak.value = at(map, std::lround(peak.x), std::lround(peak.y));
        peak.x += 0.5;
        peak.y += 0.5;
    }

    HeatmapRules rules_;
    std::vector<double> kernel_;
    Smoother smoother_;
    Integral integral_;
};

}  // namespace detforge
