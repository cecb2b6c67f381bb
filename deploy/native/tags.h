// Grouping of the keypoints of all people by their tags: associative embedding (Newell et al., arXiv 1611.05424).
//
// The peculiarities of the published code are reproduced; comments mark each of them.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "assignment.h"
#include "joint.h"
#include "peaks.h"
#include "top.h"

namespace detforge {

// Heatmaps (k, h, w) and tags (views, k, h, w), where views is 1, or 2 with the mirrored image.
struct TagMaps {
    const float* heatmaps;
    const float* tags;
    ptrdiff_t views, k, h, w;

    Map heatmap(ptrdiff_t keypoint) const { return {heatmaps + keypoint * h * w, h, w}; }
    const float* tag(ptrdiff_t view, ptrdiff_t keypoint) const { return tags + (view * k + keypoint) * h * w; }
};

struct TagRules {
    std::vector<ptrdiff_t> order;
    size_t top_k;
    float least_peak;
    double distance;
};

// The mean of tags, with one value per view.
class MeanTag {
public:
    explicit MeanTag(ptrdiff_t views) : sum_(views) {}

    void add(const TagMaps& maps, ptrdiff_t keypoint, ptrdiff_t pixel) {
        for (size_t view = 0; view < sum_.size(); ++view) sum_[view] += maps.tag(view, keypoint)[pixel];
        ++count_;
    }

    std::vector<float> value() const {
        std::vector<float> mean;
        for (const double sum : sum_) mean.push_back(static_cast<float>(sum / count_));
        return mean;
    }

private:
    std::vector<double> sum_;
    int count_ = 0;
};

struct Person {
    float key;  // the first view's tag of the keypoint that made this person
    std::vector<Joint> joints;
    MeanTag tag;
};

// Whether no pixel in the 5x5 neighbourhood is larger or NaN. Equal neighbours are all peaks.
inline bool is_peak(const Map& map, ptrdiff_t y, ptrdiff_t x) {
    constexpr ptrdiff_t reach = 2;
    const float value = map.values[y * map.w + x];
    for (ptrdiff_t v = std::max<ptrdiff_t>(y - reach, 0); v <= std::min(y + reach, map.h - 1); ++v) {
        const float* row = map.values + v * map.w;
        for (ptrdiff_t u = std::max<ptrdiff_t>(x - reach, 0); u <= std::min(x + reach, map.w - 1); ++u) {
            if (!(row[u] <= value)) return false;
        }
    }
    return true;
}

// The peaks of a keypoint's map among its `top_k` best that are above `least_peak`, best first. A peak must be finite
// and have finite tags.
inline std::vector<Candidate> candidates(const TagMaps& maps, ptrdiff_t keypoint, const TagRules& rules) {
    const Map map = maps.heatmap(keypoint);
    const auto score = [&](ptrdiff_t pixel) {
        const float value = map.values[pixel];
        return std::isfinite(value) && is_peak(map, pixel / map.w, pixel % map.w) ? value : 0.f;
    };
    std::vector<Candidate> found = largest_scores(map.values, map.h * map.w, rules.top_k, score);
    const auto is_none = [&](const Candidate& candidate) {
        if (!(candidate.score > rules.least_peak)) return true;
        for (ptrdiff_t view = 0; view < maps.views; ++view) {
            if (!std::isfinite(maps.tag(view, keypoint)[candidate.pixel])) return true;
        }
        return false;
    };
    found.erase(std::remove_if(found.begin(), found.end(), is_none), found.end());
    return found;
}

class Grouping {
public:
    Grouping(const TagMaps& maps, const TagRules& rules) : maps_(maps), rules_(rules) {}

    // Processes the keypoint types in the given order. Each peak of the first type that has any starts a person.
    std::vector<Person> operator()() {
        for (const ptrdiff_t keypoint : rules_.order) {
            const std::vector<Candidate> found = candidates(maps_, keypoint, rules_);
            if (found.empty()) continue;
            if (people_.empty()) {
                for (const Candidate& candidate : found) found_person(keypoint, candidate);
            } else {
                join(keypoint, found);
            }
        }
        return std::move(people_);
    }

private:
    void join(ptrdiff_t keypoint, const std::vector<Candidate>& found) {
        const size_t rows = found.size(), known = people_.size(), cols = std::max(rows, known);
        std::vector<double> distances(rows * known), costs(rows * cols, 1e10);
        for (size_t j = 0; j < known; ++j) {
            const std::vector<float> mean = people_[j].tag.value();
            for (size_t i = 0; i < rows; ++i) {
                const double apart = distance(keypoint, found[i].pixel, mean);
                distances[i * known + j] = apart;
                // The distance is rounded, so all tags within 0.5 are equally near. The score is the same for a whole
                // row. It only matters if there are more candidates than people: then it decides which rows get the
                // columns of 1e10, which stand for nobody.
                costs[i * cols + j] = std::nearbyint(apart) * 100 - found[i].score;
            }
        }
        const std::vector<int64_t> columns = Assignment(costs, rows, cols).solve();
        for (size_t i = 0; i < rows; ++i) {
            const size_t j = static_cast<size_t>(columns[i]);
            if (j < known && distances[i * known + j] < rules_.distance) {
                people_[j].joints[keypoint] = joint(found[i]);
                people_[j].tag.add(maps_, keypoint, found[i].pixel);
            } else {
                found_person(keypoint, found[i]);
            }
        }
    }

    // Adds a person. If one with exactly the same first tag exists, it gets the keypoint instead, and its tag is reset.
    void found_person(ptrdiff_t keypoint, const Candidate& candidate) {
        const float key = maps_.tag(0, keypoint)[candidate.pixel];
        auto person = std::find_if(people_.begin(), people_.end(), [&](const Person& p) { return p.key == key; });
        if (person == people_.end()) {
            people_.push_back({key, std::vector<Joint>(maps_.k), MeanTag(maps_.views)});
            person = people_.end() - 1;
        }
        person->joints[keypoint] = joint(candidate);
        person->tag = MeanTag(maps_.views);
        person->tag.add(maps_, keypoint, candidate.pixel);
    }

    double distance(ptrdiff_t keypoint, ptrdiff_t pixel, const std::vector<float>& mean) const {
        double sum = 0;
        for (ptrdiff_t view = 0; view < maps_.views; ++view) {
            const double apart = static_cast<double>(maps_.tag(view, keypoint)[pixel]) - mean[view];
            sum += apart * apart;
        }
        return std::sqrt(sum);
    }

    Joint joint(const Candidate& candidate) const {
        const ptrdiff_t y = candidate.pixel / maps_.w, x = candidate.pixel % maps_.w;
        return {static_cast<float>(x), static_cast<float>(y), candidate.score};
    }

    const TagMaps& maps_;
    const TagRules& rules_;
    std::vector<Person> people_;
};

// A person's score: the mean of all keypoint scores before missing ones are filled in, which count as 0.
inline float mean_score(const Person& person) {
    double sum = 0;
    for (const Joint& joint : person.joints) sum += joint.score;
    return static_cast<float>(sum / person.joints.size());
}

}  // namespace detforge
