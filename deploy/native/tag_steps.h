// What is done to the keypoints of grouped people: they are moved between pixels, and looked for where they are missing.
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
    bool udp;     // places are those of pixel centres, and are refined as UDP does
    bool mmpose;  // as mmpose 1.x has it, else as the authors of HigherHRNet
};

// A quarter of a px towards the larger neighbour, and where both are as large to the left and up, never nowhere.
// Beyond the border the map goes on as it ends.
inline void step_back_or_on(const Map& map, Joint& joint) {
    const ptrdiff_t x = static_cast<ptrdiff_t>(joint.x), y = static_cast<ptrdiff_t>(joint.y);
    const float *row = map.values + y * map.w, *column = map.values + x;
    const float left = row[std::max<ptrdiff_t>(x - 1, 0)], right = row[std::min(x + 1, map.w - 1)];
    const float above = column[std::max<ptrdiff_t>(y - 1, 0) * map.w];
    const float below = column[std::min(y + 1, map.h - 1) * map.w];
    joint.x += right > left ? 0.25f : -0.25f;
    joint.y += below > above ? 0.25f : -0.25f;
}

constexpr ptrdiff_t smoothing = 3;  // px of the kernel of UDP's refinement

// Moves the keypoints that were found off their pixels. Half a px more leads from a pixel's corner to its centre.
inline void adjust(const TagMaps& maps, const StepRules& rules, std::vector<Person>& people) {
    const std::vector<double> kernel = gaussian(smoothing);
    Smoother smoother(smoothing, Beyond::zero);
    for (ptrdiff_t keypoint = 0; keypoint < maps.k; ++keypoint) {
        const Map map = maps.heatmap(keypoint);
        for (Person& person : people) {
            Joint& joint = person.joints[keypoint];
            // UDP's refinement takes missing ones, which are at the origin, along.
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

// The maps as UDP's refinement leaves them in both references, which work in place: smoothed, and their logarithms.
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

// Half to even, as nearbyint does it, but in any lane: a float near 1.5 * 2^23 has no place for fractions.
inline float rounded(float value) { return (value + 12582912.f) - 12582912.f; }

// The largest of values that are in runs of 16, in as many lanes; what is no number is never it.
inline float largest(const float* values, ptrdiff_t count, float sign = 1) {
    constexpr ptrdiff_t lanes = 16;
    float most[lanes];
    std::fill(most, most + lanes, nothing);
    for (ptrdiff_t i = 0; i < count; i += lanes) {
        for (ptrdiff_t j = 0; j < lanes; ++j) most[j] = sign * values[i + j] > most[j] ? sign * values[i + j] : most[j];
    }
    return *std::max_element(most, most + lanes);
}

// Looks for one keypoint of one person after the other: where its map is high and its tags are like the person's.
// Runs of pixels are passed by where the best heat with the nearest tag of the run would not do.
class Search {
public:
    Search(const TagMaps& maps, ptrdiff_t keypoint, float weight) : weight_(weight) {
        // Copies end in whole runs. There is nothing beyond the map, nor where its heat is infinite.
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

    // The first pixel at which heat - weight * round(distance of the tags) is largest, -1 where it is no number anywhere.
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

    // No value of a run is above it: its steps are those of `rate`, none of which changes what is larger.
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

// The mean tag at the pixels of the keypoints that a person has; it is read where they were moved to, cut to whole px.
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

// Gives people the keypoints that they miss. The authors of HigherHRNet set a tag's distance of 1 against a heat of 1,
// move what they find like any other, if also where UDP refines the rest, and keep it where there is heat. mmpose 1.x
// sets it against 100 and keeps whatever it finds, at its pixel's corner. With UDP the heat is a logarithm by then, so
// that the former keeps next to nothing, and the latter gives scores below 0.
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
