// People grouped from fields along limbs: part affinity fields, maps of body parts, and composite fields.
#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "../../deploy/native/affinity.h"
#include "../../deploy/native/body_parts.h"
#include "../../deploy/native/composite.h"
#include "fuzz.h"

namespace {

using namespace detforge;
using fuzz::Draw;
using fuzz::require;

using Limbs = std::vector<std::pair<ptrdiff_t, ptrdiff_t>>;

Limbs limbs_of(Draw& draw, ptrdiff_t keypoints) {
    Limbs limbs;
    const size_t count = draw.whole(0, 5);
    for (size_t i = 0; i < count; ++i) limbs.push_back({draw.whole(0, keypoints - 1), draw.whole(0, keypoints - 1)});
    return limbs;
}

void require_on(const Joint& joint, ptrdiff_t h, ptrdiff_t w) {
    require(std::isfinite(joint.score), "a score is a number");
    if (joint.score == 0) return;
    const bool is_on = joint.x >= -2 && joint.y >= -2 && joint.x <= w + 2.f && joint.y <= h + 2.f;
    require(is_on, "keypoints are on their maps");
}

void affinity(Draw& draw) {
    const ptrdiff_t k = draw.whole(1, 4), h = draw.whole(1, 9), w = draw.whole(1, 9);
    const Limbs limbs = limbs_of(draw, k);
    const std::vector<float> heatmaps = draw.values<float>(k * h * w, draw.pick({0.f, -1.f}), 1);
    const std::vector<float> fields = draw.values<float>(limbs.size() * 2 * h * w, -1, 1);
    const AffinityMaps maps{heatmaps.data(), fields.data(), k, h, w};
    const AffinityRules rules{limbs, draw.pick<ptrdiff_t>({1, 4, 8}), draw.pick<size_t>({1, 5, 100}), draw.whole(0, 5),
                              draw.pick({0.f, 0.1f}), draw.pick({0.05f, -1.f}), draw.pick({0.3f, -1.f}),
                              draw.pick<ptrdiff_t>({1, 2, 4})};
    AffinityGrouping grouping(maps, rules);
    for (const AffinityPerson& person : grouping()) {
        require(person.peaks.size() == static_cast<size_t>(k), "a person has every keypoint, found or missing");
        require(person.count >= rules.least_parts, "a person has enough keypoints");
        for (const ptrdiff_t peak : person.peaks) require_on(grouping.joint(peak), h * rules.stride, w * rules.stride);
    }
}

std::vector<MapRun> runs_of(Draw& draw, const std::vector<float>& values, size_t maps, ptrdiff_t h, ptrdiff_t w,
                            ptrdiff_t stride) {
    std::vector<MapRun> runs(draw.whole(1, 2));
    for (MapRun& run : runs) {
        run.h = h, run.w = w, run.mirrored = draw.flag();
        run.content_h = draw.whole(1, h * stride), run.content_w = draw.whole(1, w * stride);
        for (const size_t place : draw.places<size_t>(maps)) run.maps.push_back(&values[place * h * w]);
    }
    return runs;
}

// What is filled is what each pixel is alone, and what is not has nothing near it.
void check_filled(const EnlargedMaps& maps, ptrdiff_t map, float least) {
    constexpr ptrdiff_t reach = 2;
    FilledMap own_map;
    maps.fill(map, least, reach, own_map);
    std::vector<uint8_t> filled(maps.h * maps.w);
    for (const auto& [y, x, size] : own_map.parts) {
        require(y >= 0 && y < maps.h && x >= 0 && size > 0 && x + size <= maps.w, "parts are on the map");
        std::fill_n(&filled[y * maps.w + x], size, uint8_t(1));
    }
    TallMap tall;
    maps.heighten(map, 0, maps.h - 1, tall);
    for (ptrdiff_t y = 0; y < maps.h; ++y) {
        for (ptrdiff_t x = 0; x < maps.w; ++x) {
            const int32_t row = y, column = x;
            float alone;
            tall.at<1>(&row, &column, &alone);
            const float own = own_map.values[y * maps.w + x];
            if (filled[y * maps.w + x]) {
                // Sums in another order, of values whose signs may differ.
                const bool comparable = std::abs(alone) < 1e3f && std::abs(own) < 1e3f;
                require(!comparable || std::abs(own - alone) < 1e-2f, "filled pixels are those of the map");
            } else {
                require(alone < least, "a pixel that is not filled is low");
            }
            if (!(alone >= least)) continue;
            for (ptrdiff_t v = std::max<ptrdiff_t>(y - reach, 0); v <= std::min(y + reach, maps.h - 1); ++v) {
                for (ptrdiff_t u = std::max<ptrdiff_t>(x - reach, 0); u <= std::min(x + reach, maps.w - 1); ++u) {
                    require(filled[v * maps.w + u], "what is around a high pixel is filled");
                }
            }
        }
    }
}

void parts(Draw& draw) {
    const ptrdiff_t keypoints = draw.whole(1, 4), h = draw.whole(1, 8), w = draw.whole(1, 12);
    const ptrdiff_t stride = draw.pick<ptrdiff_t>({1, 4});
    const Limbs limbs = limbs_of(draw, keypoints);
    const size_t maps = limbs.size() + keypoints;
    const std::vector<float> values = draw.values<float>(maps * h * w, draw.pick({0.f, -0.2f}), draw.pick({1.f, 0.12f}));
    const EnlargedMaps enlarged(runs_of(draw, values, maps, h, w, stride), stride, draw.whole(1, 40), draw.whole(1, 60));
    const PartRules rules{limbs, keypoints, draw.pick<size_t>({1, 5, 100}), draw.pick({0.1f, 0.5f}), draw.pick({0.1f, 0.f})};
    check_filled(enlarged, draw.whole(0, maps - 1), rules.least_peak);
    PartGrouping grouping(enlarged, rules);
    for (const PartPerson& person : grouping(draw.whole(1, 2))) {
        require(person.parts.size() == static_cast<size_t>(keypoints), "a person has every keypoint, found or missing");
        require(person.count >= 2, "a person has two keypoints");
        for (const PartOf& part : person.parts) require_on(grouping.joint(part.peak), enlarged.h, enlarged.w);
    }
}

void composite(Draw& draw) {
    const ptrdiff_t k = draw.whole(1, 4), views = draw.whole(1, 2), h = views * draw.whole(1, 6), w = draw.whole(1, 8);
    const ptrdiff_t stride = draw.pick<ptrdiff_t>({1, 8});
    const Limbs limbs = limbs_of(draw, k);
    const std::vector<float> heatmaps = draw.values<float>(k * h * w, 0, 1), places = draw.values<float>(k * 3 * h * w, -1, 8);
    const std::vector<float> confs = draw.values<float>(limbs.size() * h * w, 0, 1);
    const std::vector<float> ends = draw.values<float>(limbs.size() * 6 * h * w, -1, 8);
    const CompositeFields fields{heatmaps.data(), places.data(), confs.data(), ends.data(), k, h, w, views};
    const CompositeRules rules{limbs, stride, draw.pick<size_t>({0, 1, 100}), 0.3f, 0.2f, 0.15f, draw.pick({0.15f, 0.f})};
    float before = HUGE_VALF;
    for (const FieldPerson& person : CompositeGrouping(fields, rules)()) {
        require(person.size() == static_cast<size_t>(k), "a person has every keypoint, found or missing");
        for (const FieldJoint& joint : person) {
            require(std::isfinite(joint.x) && std::isfinite(joint.y), "keypoints have a place");
            require(joint.score == 0 || joint.score > rules.least_keypoint, "weak keypoints are missing");
            require(joint.score <= 1, "scores are 1 at most");
        }
        const float score = CompositeGrouping::score(person);
        require(score >= rules.least_person && score <= before, "people are the best first");
        before = score;
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    Draw draw(data, size);
    draw.pick({affinity, parts, composite})(draw);
    return 0;
}
