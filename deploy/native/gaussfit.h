// The least-squares Gaussian of a peak.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "peaks.h"

namespace detforge {

// Solves a x = b for a symmetric positive definite n x n `a` by Cholesky decomposition, in place. Returns false if `a`
// is not positive definite.
template <int n>
bool solve(double (&a)[n][n], double (&b)[n]) {
    for (int i = 0; i < n; ++i) {
        for (int j = 0; j <= i; ++j) {
            double rest = a[i][j];
            for (int k = 0; k < j; ++k) rest -= a[i][k] * a[j][k];
            if (i != j) {
                a[i][j] = rest / a[j][j];
            } else {
                // A pivot near 0 means that the column depends linearly on the others.
                if (!(rest > 1e-12 * a[i][i])) return false;
                a[i][i] = std::sqrt(rest);
            }
        }
    }
    for (int i = 0; i < n; ++i) {
        for (int k = 0; k < i; ++k) b[i] -= a[i][k] * b[k];
        b[i] /= a[i][i];
    }
    for (int i = n - 1; i >= 0; --i) {
        for (int k = i + 1; k < n; ++k) b[i] -= a[k][i] * b[k];
        b[i] /= a[i][i];
    }
    return true;
}

// Least squares of f log f = f (c0 + c1 x + c2 y + c3 x^2 + c4 y^2) over a window of 3 sigma where f > 0. The weight f
// suppresses the noise of the tails. Falls back to step_quarter if the fit has no maximum in the window.
inline void step_gaussfit(const Map& map, Peak& peak, double sigma) {
    const ptrdiff_t reach = static_cast<ptrdiff_t>(3 * sigma + 0.5);
    const ptrdiff_t x = std::lround(peak.x), y = std::lround(peak.y);
    double normal[5][5] = {}, right[5] = {};
    for (ptrdiff_t j = std::max<ptrdiff_t>(-reach, -y); j <= std::min(reach, map.h - 1 - y); ++j) {
        for (ptrdiff_t i = std::max<ptrdiff_t>(-reach, -x); i <= std::min(reach, map.w - 1 - x); ++i) {
            const double f = at(map, x + i, y + j) / peak.value;
            if (!(f > 0)) continue;
            const double u = i, v = j, row[5] = {1, u, v, u * u, v * v};
            for (int a = 0; a < 5; ++a) {
                right[a] += f * f * std::log(f) * row[a];
                for (int b = 0; b <= a; ++b) normal[a][b] += f * f * row[a] * row[b];
            }
        }
    }
    const bool fits = solve(normal, right) && right[3] < 0 && right[4] < 0;
    const double dx = -right[1] / (2 * right[3]), dy = -right[2] / (2 * right[4]);
    if (!fits || !(std::abs(dx) <= reach) || !(std::abs(dy) <= reach)) return step_quarter(map, peak);
    peak.x += dx;
    peak.y += dy;
}

}  // namespace detforge
