// Python bindings for selection and suppression of boxes: check shapes, release the GIL, call the kernels.
#include <nanobind/stl/array.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <array>
#include <optional>
#include <stdexcept>
#include <utility>
#include <vector>

#include "bind.h"
#include "nms.h"
#include "select.h"

namespace {

using Boxes = Array<const float, nb::shape<-1, 4>>;
using Scores = Array<const float, nb::ndim<1>>;
using Labels = Array<const int64_t, nb::ndim<1>>;

// Checks that boxes, scores and labels have the same length, and returns it.
size_t count(const Boxes& boxes, const Scores& scores, const Labels& labels) {
    const size_t n = boxes.shape(0);
    if (scores.shape(0) != n || labels.shape(0) != n) throw std::invalid_argument("boxes, scores and labels differ in length");
    return n;
}

void check_threshold(double iou) {
    if (!(iou >= 0)) throw std::invalid_argument("the threshold of the IoU is below 0, or no number");
}

nb::object nms(Boxes boxes, Scores scores, Labels labels, double iou, size_t limit) {
    const size_t n = count(boxes, scores, labels);
    check_threshold(iou);
    std::vector<int64_t> kept;
    {
        nb::gil_scoped_release release;
        kept = detforge::nms(reinterpret_cast<const detforge::Box*>(boxes.data()), scores.data(), labels.data(), n, iou, limit);
    }
    return array(std::move(kept));
}

nb::object guided_nms(Boxes boxes, Scores scores, Scores quality, Labels labels, double iou, size_t limit) {
    const size_t n = count(boxes, scores, labels);
    if (quality.shape(0) != n) throw std::invalid_argument("boxes and quality differ in length");
    check_threshold(iou);
    detforge::Scored kept;
    {
        nb::gil_scoped_release release;
        kept = detforge::guided_nms(reinterpret_cast<const detforge::Box*>(boxes.data()), scores.data(), quality.data(),
                                    labels.data(), n, iou, limit);
    }
    return nb::make_tuple(array(std::move(kept.first)), array(std::move(kept.second)));
}

nb::object soft_nms(Boxes boxes, Scores scores, Labels labels, double iou, std::optional<double> sigma, float floor,
                    size_t limit) {
    const size_t n = count(boxes, scores, labels);
    detforge::Scored kept;
    {
        nb::gil_scoped_release release;
        kept = detforge::soft_nms(reinterpret_cast<const detforge::Box*>(boxes.data()), scores.data(), labels.data(), n,
                                  iou, sigma, floor, limit);
    }
    return nb::make_tuple(array(std::move(kept.first)), array(std::move(kept.second)));
}

nb::object fuse(Scores scores, Scores quality, std::array<float, 2> exponents) {
    if (scores.shape(0) != quality.shape(0)) throw std::invalid_argument("scores and quality differ in length");
    const detforge::Fusion fusion{exponents[0], exponents[1]};
    std::vector<float> fused(scores.shape(0));
    for (size_t i = 0; i < fused.size(); ++i) fused[i] = fusion(scores.data()[i], quality.data()[i]);
    return array(std::move(fused));
}

using Values = nb::ndarray<const float, nb::numpy, nb::c_contig, nb::device::cpu>;

nb::object select_best(Array<const float, nb::ndim<2>> scores, std::optional<Values> quality, std::vector<size_t> ends, float conf,
                  size_t top_k, std::array<float, 2> exponents, bool threshold_fused, bool rank_fused, bool points) {
    const size_t n = scores.shape(0), classes = scores.shape(1);
    const bool of_pairs = quality && quality->ndim() == 2;
    if (quality && (quality->size() != (of_pairs ? n * classes : n) || quality->shape(0) != n)) {
        throw std::invalid_argument("scores and quality differ in shape");
    }
    if (top_k == 0 || !std::is_sorted(ends.begin(), ends.end()) || ends.empty() || ends.back() != n) {
        throw std::invalid_argument("the levels do not end with the scores");
    }
    const detforge::Predictions given{scores.data(), quality ? quality->data() : nullptr, classes, of_pairs};
    const detforge::Rule rule{{exponents[0], exponents[1]}, conf, top_k, quality && threshold_fused, quality && rank_fused};
    detforge::Selected selected;
    {
        nb::gil_scoped_release release;
        detforge::Selector selector(given, rule);
        size_t begin = 0;
        for (const size_t end : ends) {
            points ? selector.points(begin, end) : selector.pairs(begin, end);
            begin = end;
        }
        selected = selector.take();
    }
    return nb::make_tuple(array(std::move(selected.pairs)), array(std::move(selected.scores)));
}

}  // namespace

void bind_boxes(nb::module_& m) {
    m.def("fuse", &fuse, "scores"_a, "quality"_a, "exponents"_a);
    m.def("select", &select_best, "scores"_a, "quality"_a.none(), "ends"_a, "conf"_a, "top_k"_a, "exponents"_a, "threshold_fused"_a,
          "rank_fused"_a, "points"_a);
    m.def("nms", &nms, "boxes"_a, "scores"_a, "labels"_a, "iou"_a, "limit"_a);
    m.def("guided_nms", &guided_nms, "boxes"_a, "scores"_a, "quality"_a, "labels"_a, "iou"_a, "limit"_a);
    m.def("soft_nms", &soft_nms, "boxes"_a, "scores"_a, "labels"_a, "iou"_a, "sigma"_a.none(), "floor"_a, "limit"_a);
}
