// Python bindings for similarity and suppression of poses: check shapes, release the GIL, call the kernels.
#include <nanobind/stl/optional.h>

#include <optional>
#include <stdexcept>
#include <utility>
#include <vector>

#include "bind.h"
#include "oks.h"

namespace {

using Keypoints = Array<const float, nb::shape<-1, -1, 3>>;
using Scores = Array<const float, nb::ndim<1>>;
using Values = Array<const double, nb::ndim<1>>;

detforge::Poses poses(const Keypoints& keypoints, const Values& areas, const Values& sigmas,
                      std::optional<float> least_score) {
    const size_t n = keypoints.shape(0), k = keypoints.shape(1);
    if (areas.shape(0) != n) throw std::invalid_argument("keypoints and areas differ in length");
    if (sigmas.shape(0) != k) throw std::invalid_argument("a keypoint is without its sigma, or a sigma too many");
    return {keypoints.data(), areas.data(), sigmas.data(), n, k, least_score};
}

void check(const Scores& scores, const Keypoints& keypoints) {
    if (scores.shape(0) != keypoints.shape(0)) throw std::invalid_argument("keypoints and scores differ in length");
}

void oks(Keypoints keypoints, Values areas, Values sigmas, std::optional<float> least_score,
         Array<double, nb::ndim<2>> similarities) {
    const detforge::Poses all = poses(keypoints, areas, sigmas, least_score);
    const size_t n = all.size();
    if (similarities.shape(0) != n || similarities.shape(1) != n) {
        throw std::invalid_argument("not a row and a column for every pose");
    }
    nb::gil_scoped_release release;
    for (size_t i = 0; i < n; ++i) {
        for (size_t j = i; j < n; ++j) similarities.data()[i * n + j] = similarities.data()[j * n + i] = all.oks(i, j);
    }
}

nb::object oks_nms(Keypoints keypoints, Scores scores, Values areas, Values sigmas, std::optional<float> least_score,
                   double threshold, float floor, size_t limit) {
    const detforge::Poses all = poses(keypoints, areas, sigmas, least_score);
    check(scores, keypoints);
    std::vector<int64_t> kept;
    {
        nb::gil_scoped_release release;
        kept = detforge::oks_nms(all, scores.data(), threshold, floor, limit);
    }
    return array(std::move(kept));
}

nb::object soft_oks_nms(Keypoints keypoints, Scores scores, Values areas, Values sigmas, std::optional<float> least_score,
                        double threshold, std::optional<double> sigma, float floor, size_t limit) {
    const detforge::Poses all = poses(keypoints, areas, sigmas, least_score);
    check(scores, keypoints);
    detforge::Scored kept;
    {
        nb::gil_scoped_release release;
        kept = detforge::soft_oks_nms(all, scores.data(), threshold, sigma, floor, limit);
    }
    return nb::make_tuple(array(std::move(kept.first)), array(std::move(kept.second)));
}

}  // namespace

void bind_poses(nb::module_& m) {
    m.def("oks", &oks, "keypoints"_a, "areas"_a, "sigmas"_a, "least_score"_a.none(), "similarities"_a.noconvert());
    m.def("oks_nms", &oks_nms, "keypoints"_a, "scores"_a, "areas"_a, "sigmas"_a, "least_score"_a.none(), "threshold"_a,
          "floor"_a, "limit"_a);
    m.def("soft_oks_nms", &soft_oks_nms, "keypoints"_a, "scores"_a, "areas"_a, "sigmas"_a, "least_score"_a.none(),
          "threshold"_a, "sigma"_a.none(), "floor"_a, "limit"_a);
}
