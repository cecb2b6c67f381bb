// Score fusion and selection of dense predictions: a threshold, then the top k of each level.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "../../plugins/core/simd.h"

namespace detforge {

constexpr float kNothing = -std::numeric_limits<float>::infinity();

// score^score_exponent * quality^quality_exponent.
struct Fusion {
    float score_exponent, quality_exponent;

    float operator()(float score, float quality) const {
        return power(score, score_exponent) * power(quality, quality_exponent);
    }

    // A lower bound: a score must be above it for the fused score to exceed `least`. Infinite if no score can.
    float least_score(float least, float quality) const {
        const float part = power(quality, quality_exponent);
        if (least < 0) return kNothing;
        if (score_exponent == 0) return part > least ? kNothing : std::numeric_limits<float>::infinity();
        return power(least / part, 1 / score_exponent) * (1 - 1e-5f);  // the powers are rounded
    }

private:
    static float power(float base, float exponent) {
        if (exponent == 1) return base;
        return exponent == 0.5f ? std::sqrt(base) : std::pow(base, exponent);
    }
};

// Keeps the `count` largest offered keys; of equal keys the first.
class Best {
public:
    explicit Best(size_t count) : count_(count) {}

    // Keys at or below this are not kept.
    float cut() const { return cut_; }

    void offer(float key, int64_t index) {
        if (!(key > cut_)) return;
        items_.push_back({key, index});
        if (items_.size() / 2 == count_) trim();  // twice the count may overflow
    }

    // Returns the indices in ascending order.
    std::vector<int64_t> take() {
        if (items_.size() > count_) trim();
        std::vector<int64_t> indices;
        for (const auto& item : items_) indices.push_back(item.second);
        std::sort(indices.begin(), indices.end());
        return indices;
    }

private:
    using Item = std::pair<float, int64_t>;

    void trim() {
        const auto better = [](const Item& a, const Item& b) {
            return a.first != b.first ? a.first > b.first : a.second < b.second;
        };
        const auto last = items_.begin() + static_cast<std::ptrdiff_t>(count_) - 1;
        std::nth_element(items_.begin(), last, items_.end(), better);
        cut_ = last->first;
        items_.resize(count_);
    }

    size_t count_;
    float cut_ = kNothing;
    std::vector<Item> items_;
};

// The largest value, ignoring NaN.
DETFORGE_CLONES static float largest(const float* values, size_t count) {
    constexpr size_t lanes = 16;
    float best[lanes];
    std::fill_n(best, lanes, kNothing);
    size_t i = 0;
    for (; i + lanes <= count; i += lanes) {
        for (size_t j = 0; j < lanes; ++j) best[j] = values[i + j] > best[j] ? values[i + j] : best[j];
    }
    for (; i < count; ++i) best[0] = values[i] > best[0] ? values[i] : best[0];
    for (size_t half = lanes / 2; half > 0; half /= 2) {
        for (size_t j = 0; j < half; ++j) best[j] = best[j + half] > best[j] ? best[j + half] : best[j];
    }
    return best[0];
}

// The index of the next value above `least`, or the end.
DETFORGE_CLONES static size_t next_above(const float* values, size_t begin, size_t end, float least) {
    constexpr size_t lanes = 32;
    for (; begin + lanes <= end; begin += lanes) {
        int any = 0;
        for (size_t i = 0; i < lanes; ++i) any |= values[begin + i] > least;
        if (any) break;
    }
    while (begin < end && !(values[begin] > least)) ++begin;
    return begin;
}

struct Rule {
    Fusion fusion;
    float conf;
    size_t top_k;
    bool threshold_fused, rank_fused;  // or by the class score alone
};

// Scores (a, classes) and, where there is one, quality (a,) or (a, classes).
struct Predictions {
    const float* scores;
    const float* quality;
    size_t classes;
    bool quality_of_pairs;

