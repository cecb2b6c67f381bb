// Declarations shared by the files that bind the native runtime to Python.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <utility>
#include <vector>

namespace nb = nanobind;
using namespace nb::literals;

template <typename T, typename... Rest>
using Array = nb::ndarray<T, nb::numpy, nb::c_contig, nb::device::cpu, Rest...>;

// A NumPy array that owns the values.
template <typename T>
nb::object array(std::vector<T> values) {
    auto* kept = new std::vector<T>(std::move(values));
    nb::capsule owner(kept, [](void* p) noexcept { delete static_cast<std::vector<T>*>(p); });
    return nb::cast(nb::ndarray<nb::numpy, T, nb::ndim<1>>(kept->data(), {kept->size()}, owner));
}

// Each function adds the functions of one file to the module.
void bind_boxes(nb::module_& m);
void bind_extremes(nb::module_& m);
void bind_fields(nb::module_& m);
void bind_images(nb::module_& m);
void bind_heatmaps(nb::module_& m);
void bind_masks(nb::module_& m);
void bind_polygons(nb::module_& m);
void bind_poses(nb::module_& m);
void bind_tags(nb::module_& m);
void bind_votes(nb::module_& m);
