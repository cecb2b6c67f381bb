// Python bindings for grouping of keypoints by fields along limbs: check shapes, release the GIL, call the kernels.
#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <tuple>
#include <utility>
#include <vector>

#include "affinity.h"
#include <nanobind/stl/pair.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include "bind.h"
#include "blend.h"
#include "body_parts.h"
#include "composite.h"

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

// A run's maps of limbs and of keypoints, their orders, and (content_h, content_w, whether it is mirrored).
using PartRun = std::tuple<Maps, Maps, Order, Order, std::tuple<ptrdiff_t, ptrdiff_t, bool>>;

detforge::MapRun run_of(const PartRun& given, ptrdiff_t stride) {
    const auto& [limbs, heatmaps, limb_order, order, content] = given;
    const auto [tall, wide, mirrored] = content;
    const ptrdiff_t h = limbs.shape(1), w = limbs.shape(2);
    if (limbs.size() == 0 || heatmaps.size() == 0) throw std::invalid_argument("maps without pixels");
    if (limbs.shape(1) != heatmaps.shape(1) || limbs.shape(2) != heatmaps.shape(2)) {
        throw std::invalid_argument("maps that differ in shape");
    }
    if (tall < 1 || wide < 1 || std::max(h, w) > longest / stride || tall > h * stride || wide > w * stride) {
        throw std::invalid_argument("an image that is not on the maps");
    }
    detforge::MapRun run{{}, h, w, tall, wide, mirrored};
    for (const auto& [maps, places] : {std::pair(limbs, limb_order), std::pair(heatmaps, order)}) {
        for (size_t i = 0; i < places.shape(0); ++i) {
            const int64_t place = places.data()[i];
            if (place < 0 || place >= static_cast<int64_t>(maps.shape(0))) throw std::invalid_argument("no such map");
            run.maps.push_back(maps.data() + place * h * w);
        }
    }
    return run;
}

nb::object group_parts(const std::vector<PartRun>& given, Limbs limbs, std::pair<ptrdiff_t, ptrdiff_t> size,
                       ptrdiff_t stride, size_t top_k, float least_peak, float least_limb, size_t threads) {
    if (given.empty()) throw std::invalid_argument("no maps");
    if (stride < 1 || stride > 64) throw std::invalid_argument("a stride that is not 1..64");
    if (!(least_peak > 0)) throw std::invalid_argument("peaks that are not above 0");
    if (std::min(size.first, size.second) < 1 || std::max(size.first, size.second) > longest) {
        throw std::invalid_argument("a size that is empty or too large");
    }
    const size_t count = limbs.shape(0), keypoints = std::get<3>(given[0]).shape(0);
    std::vector<detforge::MapRun> runs;
    for (const PartRun& run : given) {
        if (std::get<2>(run).shape(0) != count || std::get<3>(run).shape(0) != keypoints) {
            throw std::invalid_argument("runs with different maps");
        }
        runs.push_back(run_of(run, stride));
    }
    const detforge::PartRules rules{limbs_of(limbs, count, keypoints), static_cast<ptrdiff_t>(keypoints), top_k,
                                    least_peak, least_limb};
    std::vector<float> points, scores, totals;
    {
        nb::gil_scoped_release release;
        const detforge::EnlargedMaps enlarged(std::move(runs), stride, size.first, size.second);
        detforge::PartGrouping grouping(enlarged, rules);
        for (const detforge::PartPerson& person : grouping(threads)) {
            for (const detforge::PartOf& part : person.parts) {
                const detforge::Joint joint = grouping.joint(part.peak);
                points.insert(points.end(), {joint.x, joint.y});
                scores.push_back(joint.score);
            }
            totals.push_back(static_cast<float>(person.total));
        }
    }
    return nb::make_tuple(array(std::move(points)), array(std::move(scores)), array(std::move(totals)));
}

nb::object group_composite(Maps heatmaps, Fields places, Maps limbs, Fields ends, Limbs links, ptrdiff_t stride,
                           size_t top_k, float least_peak, float least_seed, float least_keypoint, float least_person,
                           size_t views) {
    if (heatmaps.size() == 0) throw std::invalid_argument("maps without pixels");
    const auto fits = [&](const auto& fields, size_t count, size_t parts) {
        const bool same = fields.shape(fields.ndim() - 2) == heatmaps.shape(1) &&
                          fields.shape(fields.ndim() - 1) == heatmaps.shape(2);
        return same && fields.shape(0) == count && (parts == 0 || fields.shape(1) == parts);
    };
    const size_t k = heatmaps.shape(0);
    if (!fits(places, k, 3) || !fits(limbs, links.shape(0), 0) || !fits(ends, links.shape(0), 6)) {
        throw std::invalid_argument("fields that differ in shape");
    }
    if (stride < 1 || stride > 64) throw std::invalid_argument("a stride that is not 1..64");
    if (!(least_peak > 0 && least_seed > 0 && least_keypoint > 0)) throw std::invalid_argument("scores that are not above 0");
    if (views < 1 || heatmaps.shape(1) % views != 0) throw std::invalid_argument("views of different heights");
    const ptrdiff_t h = heatmaps.shape(1), w = heatmaps.shape(2);
    if (std::max(h, w) > longest / stride) throw std::invalid_argument("maps that are too large");
    const detforge::CompositeFields fields{heatmaps.data(), places.data(), limbs.data(), ends.data(),
                                           static_cast<ptrdiff_t>(k), h, w, static_cast<ptrdiff_t>(views)};
    const detforge::CompositeRules rules{limbs_of(links, links.shape(0), k), stride, top_k, least_peak, least_seed,
                                         least_keypoint, least_person};
    std::vector<float> found;
    {
        nb::gil_scoped_release release;
        for (const detforge::FieldPerson& person : detforge::CompositeGrouping(fields, rules)()) {
            for (const detforge::FieldJoint& joint : person) found.insert(found.end(), {joint.x, joint.y, joint.score});
        }
    }
    return array(std::move(found));
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
    m.def("group_parts", &group_parts, "runs"_a, "limbs"_a, "size"_a, "stride"_a, "top_k"_a, "least_peak"_a,
          "least_limb"_a, "threads"_a);
    m.def("group_composite", &group_composite, "heatmaps"_a, "places"_a, "limbs"_a, "ends"_a, "links"_a, "stride"_a,
          "top_k"_a, "least_peak"_a, "least_seed"_a, "least_keypoint"_a, "least_person"_a, "views"_a);
    m.def("blend", &blend, "source"_a, "target"_a, "order"_a, "signs"_a, "rows"_a, "columns"_a);
}
