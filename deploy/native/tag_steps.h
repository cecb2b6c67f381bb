// Refinement of the keypoints of grouped people, and the search for missing ones.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <vector>

#include "dark.h"
#include "tags.h"

namespace detforge {

struct StepRules {
    bool udp;     // positions are relative to pixel centres, and refined by UDP
    bool mmpose;  // as in mmpose 1.x, else as in the authors' HigherHRNet
};

// Moves a keypoint by 0.25 px towards the larger neighbour on each axis, to the left or up if both are equal. Border
// pixels are repeated beyond the border.
inline void step_back_or_on(const Map& map, Joint& joint) {
    const ptrdiff_t x = static_cast<ptrdiff_t>(joint.x), y = static_cast<ptrdiff_t>(joint.y);
    const float *row = map.values + y * map.w, *column = map.values + x;
    const float left = row[std::max<ptrdiff_t>(x - 1, 0)], right = row[std::min(x + 1, map.w - 1)];
    const float above = column[std::max<ptrdiff_t>(y - 1, 0) * map.w];
    const float below = column[std::min(y + 1, map.h - 1) * map.w];
    joint.x += right > left ? 0.25f : -0.25f;
    joint.y += below > above ? 0.25f : -0.25f;
}

constexpr ptrdiff_t smoothing = 3;  // px, the kernel size of UDP's refinement

// Refines the keypoints that were found. Half a px is added to convert from a pixel's corner to its centre.
inline void adjust(const TagMaps& maps, const StepRules& rules, std::vector<Person>& people) {
    const std::vector<double> kernel = gaussian(smoothing);
    Smoother smoother(smoothing, Beyond::zero);
    for (ptrdiff_t keypoint = 0; keypoint < maps.k; ++keypoint) {
        const Map map = maps.heatmap(keypoint);
        for (Person& person : people) {
            Joint& joint = person.joints[keypoint];
            // UDP's refinement also moves missing keypoints, which are at the origin.
            if (!(joint.score > 0) && !rules.udp) continue;
            if (!rules.udp && !rules.mmpose) {
                step_back_or_on(map, joint);
            } else {
                Peak peak{joint.x, joint.y, joint.score};
                rules.udp ? step_udp(map, peak, kernel, 1, rules.mmpose ? &smoother : nullptr) : step_quarter(map, peak);
                joint.x = static_cast<float>(peak.x);
                joint.y = static_cast<float>(peak.y);
            }
            if (!rules.udp) {
                joint.x += 0.5f;
                joint.y += 0.5f;
            }
        }
    }
}

// The logarithms of the smoothed maps. UDP's refinement replaces the maps by them in both reference implementations.
inline std::vector<float> logarithms(const TagMaps& maps, const StepRules& rules) {
    std::vector<float> logs;
    Smoother smoother(smoothing, rules.mmpose ? Beyond::zero : Beyond::mirror);
    for (ptrdiff_t keypoint = 0; keypoint < maps.k; ++keypoint) {
        const Map map = maps.heatmap(keypoint), smooth = smoother(map);
        const ptrdiff_t size = map.h * map.w;
        const double maximum = finite(*std::max_element(map.values, map.values + size));
        const double factor = rules.mmpose ? rescaling(maximum, smooth.values, size) : 1;
        for (ptrdiff_t i = 0; i < size; ++i) {
            logs.push_back(static_cast<float>(udp_limits.log(smooth.values[i] * factor)));
        }
    }
    return logs;
}

constexpr float nothing = -std::numeric_limits<float>::infinity();

// Rounds half to even like nearbyint, but can be vectorised: a float near 1.5 * 2^23 has no fraction bits.
inline float rounded(float value) { return (value + 12582912.f) - 12582912.f; }

// The largest value, ignoring NaN, computed in 16 lanes. The count must be a multiple of 16.
inline float largest(const float* values, ptrdiff_t count, float sign = 1) {
    constexpr ptrdiff_t lanes = 16;
    float most[lanes];
    std::fill(most, most + lanes, nothing);
    for (ptrdiff_t i = 0; i < count; i += lanes) {
        for (ptrdiff_t j = 0; j < lanes; ++j) most[j] = sign * values[i + j] > most[j] ? sign * values[i + j] : most[j];
    }
    return *std::max_element(most, most + lanes);
}

// Searches a missing keypoint for one person after the other: a pixel with a high heatmap value and a similar tag.
// A run of pixels is skipped if its largest value combined with its nearest tag is not better.
class Search {
public:
    Search(const TagMaps& maps, ptrdiff_t keypoint, float weight) : weight_(weight) {
        // Copies are padded to whole runs. Padding and infinite heatmap values are never found.
        const ptrdiff_t size = maps.h * maps.w, whole = (size + run - 1) / run * run;
        heat_.assign(whole, nothing);
        std::copy_n(maps.heatmap(keypoint).values, size, heat_.begin());
        std::replace(heat_.begin(), heat_.end(), -nothing, nothing);
        for (ptrdiff_t start = 0; start < whole; start += run) most_.push_back(largest(&heat_[start], run));
        for (ptrdiff_t view = 0; view < maps.views; ++view) {
            tags_.push_back({std::vector<float>(whole), {}, {}});
            View& tags = tags_.back();
            std::copy_n(maps.tag(view, keypoint), size, tags.values.begin());
            for (ptrdiff_t start = 0; start < whole; start += run) {
                tags.most.push_back(largest(&tags.values[start], run));
                tags.least.push_back(-largest(&tags.values[start], run, -1));
            }
        }
    }

