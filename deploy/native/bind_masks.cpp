// Python bindings for masks over boxes and their run lengths.
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/string_view.h>

#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bind.h"
#include "masks.h"

namespace {

using Pair = std::pair<ptrdiff_t, ptrdiff_t>;

// Checks (width, height) px of an image.
void check(const Pair& size) {
    const auto fits = [](ptrdiff_t side) { return side >= 0 && side <= 1 << 20; };
    if (!fits(size.first) || !fits(size.second)) throw std::invalid_argument("a side of the image is not 0..1048576 px");
}

// (top, left) px of the part of the image that the box covers, and the mask there.
nb::object paste_mask(Array<const float, nb::ndim<2>> mask, Array<const float, nb::shape<4>> box, Pair image_size,
                      std::string_view paste) {
    check(image_size);
    const ptrdiff_t h = mask.shape(0), w = mask.shape(1);
    if (h == 0 || w == 0 || h > 1 << 20 || w > 1 << 20) throw std::invalid_argument("a mask without cells");
    const bool is_exact = paste == "exact";
    if (!is_exact && paste != "whole" && paste != "cells") throw std::invalid_argument("no such rule");
    const auto rule = is_exact ? detforge::Paste::exact : paste == "whole" ? detforge::Paste::whole : detforge::Paste::cells;
    const float* sides = box.data();
    const detforge::PixelCells across(rule, sides[0], sides[2], image_size.first, w);
    const detforge::PixelCells down(rule, sides[1], sides[3], image_size.second, h);
    std::vector<uint8_t> part(down.count() * across.count());
    {
        nb::gil_scoped_release release;
        detforge::paste(mask.data(), h, w, down, across, part.data());
    }
    const auto shape = nb::make_tuple(down.count(), across.count());
    return nb::make_tuple(nb::make_tuple(down.first, across.first), array(std::move(part)).attr("reshape")(shape));
}

std::string run_text(Array<const uint8_t, nb::ndim<2>> part, Pair top_left, Pair image_size) {
    check(image_size);
    const ptrdiff_t h = part.shape(0), w = part.shape(1), top = top_left.first, left = top_left.second;
    const auto [width, height] = image_size;
    if (top < 0 || left < 0 || top > height - h || left > width - w) {
        throw std::invalid_argument("the part is not inside the image");
    }
    nb::gil_scoped_release release;
    return detforge::run_text(part.data(), h, w, top, left, height, width);
}

}  // namespace

void bind_masks(nb::module_& m) {
    m.def("paste_mask", &paste_mask, "mask"_a, "box"_a, "image_size"_a, "paste"_a);
    m.def("run_text", &run_text, "part"_a, "top_left"_a, "image_size"_a);
}
