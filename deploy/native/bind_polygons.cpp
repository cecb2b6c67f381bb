// Python bindings for polygons and the growth of regions: check shapes, release the GIL, call the kernels.
#include <algorithm>
#include <stdexcept>
#include <utility>
#include <vector>

#include "bind.h"
#include "grow.h"
#include "polygons.h"

namespace {

using Corners = Array<const float, nb::shape<-1, 2>>;
using Scores = Array<const float, nb::ndim<1>>;
using Numbers = Array<const int64_t, nb::ndim<1>>;

// The polygons whose corners follow each other; `ends` has the index after the last corner of each.
std::vector<detforge::Polygon> polygons(const Corners& corners, const Numbers& ends) {
    const int64_t count = static_cast<int64_t>(corners.shape(0));
    std::vector<detforge::Polygon> found;
    int64_t at = 0;
    for (size_t i = 0; i < ends.shape(0); ++i) {
        const int64_t end = ends.data()[i];
        if (end < at || end > count) throw std::invalid_argument("the polygons do not end with their corners");
        std::vector<detforge::Point> own;
        for (; at < end; ++at) own.push_back({corners.data()[2 * at], corners.data()[2 * at + 1]});
        found.emplace_back(std::move(own));
    }
    if (at != count) throw std::invalid_argument("the polygons do not end with their corners");
    return found;
}

void check_threshold(double iou) {
    if (!(iou >= 0)) throw std::invalid_argument("the threshold of the IoU is below 0, or no number");
}

void polygon_iou(Corners corners, Numbers ends, Array<double, nb::ndim<2>> overlaps) {
    const std::vector<detforge::Polygon> all = polygons(corners, ends);
    const size_t n = all.size();
    if (overlaps.shape(0) != n || overlaps.shape(1) != n) {
        throw std::invalid_argument("not a row and a column for every polygon");
    }
    nb::gil_scoped_release release;
    for (size_t i = 0; i < n; ++i) {
        for (size_t j = i; j < n; ++j) {
            overlaps.data()[i * n + j] = overlaps.data()[j * n + i] = detforge::iou(all[i], all[j]);
        }
    }
}

nb::object polygon_nms(Corners corners, Numbers ends, Scores scores, Numbers labels, double iou, size_t limit) {
    const std::vector<detforge::Polygon> all = polygons(corners, ends);
    if (scores.shape(0) != all.size() || labels.shape(0) != all.size()) {
        throw std::invalid_argument("polygons, scores and labels differ in length");
    }
    check_threshold(iou);
    std::vector<int64_t> kept;
    {
        nb::gil_scoped_release release;
        kept = detforge::polygon_nms(all, scores.data(), labels.data(), iou, limit);
    }
    return array(std::move(kept));
}

nb::object locality_nms(Array<const float, nb::shape<-1, 4, 2>> quads, Scores scores, double iou, size_t limit) {
    const size_t n = quads.shape(0);
    if (scores.shape(0) != n) throw std::invalid_argument("quads and scores differ in length");
    check_threshold(iou);
    std::vector<float> corners;
    detforge::Quads best;
    {
        nb::gil_scoped_release release;
        detforge::Quads given{{}, {scores.data(), scores.data() + n}};
        for (size_t i = 0; i < n; ++i) {
            given.corners.emplace_back();
            std::copy_n(quads.data() + 8 * i, 8, given.corners.back().begin());
        }
        best = detforge::locality_nms(given, iou, limit);
        for (const auto& own : best.corners) corners.insert(corners.end(), own.begin(), own.end());
    }
    return nb::make_tuple(array(std::move(corners)), array(std::move(best.scores)));
}

void grow(Array<int32_t, nb::ndim<2>> labels, Array<const uint8_t, nb::ndim<2>> mask) {
    const size_t height = labels.shape(0), width = labels.shape(1);
    if (mask.shape(0) != height || mask.shape(1) != width) throw std::invalid_argument("labels and mask differ in shape");
    nb::gil_scoped_release release;
    detforge::grow(labels.data(), mask.data(), height, width);
}

}  // namespace

void bind_polygons(nb::module_& m) {
    m.def("polygon_iou", &polygon_iou, "corners"_a, "ends"_a, "overlaps"_a);
    m.def("polygon_nms", &polygon_nms, "corners"_a, "ends"_a, "scores"_a, "labels"_a, "iou"_a, "limit"_a);
    m.def("grow", &grow, "labels"_a, "mask"_a);
    m.def("locality_nms", &locality_nms, "quads"_a, "scores"_a, "iou"_a, "limit"_a);
}
