// Keypoints from maps, offsets and bins, against plain loops in double precision.
#include <algorithm>
#include <cmath>
#include <vector>

#include "../../deploy/native/heatmap.h"
#include "../../deploy/native/mirror.h"
#include "../../deploy/native/offsets.h"
#include "../../deploy/native/region_peaks.h"
#include "../../deploy/native/simcc.h"
#include "fuzz.h"

namespace {

using namespace detforge;
using fuzz::Draw;
using fuzz::require;

// Maps (count, h, w).
struct Maps {
    Maps(Draw& draw, ptrdiff_t count)
        : h(draw.whole(1, 24)), w(draw.whole(1, 24)),
          values(draw.values<float>(count * h * w, draw.pick({0.f, -1.f}), 1)) {}

    Map nth(ptrdiff_t i) const { return {values.data() + i * h * w, h, w}; }

    ptrdiff_t h, w;
    std::vector<float> values;
};

ptrdiff_t odd(Draw& draw) { return 2 * draw.whole<ptrdiff_t>(0, draw.pick({3, 12, 31})) + 1; }

bool are_moderate(const std::vector<float>& values) {
    return std::all_of(values.begin(), values.end(), [](float value) { return std::abs(value) <= 1; });
}

bool is_in(const Map& map, const Peak& peak, double beyond) {
    return peak.x >= -beyond && peak.x <= static_cast<double>(map.w) - 1 + beyond && peak.y >= -beyond &&
           peak.y <= static_cast<double>(map.h) - 1 + beyond;
}

void check_numbers(const Peak& peak) {
    require(std::isfinite(peak.x) && std::isfinite(peak.y) && !std::isnan(peak.value), "keypoints are numbers");
}

void check_argmax(const std::vector<float>& values) {
    ptrdiff_t expected = -1;
    for (size_t i = 0; i < values.size(); ++i) {
        const bool larger = expected < 0 ? !std::isnan(values[i]) : values[i] > values[expected];
        if (larger) expected = static_cast<ptrdiff_t>(i);
    }
    const ptrdiff_t found = argmax(values.data(), static_cast<ptrdiff_t>(values.size()));
    require(found == expected, "argmax is the first of the largest");
}

// The mean place under a softmax, in double precision.
void check_integral(const Map& map, double factor, const Peak& peak) {
    const ptrdiff_t count = map.h * map.w;
    const double most = *std::max_element(map.values, map.values + count);
    double sum = 0, x = 0, y = 0;
    for (ptrdiff_t i = 0; i < count; ++i) {
        const double power = std::exp(factor * (map.values[i] - most));
        sum += power;
        x += power * static_cast<double>(i % map.w);
        y += power * static_cast<double>(i / map.w);
    }
    require(std::abs(peak.x - x / sum) < 1e-3 && std::abs(peak.y - y / sum) < 1e-3, "a softmax has its mean");
}

void from_heatmap(Draw& draw) {
    const Maps maps(draw, 2);  // the second one after the first, with the memory that it left
    HeatmapRules rules{draw.whole<Method>(Method::argmax, Method::integral), odd(draw), 0, 0, draw.flag(), 0, draw.flag()};
    rules.sigma = draw.pick({0.1, 2.0, 64.0});
    rules.beta = draw.pick({1e-6, 1.0, 1e4});
    rules.scale = draw.pick({1e-4, 1.0, 255.0, 1e4});
    check_argmax(maps.values);
    HeatmapDecoder decode(rules);
    for (const ptrdiff_t i : {0, 1}) {
        const Map map = maps.nth(i);
        const Peak peak = decode(map);
        check_numbers(peak);
        if (rules.method == Method::integral) {
            const bool plain = are_moderate(maps.values) && !rules.debias && rules.beta / rules.scale <= 100;
            if (plain) check_integral(map, rules.beta / rules.scale, peak);
        } else if (rules.method != Method::dark && rules.method != Method::udp) {  // whose steps have no limit
            const double reach = rules.method == Method::gaussfit ? 3 * rules.sigma + 1.5 : 1;
            require(is_in(map, peak, reach), "keypoints are near their maps");
        }
    }
}

void from_offsets(Draw& draw) {
    const Maps maps(draw, 3);
    const ptrdiff_t blur = odd(draw), offset_blur = odd(draw);
    const double radius = draw.pick({1e-3, 4.0, 1024.0});
    Smoother smoother(blur, Beyond::mirror);
    const Field field{maps.nth(1), maps.nth(2)};
    const Peak best = offset_peak(maps.nth(0), field, field, radius, smoother, gaussian(offset_blur));
    check_numbers(best);
    std::vector<float> votes;
    const Peak voted = vote_peak(maps.nth(0), maps.nth(1), maps.nth(2), radius, votes);
    require(is_in(maps.nth(0), voted, 1), "votes are counted on the map");
    require(std::all_of(votes.begin(), votes.end(), [](float vote) { return vote >= 0; }), "no vote is against");
    if (!are_moderate(maps.values)) return;
    double given = 0, counted = 0;
    for (ptrdiff_t i = 0; i < maps.h * maps.w; ++i) {
        given += std::max(0.f, maps.values[i]);
        counted += votes[i];
    }
    require(counted <= given * (1 + 1e-4), "votes are counted once");
    const Map smooth = smoother(maps.nth(0));
    const std::vector<double> kernel = gaussian(blur);
    const ptrdiff_t x = draw.whole(0, maps.w - 1), y = draw.whole(0, maps.h - 1);
    const double expected = smoothed(maps.nth(0), x, y, kernel);
    require(std::abs(at(smooth, x, y) - expected) < 1e-4, "a map is smoothed as its pixels are");
}

void from_regions(Draw& draw) {
    const Maps maps(draw, 2);
    const ptrdiff_t h = draw.whole(1, 60), w = draw.whole(1, 60);
    RegionPeaks peak_of(maps.h, maps.w, h, w);
    for (const ptrdiff_t i : {0, 1}) {
        const Map map = maps.nth(i);
        const Peak peak = peak_of(map);
        check_numbers(peak);
        require(is_in({nullptr, h, w}, peak, 0), "the peak of a region is in it");
        if (!are_moderate(maps.values)) continue;
        const auto value = [&](ptrdiff_t y, ptrdiff_t x) {
            const double down = (y + 0.5) * map.h / h - 0.5, right = (x + 0.5) * map.w / w - 0.5;
            double sum = 0;
            float below[4], beside[4];
            cubic_weights(static_cast<float>(down - std::floor(down)), below);
            cubic_weights(static_cast<float>(right - std::floor(right)), beside);
            for (ptrdiff_t j = 0; j < 16; ++j) {
                const auto v = std::clamp<ptrdiff_t>(std::lround(std::floor(down)) + j / 4 - 1, 0, map.h - 1);
                const auto u = std::clamp<ptrdiff_t>(std::lround(std::floor(right)) + j % 4 - 1, 0, map.w - 1);
                sum += double(below[j / 4]) * beside[j % 4] * map.values[v * map.w + u];
            }
            return sum;
        };
        double most = -1e9;
        for (ptrdiff_t j = 0; j < h * w; ++j) most = std::max(most, value(j / w, j % w));
        require(std::abs(value(std::lround(peak.y), std::lround(peak.x)) - most) < 1e-4, "no pixel of a region is higher");
        require(std::abs(peak.value - most) < 1e-4, "a peak has its value");
    }
}

void from_bins(Draw& draw) {
    const std::vector<float> bins = draw.values<float>(draw.whole(1, 90), draw.pick({0.f, -1.f}), 1);
    const ptrdiff_t count = static_cast<ptrdiff_t>(bins.size());
    const std::vector<double> kernel = gaussian(odd(draw));
    check_argmax(bins);
    const Peak peak = top({bins.data(), 1, count});
    if (!(peak.value > 0)) return;
    std::vector<double> memory;
    const double step = step_bins(bins.data(), count, std::lround(peak.x), kernel, memory);
    require(std::isfinite(step), "steps are numbers");
}

void from_views(Draw& draw) {
    const Maps maps(draw, 2);
    const float shift = draw.values<float>(1, 0, 1)[0];
    std::vector<float> both(maps.h * maps.w);
    average_views(maps.nth(0).values, maps.nth(1).values, maps.h, maps.w, shift, both.data());
    if (!are_moderate(maps.values) || !(shift >= 0 && shift <= 1)) return;
    for (ptrdiff_t i = 0; i < maps.h * maps.w; ++i) {
        const float* row = maps.nth(1).values + i / maps.w * maps.w;
        const ptrdiff_t from = maps.w - 1 - i % maps.w;
        const double other = i % maps.w == 0 ? row[from] : (1 - shift) * row[from] + shift * row[from + 1];
        require(std::abs(both[i] - (maps.values[i] + other) / 2) < 1e-5, "views are averaged");
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    Draw draw(data, size);
    draw.pick({from_heatmap, from_heatmap, from_offsets, from_regions, from_bins, from_views})(draw);
    return 0;
}