    float quality_of(size_t pair) const { return quality[quality_of_pairs ? pair : pair / classes]; }
    float best_quality(size_t point) const {
        return quality_of_pairs ? largest(quality + point * classes, classes) : quality[point];
    }
};

// Indices point * classes + label in ascending order, and fused scores.
struct Selected {
    std::vector<int64_t> pairs;
    std::vector<float> scores;
};

class Selector {
public:
    Selector(const Predictions& given, const Rule& rule) : given_(given), rule_(rule) {}

    // The `top_k` best pairs above the threshold, of the points from `begin` to `end`.
    void pairs(size_t begin, size_t end) {
        Best best(rule_.top_k);
        const auto offer = [&](size_t pair, float score, float fused) {
            best.offer(rule_.rank_fused ? fused : score, static_cast<int64_t>(pair));
        };
        if (rule_.threshold_fused || rule_.rank_fused) {
            for (size_t point = begin; point < end; ++point) {
                const float least = least_score(point, best.cut());
                each_above(point, point + 1, [&] { return least; }, offer);
            }
        } else {
            each_above(begin, end, [&] { return std::max(rule_.conf, best.cut()); }, offer);
        }
        for (const int64_t pair : best.take()) {
            selected_.pairs.push_back(pair);
            selected_.scores.push_back(fused(static_cast<size_t>(pair)));
        }
    }

    // All pairs above the threshold of the `top_k` points that rank best by their best class.
    void points(size_t begin, size_t end) {
        Best best(rule_.top_k);
        for (size_t point = begin; point < end; ++point) best.offer(rank(point), static_cast<int64_t>(point));
        for (const int64_t point : best.take()) {
            const auto at = static_cast<size_t>(point);
            const float least = least_score(at, kNothing);
            each_above(at, at + 1, [&] { return least; }, [&](size_t pair, float, float fused) {
                selected_.pairs.push_back(static_cast<int64_t>(pair));
                selected_.scores.push_back(fused);
            });
        }
    }

    Selected take() { return std::move(selected_); }

private:
    float fused(size_t pair) const {
        return given_.quality ? rule_.fusion(given_.scores[pair], given_.quality_of(pair)) : given_.scores[pair];
    }

    // A lower bound: a class score of the point must be above it to pass the threshold and exceed `cut`.
    float least_score(size_t point, float cut) const {
        const float by_score = std::max(rule_.threshold_fused ? kNothing : rule_.conf,
                                        rule_.rank_fused ? kNothing : cut);
        const float by_fused = std::max(rule_.threshold_fused ? rule_.conf : -1.f, rule_.rank_fused ? cut : -1.f);
        if (by_fused < 0) return by_score;
        return std::max(by_score, rule_.fusion.least_score(by_fused, given_.best_quality(point)));
    }

    // Calls a function for every pair of these points whose class score exceeds `least()` and that passes the
    // threshold. Pairs whose fused score is NaN, because the quality is undefined, do not pass.
    template <typename Least, typename Visit>
    void each_above(size_t begin, size_t end, Least least, Visit visit) const {
        const size_t last = end * given_.classes;
        for (size_t pair = begin * given_.classes; (pair = next_above(given_.scores, pair, last, least())) < last; ++pair) {
            const float score = given_.scores[pair], both = fused(pair);
            if ((rule_.threshold_fused ? both : score) > rule_.conf && both == both) visit(pair, score, both);
        }
    }

    float rank(size_t point) const {
        const size_t first = point * given_.classes;
        if (!rule_.rank_fused || !given_.quality_of_pairs) {
            const float best = largest(given_.scores + first, given_.classes);
            return rule_.rank_fused && best > kNothing ? rule_.fusion(best, given_.quality[point]) : best;
        }
        float best = kNothing;
        for (size_t label = 0; label < given_.classes; ++label) best = std::max(best, fused(first + label));
        return best;
    }

    const Predictions& given_;
    const Rule& rule_;
    Selected selected_;
};

}  // namespace detforge
