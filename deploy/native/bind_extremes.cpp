// Python bindings for boxes from extreme points: check shapes, release the GIL, call the kernel.
#include <stdexcept>
#include <utility>
#include <vector>

#include "bind.h"
#include "extremes.h"

namespace {

using Cells = Array<const float, nb::ndim<3>>;
using Scores = Array<const float, nb::ndim<2>>;
using Labels = Array<const int64_t, nb::ndim<2>>;
using Maps = Array<const float, nb::ndim<3>>;

nb::object group_extremes(Cells cells, Scores scores, Labels labels, Maps centres, float least, float least_centre,
                          float conf, size_t top_k) {
    const size_t k = cells.shape(1);
    if (cells.shape(0) != 4 || cells.shape(2) != 2) throw std::invalid_argument("cells are not (4, k, 2)");
    if (scores.shape(0) != 4 || scores.shape(1) != k || labels.shape(0) != 4 || labels.shape(1) != k) {
        throw std::invalid_argument("scores and labels are not (4, k)");
    }
    if (centres.size() == 0) throw std::invalid_argument("maps without cells");
    if (top_k == 0) throw std::invalid_argument("no boxes to keep");
    std::array<detforge::SidePoints, 4> sides;
    for (size_t i = 0; i < 4; ++i) {
        sides[i] = {cells.data() + 2 * i * k, scores.data() + i * k, labels.data() + i * k, k};
    }
    const auto side = [](size_t value) { return static_cast<ptrdiff_t>(value); };
    const detforge::CentreMaps maps{centres.data(), side(centres.shape(0)), side(centres.shape(1)), side(centres.shape(2))};
    const detforge::ExtremeRules rules{least, least_centre, conf, top_k};
    std::vector<int64_t> points;
    std::vector<float> found;
    {
        nb::gil_scoped_release release;
        for (const detforge::ExtremeBox& box : detforge::ExtremeGrouping(sides, maps, rules)()) {
            points.insert(points.end(), box.points.begin(), box.points.end());
            found.push_back(box.score);
        }
    }
    return nb::make_tuple(array(std::move(points)), array(std::move(found)));
}

}  // namespace

void bind_extremes(nb::module_& m) {
    m.def("group_extremes", &group_extremes, "cells"_a, "scores"_a, "labels"_a, "centres"_a, "least"_a,
          "least_centre"_a, "conf"_a, "top_k"_a);
}
