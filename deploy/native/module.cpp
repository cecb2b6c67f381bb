// The Python face of the native runtime: checks shapes, releases the interpreter lock, calls the kernels.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/array.h>

#include <array>
#include <stdexcept>

#include "nms.h"
#include "normalize.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace {

template <typename T, typename... Rest>
using Array = nb::ndarray<T, nb::numpy, nb::c_contig, nb::device::cpu, Rest...>;

nb::object nms(Array<const float, nb::shape<-1, 4>> boxes, Array<const float, nb::ndim<1>> scores,
               Array<const int64_t, nb::ndim<1>> labels, float iou, size_t limit) {
    const size_t n = boxes.shape(0);
    if (scores.shape(0) != n || labels.shape(0) != n) throw std::invalid_argument("boxes, scores and labels differ in length");
    auto* kept = new std::vector<int64_t>;
    nb::capsule owner(kept, [](void* p) noexcept { delete static_cast<std::vector<int64_t>*>(p); });
    {
        nb::gil_scoped_release release;
        *kept = detforge::nms(reinterpret_cast<const detforge::Box*>(boxes.data()), scores.data(), labels.data(), n, iou, limit);
    }
    return nb::cast(nb::ndarray<nb::numpy, int64_t, nb::ndim<1>>(kept->data(), {kept->size()}, owner));
}

void normalize(Array<const uint8_t, nb::shape<-1, -1, 3>> image, Array<float, nb::shape<3, -1, -1>> canvas,
               std::array<float, 3> mean, std::array<float, 3> std, bool swap) {
    if (image.shape(0) > canvas.shape(1) || image.shape(1) > canvas.shape(2)) throw std::invalid_argument("the image is larger than the canvas");
    const int channel[3] = {swap ? 2 : 0, 1, swap ? 0 : 2};
    nb::gil_scoped_release release;
    detforge::normalize(image.data(), image.shape(0), image.shape(1), canvas.data(), canvas.shape(1), canvas.shape(2),
                        channel, mean.data(), std.data());
}

}  // namespace

NB_MODULE(_native, m) {
    m.def("nms", &nms, "boxes"_a, "scores"_a, "labels"_a, "iou"_a, "limit"_a);
    m.def("normalize", &normalize, "image"_a, "canvas"_a.noconvert(), "mean"_a, "std"_a, "swap"_a);
}
