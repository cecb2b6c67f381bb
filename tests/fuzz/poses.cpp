// Poses compared with one another, and keypoints of all people at once grouped by their tags.
#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>
#include <vector>

#include "../../deploy/native/assignment.h"
#include "../../deploy/native/oks.h"
#include "../../deploy/native/tag_steps.h"
#include "../../deploy/native/tags.h"
#include "fuzz.h"

namespace {

using namespace detforge;
using fuzz::Draw;
using fuzz::require;

void similar(Draw& draw) {
    const size_t n = draw.whole(0, 30), k = draw.whole(0, 18);
    const std::vector<float> keypoints = draw.values<float>(n * k * 3, 0, 50), scores = draw.values<float>(n, 0, 1);
    const std::vector<double> areas = draw.values<double>(n, 1, 1e4), sigmas = draw.values<double>(k, 0.02, 0.2);
    const std::optional<float> visible = draw.flag() ? std::optional(draw.pick({0.f, 0.2f, 25.f})) : std::nullopt;
    const Poses poses(keypoints.data(), areas.data(), sigmas.data(), n, k, visible);
    for (size_t a = 0; a < n; ++a) {
        for (size_t b = a; b < n; ++b) {
            const double alike = poses.oks(a, b);
            require(alike >= 0 && alike <= 1, "an OKS is 0 to 1");
            require(alike == poses.oks(b, a), "an OKS is symmetric");
        }
    }
    const double threshold = draw.pick({0.0, 0.3, 0.9, 1.0});
    const float floor = draw.pick({0.f, 0.25f, 1.f});
    const size_t limit = draw.pick<size_t>({0, 1, 7, SIZE_MAX});
    std::vector<int64_t> order, expected;
    for (size_t i = 0; i < n; ++i) {
        if (scores[i] > floor) order.push_back(static_cast<int64_t>(i));
    }
    std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return scores[a] > scores[b]; });
    for (const int64_t i : order) {
        const auto suppresses = [&](int64_t other) { return poses.oks(other, i) > threshold; };
        const bool stays = std::none_of(expected.begin(), expected.end(), suppresses);
        if (stays && expected.size() < limit) expected.push_back(i);
    }
    require(oks_nms(poses, scores.data(), threshold, floor, limit) == expected, "the best of similar poses stays");
    const std::optional<double> sigma = draw.flag() ? std::optional(0.5) : std::nullopt;
    const Scored kept = soft_oks_nms(poses, scores.data(), threshold, sigma, floor, limit);
    require(fuzz::are_some_of(kept.first, n, limit), "what soft-NMS keeps are some of the poses");
    for (size_t i = 0; i < kept.first.size(); ++i) {
        require(kept.second[i] >= floor && kept.second[i] <= scores[kept.first[i]], "soft-NMS raises no score");
        require(i == 0 || kept.second[i] <= kept.second[i - 1], "soft-NMS gives the best first");
    }
}

double sum_of(const std::vector<double>& costs, size_t cols, const std::vector<int64_t>& columns) {
    double sum = 0;
    for (size_t row = 0; row < columns.size(); ++row) sum += costs[row * cols + columns[row]];
    return sum;
}

void assigned(Draw& draw) {
    const size_t cols = draw.whole(0, draw.pick({5, 20})), rows = draw.whole(0, cols);
    const double highest = draw.pick({1.0, 1000.0, 1e300});
    const std::vector<double> costs = draw.values<double>(rows * cols, draw.pick({0.0, -highest}), highest);
    double most = 0;
    for (const double cost : costs) most = std::max(most, std::isnan(cost) ? HUGE_VAL : std::abs(cost));
    if (most > 1e300) return;
    const std::vector<int64_t> columns = Assignment(costs, rows, cols).solve();
    require(columns.size() == rows && fuzz::are_some_of(columns, cols, rows), "every row has a column of its own");
    const double found = sum_of(costs, cols, columns), rounding = most * 1e-12;
    std::vector<int64_t> order(cols);
    std::iota(order.begin(), order.end(), 0);
    for (int tries = 0; tries < 120; ++tries) {  // all that there are of five, and of more the first ones
        const double sum = sum_of(costs, cols, {order.begin(), order.begin() + rows});
        require(found <= sum + rounding, "the sum of costs is the least");
        std::next_permutation(order.begin(), order.end());
    }
    std::vector<int64_t> greedy;
    for (size_t row = 0; row < rows; ++row) {
        int64_t best = -1;
        for (int64_t col = 0; col < static_cast<int64_t>(cols); ++col) {
            if (std::find(greedy.begin(), greedy.end(), col) != greedy.end()) continue;
            if (best < 0 || costs[row * cols + col] < costs[row * cols + best]) best = col;
        }
        greedy.push_back(best);
    }
    require(found <= sum_of(costs, cols, greedy) + rounding, "a greedy choice of columns is not better");
}

