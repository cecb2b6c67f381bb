// Python bindings for grouping of keypoints by tags: check shapes, release the GIL, call the kernels.
#include <cmath>
#include <stdexcept>
#include <utility>
#include <vector>

#include "assignment.h"
#include "bind.h"
#include "tag_steps.h"
#include "tags.h"

namespace {

using Costs = Array<const double, nb::ndim<2>>;
using Heatmaps = Array<const float, nb::ndim<3>>;
using Tags = Array<const float, nb::ndim<4>>;
using Order = Array<const int64_t, nb::ndim<1>>;

nb::object assign(Costs costs) {
    const size_t rows = costs.shape(0), cols = costs.shape(1);
    if (rows > cols) throw std::invalid_argument("more rows than columns");
    const std::vector<double> values(costs.data(), costs.data() + rows * cols);
    for (const double value : values) {
        if (!(std::abs(value) <= 1e300)) throw std::invalid_argument("costs that are not finite, or too large to add");
    }
    std::vector<int64_t> columns;
    {
        nb::gil_scoped_release release;
        columns = detforge::Assignment(values, rows, cols).solve();
    }
    return array(std::move(columns));
}

// Checks that the order has one valid index for each of `count` maps.
std::vector<ptrdiff_t> order_of(const Order& order, size_t count) {
    std::vector<ptrdiff_t> places(order.data(), order.data() + order.shape(0));
    if (places.size() != count) throw std::invalid_argument("not one place for each map");
    for (const ptrdiff_t place : places) {
        if (place < 0 || place >= static_cast<ptrdiff_t>(count)) throw std::invalid_argument("a place beyond the maps");
    }
    return places;
}

nb::object group(Heatmaps heatmaps, Tags tags, Order order, size_t top_k, float least_peak, double tag_distance,
                 bool udp, bool mmpose) {
    const size_t k = heatmaps.shape(0);
    if (heatmaps.size() == 0 || tags.size() == 0) throw std::invalid_argument("maps without pixels");
    if (top_k == 0) throw std::invalid_argument("no peaks to group");
    for (size_t axis = 0; axis < 3; ++axis) {
        if (tags.shape(axis + 1) != heatmaps.shape(axis)) throw std::invalid_argument("heatmaps and tags differ in shape");
    }
    const auto side = [](size_t value) { return static_cast<ptrdiff_t>(value); };
    const detforge::TagMaps maps{heatmaps.data(), tags.data(),           side(tags.shape(0)),
                                 side(k),         side(tags.shape(2)), side(tags.shape(3))};
    const detforge::TagRules rules{order_of(order, k), top_k, least_peak, tag_distance};
    std::vector<float> points, scores, totals;
    {
        nb::gil_scoped_release release;
        std::vector<detforge::Person> people = detforge::Grouping(maps, rules)();
        const detforge::StepRules steps{udp, mmpose};
        detforge::adjust(maps, steps, people);
        for (const detforge::Person& person : people) totals.push_back(detforge::mean_score(person));
        if (udp) {
            const std::vector<float> logs = detforge::logarithms(maps, steps);
            detforge::TagMaps left = maps;
            left.heatmaps = logs.data();
            detforge::fill(left, steps, people);
        } else {
            detforge::fill(maps, steps, people);
        }
        for (const detforge::Person& person : people) {
            for (const detforge::Joint& joint : person.joints) {
                points.insert(points.end(), {joint.x, joint.y});
                scores.push_back(joint.score);
            }
        }
    }
    return nb::make_tuple(array(std::move(points)), array(std::move(scores)), array(std::move(totals)));
}

}  // namespace

void bind_tags(nb::module_& m) {
    m.def("assign", &assign, "costs"_a);
    m.def("group", &group, "heatmaps"_a, "tags"_a, "order"_a, "top_k"_a, "least_peak"_a, "tag_distance"_a, "udp"_a,
          "mmpose"_a);
}
