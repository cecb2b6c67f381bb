// The Python face of the native runtime: checks shapes, releases the interpreter lock, calls the kernels.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/array.h>
#include <nanobind/stl/optional.h>

#include <array>
#include <optional>
#include <stdexcept>
#include <utility>
#include <vector>

#include "nms.h"
#include "normalize.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace {

template <typename T, typename... Rest>
using Array = nb::ndarray<T, nb::numpy, nb::c_contig, nb::device::cpu, Rest...>;

using Boxes = Array<const float, nb::shape<-1, 4>>;
using Scores = Array<const float, nb::ndim<1>>;
using Labels = Array<const int64_t, nb::ndim<1>>;

// The number of boxes, which scores and labels must share.
size_t count(const Boxes& boxes, const Scores& scores, const Labels& labels) {
    const size_t n = boxes.shape(0);
    if (scores.shape(0) != n || labels.shape(0) != n) throw std::invalid_argument("boxes, scores and labels differ in length");
    return n;
}

// An array that takes over the values.
template <typename T>
nb::object array(std::vector<T> values) {
    auto* kept = new std::vector<T>(std::move(values));
    nb::capsule owner(kept, [](void* p) noexcept { delete static_cast<std::vector<T>*>(p); });
    return nb::cast(nb::ndarray<nb::numpy, T, nb::ndim<1>>(kept->data(), {kept->size()}, owner));
}

nb::object nms(Boxes boxes, Scores scores, Labels labels, float iou, size_t limit) {
    const size_t n = count(boxes, scores, labels);
    std::vector<int64_t> kept;
    {
        nb::gil_scoped_release release;
        kept = detforge::nms(reinterpret_cast<const detforge::Box*>(boxes.data()), scores.data(), labels.data(), n, iou, limit);
    }
    return array(std::move(kept));
}

nb::object soft_nms(Boxes boxes, Scores scores, Labels labels, float iou, std::optional<float> sigma, float floor,
                    size_t limit) {
    const size_t n = count(boxes, scores, labels);
    std::pair<std::vector<int64_t>, std::vector<float>> kept;
    {
        nb::gil_scoped_release release;
        kept = detforge::soft_nms(reinterpret_cast<const detforge::Box*>(boxes.data()), scores.data(), labels.data(), n,
                                  iou, sigma, floor, limit);
    }
    return nb::make_tuple(array(std::move(kept.first)), array(std::move(kept.second)));
}

void normalize(Array<const uint8_t, nb::shape<-1, -1, 3>> image, Array<float, nb::shape<3, -1, -1>> canvas,
               std::array<size_t, 2> offset, std::array<float, 3> mean, std::array<float, 3> std,
               std::array<float, 3> fill, bool swap) {
    const auto [top, left] = offset;
    if (top + image.shape(0) > canvas.shape(1) || left + image.shape(1) > canvas.shape(2)) {
        throw std::invalid_argument("the image does not lie on the canvas");
    }
    const int channel[3] = {swap ? 2 : 0, 1, swap ? 0 : 2};
    nb::gil_scoped_release release;
    detforge::normalize(image.data(), image.shape(0), image.shape(1), canvas.data(), canvas.shape(1), canvas.shape(2),
                        top, left, channel, mean.data(), std.data(), fill.data());
}

}  // namespace

NB_MODULE(_native, m) {
    m.def("nms", &nms, "boxes"_a, "scores"_a, "labels"_a, "iou"_a, "limit"_a);
    m.def("soft_nms", &soft_nms, "boxes"_a, "scores"_a, "labels"_a, "iou"_a, "sigma"_a.none(), "floor"_a, "limit"_a);
    m.def("normalize", &normalize, "image"_a, "canvas"_a.noconvert(), "offset"_a, "mean"_a, "std"_a, "fill"_a, "swap"_a);
}
