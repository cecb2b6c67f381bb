// Object keypoint similarity, and suppression of poses by it.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <vector>

#include "nms.h"

namespace detforge {

// n poses: keypoints (n, k, 3) with x, y in px and a score, and areas (n,) of the people in px^2.
class Poses {
public:
    Poses(const float* keypoints, const double* areas, const double* sigmas, size_t n, size_t k,
          std::optional<float> least_score)
        : keypoints_(keypoints), areas_(areas), n_(n), k_(k), least_score_(least_score), scale_(k) {
        for (size_t j = 0; j < k; ++j) scale_[j] = 1 / (8 * sigmas[j] * sigmas[j]);
    }

    size_t size() const { return n_; }

    // The mean over keypoints of exp(-d^2 / (2 (2 sigma)^2 area)), with the mean of both areas, in double precision.
    // With `least_score` the mean is over keypoints with higher scores in both poses; 0 if there are none. A keypoint
    // with an undefined position counts as infinitely far away.
    double oks(size_t a, size_t b) const {
        const float* one = keypoints_ + a * k_ * 3;
        const float* two = keypoints_ + b * k_ * 3;
        const double per_area = 1 / ((areas_[a] + areas_[b]) / 2 + std::numeric_limits<double>::epsilon());
        double sum = 0;
        size_t count = 0;
        for (size_t j = 0; j < k_; ++j, one += 3, two += 3) {
            if (least_score_ && !(one[2] > *least_score_ && two[2] > *least_score_)) continue;
            const double dx = static_cast<double>(one[0]) - two[0], dy = static_cast<double>(one[1]) - two[1];
            const double exponent = (dx * dx + dy * dy) * scale_[j] * per_area;
            if (exponent >= 0 && exponent < kVanishes) sum += std::exp(-exponent);
            ++count;
        }
        return count ? sum / static_cast<double>(count) : 0;
    }

private:
    // exp(-50) is 2e-22, which is negligible. Distant people have only such keypoints, so this saves time.
    static constexpr double kVanishes = 50;

    const float* keypoints_;
    const double* areas_;
    size_t n_, k_;
    std::optional<float> least_score_;
    std::vector<double> scale_;
};

// The indices of the kept poses, best first, at most `limit`. A pose is kept if its score is above `floor` and its OKS
// with every better kept pose is at most the threshold.
inline std::vector<int64_t> oks_nms(const Poses& poses, const float* scores, double threshold, float floor,
                                    size_t limit) {
    std::vector<int64_t> kept;
    for (const int64_t i : best_first(scores, poses.size())) {
        if (kept.size() == limit || !(scores[i] > floor)) break;
        const bool goes = std::any_of(kept.begin(), kept.end(), [&](int64_t k) { return poses.oks(k, i) > threshold; });
        if (!goes) kept.push_back(i);
    }
    return kept;
}

// Soft-NMS of poses: the factor is exp(-OKS^2 / sigma), or without a sigma 1 - OKS if the OKS is at least the
// threshold.
inline Scored soft_oks_nms(const Poses& poses, const float* scores, double threshold, std::optional<double> sigma,
                            float floor, size_t limit) {
    return lower_others(scores, poses.size(), floor, limit, [&](int64_t best, int64_t other) {
        const double alike = poses.oks(best, other);
        if (sigma) return std::exp(-alike * alike / *sigma);
        return alike >= threshold ? 1 - alike : 1.0;
    });
}

}  // namespace detforge
