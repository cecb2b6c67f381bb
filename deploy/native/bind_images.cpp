// Python bindings for preprocessing of images.
#include <nanobind/stl/array.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <stdexcept>

#include "antialias.h"
#include "bind.h"
#include "crop.h"
#include "resize.h"

namespace {

using Canvas = nb::ndarray<nb::numpy, nb::c_contig, nb::device::cpu, nb::shape<3, -1, -1>>;

void resize(Array<const uint8_t, nb::shape<-1, -1, 3>> image, Canvas canvas, std::array<size_t, 2> size,
            std::array<size_t, 2> offset, std::array<float, 3> mean, std::array<float, 3> std, std::array<float, 3> fill,
            bool swap, size_t threads) {
    const detforge::Layout layout{canvas.shape(1), canvas.shape(2), offset[0], offset[1], size[0], size[1]};
    const size_t height = image.shape(0), width = image.shape(1);
    if (size[0] > layout.canvas_height || offset[0] > layout.canvas_height - size[0] || size[1] > layout.canvas_width ||
        offset[1] > layout.canvas_width - size[1]) {
        throw std::invalid_argument("the image does not lie on the canvas");
    }
    if (height == 0 || width == 0 || size[0] == 0 || size[1] == 0) throw std::invalid_argument("the image has no pixels");
    const detforge::Planes planes{{swap ? 2 : 0, 1, swap ? 0 : 2}, mean, std, fill};
    const auto onto = [&](auto* values) {
        nb::gil_scoped_release release;
        detforge::resize(image.data(), height, width, values, layout, planes, std::max<size_t>(threads, 1));
    };
    constexpr nb::dlpack::dtype kHalf{static_cast<uint8_t>(nb::dlpack::dtype_code::Float), 16, 1};
    if (canvas.dtype() == nb::dtype<float>()) {
        onto(static_cast<float*>(canvas.data()));
    } else if (canvas.dtype() == kHalf) {
        onto(static_cast<detforge::Half*>(canvas.data()));
    } else if (canvas.dtype() == nb::dtype<uint8_t>()) {
        onto(static_cast<uint8_t*>(canvas.data()));
    } else {
        throw std::invalid_argument("a canvas is float32, float16 or uint8");
    }
}

void antialias(Array<const uint8_t, nb::shape<-1, -1, 3>> image, Array<uint8_t, nb::shape<-1, -1, 3>> resized) {
    const size_t height = image.shape(0), width = image.shape(1);
    const size_t out_height = resized.shape(0), out_width = resized.shape(1);
    if (height == 0 || width == 0 || out_height == 0 || out_width == 0) throw std::invalid_argument("the image has no pixels");
    nb::gil_scoped_release release;
    detforge::antialias(image.data(), height, width, resized.data(), out_height, out_width);
}

// Checks that the matrix neither rotates nor mirrors, and that positions fit the fixed-point format.
void check(const double* matrix, size_t height, size_t width) {
    const bool straight = matrix[0] >= 0 && matrix[4] >= 0 && matrix[1] == 0 && matrix[3] == 0;
    const double right = matrix[0] * static_cast<double>(width), down = matrix[4] * static_cast<double>(height);
    const double ways[] = {right, matrix[2], down, matrix[5]};
    const bool near = std::all_of(ways, ways + 4, [](double way) { return std::abs(way) < 1e12; });
    if (!straight || !near) throw std::invalid_argument("a matrix is not finite, or rotates or mirrors");
}

void crop(Array<const uint8_t, nb::shape<-1, -1, 3>> image, Array<const double, nb::shape<-1, 2, 3>> matrices,
          Array<float, nb::shape<-1, 3, -1, -1>> canvases, std::array<float, 3> mean, std::array<float, 3> std,
          bool swap) {
    const size_t n = matrices.shape(0), height = canvases.shape(2), width = canvases.shape(3);
    if (canvases.shape(0) != n) throw std::invalid_argument("matrices and canvases differ in number");
    if (image.shape(0) == 0 || image.shape(1) == 0) throw std::invalid_argument("the image has no pixels");
    for (size_t i = 0; i < n; ++i) check(matrices.data() + i * 6, height, width);
    const int channel[3] = {swap ? 2 : 0, 1, swap ? 0 : 2};
    nb::gil_scoped_release release;
    detforge::Cropper cropper(image.data(), image.shape(0), image.shape(1), channel, mean.data(), std.data());
    for (size_t i = 0; i < n; ++i) {
        cropper(matrices.data() + i * 6, canvases.data() + i * 3 * height * width, height, width);
    }
}

}  // namespace

void bind_images(nb::module_& m) {
    m.def("resize", &resize, "image"_a, "canvas"_a.noconvert(), "size"_a, "offset"_a, "mean"_a, "std"_a, "fill"_a, "swap"_a,
          "threads"_a);
    m.def("antialias", &antialias, "image"_a, "resized"_a.noconvert());
    m.def("crop", &crop, "image"_a, "matrices"_a, "canvases"_a.noconvert(), "mean"_a, "std"_a, "swap"_a);
}