    // The first pixel with the largest heat - weight * round(distance of the tags), or -1 if all are NaN.
    ptrdiff_t operator()(const std::vector<float>& tag) const {
        float best = nothing;
        ptrdiff_t pixel = -1;
        float values[run];
        for (size_t i = 0; i < most_.size(); ++i) {
            if (!(bound(tag, i) > best)) continue;
            rate(tag, i * run, values);
            const float most = largest(values, run);
            if (!(most > best)) continue;
            best = most;
            pixel = i * run + (std::find(values, values + run, most) - values);
        }
        return pixel;
    }

private:
    static constexpr ptrdiff_t run = 64;

    struct View {
        std::vector<float> values, most, least;
    };

    // An upper bound of the values of a run. It has the operations of `rate`, all of which are monotonic.
    float bound(const std::vector<float>& tag, size_t i) const {
        float sum = 0;
        for (size_t view = 0; view < tags_.size(); ++view) {
            const float apart = std::max({0.f, tags_[view].least[i] - tag[view], tag[view] - tags_[view].most[i]});
            sum += apart * apart;
        }
        return most_[i] - weight_ * rounded(std::sqrt(sum));
    }

    void rate(const std::vector<float>& tag, ptrdiff_t start, float* values) const {
        float sums[run] = {};
        for (size_t view = 0; view < tags_.size(); ++view) {
            const float *own = &tags_[view].values[start], mean = tag[view];
            for (ptrdiff_t i = 0; i < run; ++i) sums[i] += (own[i] - mean) * (own[i] - mean);
        }
        const float* heat = &heat_[start];
        for (ptrdiff_t i = 0; i < run; ++i) values[i] = heat[i] - weight_ * rounded(std::sqrt(sums[i]));
    }

    float weight_;
    std::vector<float> heat_, most_;
    std::vector<View> tags_;
};

// The mean tag of a person's keypoints, read at their refined positions truncated to whole px.
inline std::vector<float> tag_of(const TagMaps& maps, const Person& person) {
    MeanTag mean(maps.views);
    for (ptrdiff_t keypoint = 0; keypoint < maps.k; ++keypoint) {
        const Joint& joint = person.joints[keypoint];
        if (!(joint.score > 0)) continue;
        const ptrdiff_t x = std::clamp<ptrdiff_t>(static_cast<ptrdiff_t>(joint.x), 0, maps.w - 1);
        const ptrdiff_t y = std::clamp<ptrdiff_t>(static_cast<ptrdiff_t>(joint.y), 0, maps.h - 1);
        mean.add(maps, keypoint, y * maps.w + x);
    }
    return mean.value();
}

// Fills in the missing keypoints of people. The authors of HigherHRNet weight a tag distance of 1 like a heatmap value
// of 1, refine what they find with step_back_or_on even with UDP, and keep it if the heatmap value is above 0. mmpose
// 1.x weights the distance by 100 and keeps everything it finds, at the pixel's corner. With UDP the map is a logarithm
// by now, so the former keeps almost nothing, and the latter gives scores below 0.
inline void fill(const TagMaps& maps, const StepRules& rules, std::vector<Person>& people) {
    std::vector<std::vector<float>> tags;
    for (const Person& person : people) tags.push_back(tag_of(maps, person));
    for (ptrdiff_t keypoint = 0; keypoint < maps.k; ++keypoint) {
        const auto misses = [&](const Person& person) { return person.joints[keypoint].score == 0; };
        if (std::none_of(people.begin(), people.end(), misses)) continue;
        const Map map = maps.heatmap(keypoint);
        const Search search(maps, keypoint, rules.mmpose ? 100.f : 1.f);
        for (size_t i = 0; i < people.size(); ++i) {
            if (!misses(people[i])) continue;
            const ptrdiff_t pixel = search(tags[i]);
            if (pixel < 0 || !(rules.mmpose || map.values[pixel] > 0)) continue;
            Joint joint{static_cast<float>(pixel % maps.w), static_cast<float>(pixel / maps.w), map.values[pixel]};
            if (!rules.mmpose) {
                step_back_or_on(map, joint);
                joint.x += rules.udp ? 0.f : 0.5f;
                joint.y += rules.udp ? 0.f : 0.5f;
            }
            people[i].joints[keypoint] = joint;
        }
    }
}

}  // namespace detforge