void check_candidates(const TagMaps& maps, const TagRules& rules) {
    for (ptrdiff_t keypoint = 0; keypoint < maps.k; ++keypoint) {
        const Map map = maps.heatmap(keypoint);
        size_t peaks = 0;
        for (ptrdiff_t i = 0; i < map.h * map.w; ++i) {
            const float value = map.values[i];
            bool counts = std::isfinite(value) && value > rules.least_peak && is_peak(map, i / map.w, i % map.w);
            for (ptrdiff_t view = 0; view < maps.views; ++view) counts &= std::isfinite(maps.tag(view, keypoint)[i]);
            peaks += counts;
        }
        const std::vector<Candidate> found = candidates(maps, keypoint, rules);
        require(found.size() <= std::min(peaks, rules.top_k), "candidates are peaks");
        // With fewer places those whose tag is no number may take them from others.
        const bool has_room = rules.top_k >= static_cast<size_t>(map.h * map.w);
        require(!has_room || found.size() == peaks, "every peak is a candidate");
        for (size_t i = 1; i < found.size(); ++i) require(found[i].score <= found[i - 1].score, "the best come first");
    }
}

// What fill() looks for, pixel by pixel.
void check_search(const TagMaps& maps, Draw& draw) {
    const ptrdiff_t keypoint = draw.whole(0, maps.k - 1);
    const float weight = draw.pick({1.f, 100.f});
    const std::vector<float> tag = draw.values<float>(maps.views, -3, 3);
    const Map map = maps.heatmap(keypoint);
    ptrdiff_t expected = -1;
    float best = -HUGE_VALF;
    for (ptrdiff_t i = 0; i < map.h * map.w; ++i) {
        float sum = 0;
        for (ptrdiff_t view = 0; view < maps.views; ++view) {
            const float apart = maps.tag(view, keypoint)[i] - tag[view];
            sum += apart * apart;
        }
        const float value = map.values[i] == HUGE_VALF ? -HUGE_VALF : map.values[i] - weight * rounded(std::sqrt(sum));
        if (value > best) best = value, expected = i;
    }
    require(Search(maps, keypoint, weight)(tag) == expected, "the best pixel for a tag is found");
}

void grouped(Draw& draw) {
    const ptrdiff_t views = draw.whole(1, 2), k = draw.whole(1, 5), h = draw.whole(1, 12), w = draw.whole(1, 12);
    const std::vector<float> heatmaps = draw.values<float>(k * h * w, draw.pick({0.f, -1.f}), 1);
    const std::vector<float> tags = draw.values<float>(views * k * h * w, -3, 3);
    TagMaps maps{heatmaps.data(), tags.data(), views, k, h, w};
    const TagRules rules{draw.places<ptrdiff_t>(k), draw.pick<size_t>({1, 3, 30, 1000, SIZE_MAX}),
                         draw.pick({0.1f, 0.f, -1.f}), draw.pick({1.0, 1e-3, 100.0})};
    if (rules.least_peak >= 0) check_candidates(maps, rules);  // below, pixels that are no peaks are candidates of 0
    check_search(maps, draw);
    std::vector<Person> people = Grouping(maps, rules)();
    for (const Person& person : people) {
        require(person.joints.size() == static_cast<size_t>(k), "a person has every keypoint, found or missing");
        require(std::isfinite(person.key), "a person's tag is a number");
    }
    const StepRules steps{draw.flag(), draw.flag()};
    adjust(maps, steps, people);
    const std::vector<float> logs = steps.udp ? logarithms(maps, steps) : std::vector<float>();
    if (steps.udp) maps.heatmaps = logs.data();
    fill(maps, steps, people);
    for (const Person& person : people) {
        for (const Joint& joint : person.joints) {
            require(!std::isnan(joint.x) && !std::isnan(joint.y), "keypoints have a place");
            require(std::isfinite(joint.score), "keypoints have a score");
            if (steps.udp) continue;  // whose steps have no limit
            const bool is_on = joint.x >= -0.5f && joint.x <= float(w) && joint.y >= -0.5f && joint.y <= float(h);
            require(is_on, "keypoints are on their maps");
        }
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    Draw draw(data, size);
    draw.pick({similar, assigned, grouped, grouped})(draw);
    return 0;
}
