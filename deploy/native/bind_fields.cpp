// Python bindings for grouping of keypoints by fields along limbs: check shapes, release the GIL, call the kernels.
#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <utility>
#include <vector>

#include "affinity.h"
#include <nanobind/stl/pair.h>

#include "bind.h"
#include "blend.h"

namespace {

using Maps = Array<const float, nb::ndim<3>>;
using Fields = Array<const float, nb::ndim<4>>;
using Target = Array<float, nb::ndim<3>>;
using Limbs = Array<const int64_t, nb::ndim<2>>;
using Order = Array<const int64_t, nb::ndim<1>>;
using Signs = Array<const float, nb::ndim<1>>;

constexpr int64_t longest = 1 << 20;  // px, of a canvas

std::vector<std::pair<ptrdiff_t, ptrdiff_t>> limbs_of(const Limbs& limbs, size_t count, size_t keypoints) {
    if (limbs.shape(0) != count || limbs.shape(1) != 2) throw std::invalid_argument("not two ends for each limb");
    std::vector<std::pair<ptrdiff_t, ptrdiff_t>> ends;
    for (size_t i = 0; i < 2 * count; ++i) {
        const int64_t end = limbs.data()[i];
        if (end < 0 || end >= static_cast<int64_t>(keypoints)) throw std::invalid_argument("a limb beyond the keypoints");
        if (i % 2 == 0) ends.push_back({end, 0});
        ends.back().second = end;
    }
    return ends;
}

nb::object group_affinity(Maps heatmaps, Fields fields, Limbs limbs, ptrdiff_t stride, size_t top_k, size_t starts,
                          float least_peak, float least_field, ptrdiff_t least_parts, float least_score) {
    if (heatmaps.size() == 0) throw std::invalid_argument("maps without pixels");
    if (fields.shape(1) != 2 || fields.shape(2) != heatmaps.shape(1) || fields.shape(3) != heatmaps.shape(2)) {
        throw std::invalid_argument("heatmaps and fields differ in shape");
    }
    if (stride < 1 || stride > 64) throw std::invalid_argument("a stride that is not 1..64");
    if (!(least_peak >= 0)) throw std::invalid_argument("peaks below 0");
    const auto side = [](size_t value) { return static_cast<ptrdiff_t>(value); };
    const size_t k = heatmaps.shape(0), h = heatmaps.shape(1), w = heatmaps.shape(2);
    const detforge::AffinityMaps maps{heatmaps.data(), fields.data(), side(k), side(h), side(w)};
    if (std::max(maps.h, maps.w) * stride > longest) throw std::invalid_argument("maps that are too large");
    const detforge::AffinityRules rules{limbs_of(limbs, fields.shape(0), k), stride, top_k, starts, least_peak, least_field,
                                        least_score, least_parts};
    std::vector<float> points, scores, totals;
    {
        nb::gil_scoped_release release;
        detforge::AffinityGrouping grouping(maps, rules);
        for (const detforge::AffinityPerson& person : grouping()) {
            for (const ptrdiff_t peak : person.peaks) {
                const detforge::Joint joint = grouping.joint(peak);
                points.insert(points.end(), {joint.x, joint.y});
                scores.push_back(joint.score);
            }
            totals.push_back(person.score / person.count);
        }
    }
    return nb::make_tuple(array(std::move(points)), array(std::move(scores)), array(std::move(totals)));
}

void blend(Maps source, Target target, Order order, Signs signs, std::pair<double, double> rows,
           std::pair<double, double> columns) {
    const size_t count = target.shape(0);
    if (order.shape(0) != count || signs.shape(0) != count) throw std::invalid_argument("not one source for each map");
    if (source.size() == 0 || target.size() == 0) throw std::invalid_argument("maps without pixels");
    for (size_t i = 0; i < count; ++i) {
        const int64_t place = order.data()[i];
        if (place < 0 || place >= static_cast<int64_t>(source.shape(0))) throw std::invalid_argument("no such map");
    }
    for (const auto& [step, start] : {rows, columns}) {
        if (!std::isfinite(step) || !std::isfinite(start)) throw std::invalid_argument("samples that are nowhere");
    }
    const size_t h = source.shape(1), w = source.shape(2), from = h * w, to = target.shape(1) * target.shape(2);
    nb::gil_scoped_release release;
    detforge::Blend add(h, w, detforge::Samples(h, target.shape(1), rows.first, rows.second),
                        detforge::Samples(w, target.shape(2), columns.first, columns.second));
    for (size_t i = 0; i < count; ++i) {
        add(source.data() + order.data()[i] * from, target.data() + i * to, signs.data()[i]);
    }
}

}  // namespace

void bind_fields(nb::module_& m) {
    m.def("group_affinity", &group_affinity, "heatmaps"_a, "fields"_a, "limbs"_a, "stride"_a, "top_k"_a, "starts"_a,
          "least_peak"_a, "least_field"_a, "least_parts"_a, "least_score"_a);
    m.def("blend", &blend, "source"_a, "target"_a, "order"_a, "signs"_a, "rows"_a, "columns"_a);
}
