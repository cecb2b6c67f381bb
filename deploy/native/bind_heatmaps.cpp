// Python bindings for decoding keypoints from heatmaps, offsets and bins.
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string_view.h>

#include <algorithm>
#include <optional>
#include <stdexcept>
#include <string_view>
#include <utility>
#include <vector>

#include "bind.h"
#include "heatmap.h"
#include "mirror.h"
#include "offsets.h"
#include "region_peaks.h"
#include "simcc.h"

namespace {

using Maps = Array<const float, nb::ndim<4>>;          // (n, k, h, w)
using Fields = Array<const float, nb::shape<-1, -1, 2, -1, -1>>;  // (n, k, 2, h, w)
using Rows = Array<const float, nb::ndim<2>>;
using Order = Array<const int64_t, nb::ndim<1>>;

detforge::Method method_of(std::string_view name) {
    constexpr std::string_view names[] = {"argmax", "quarter", "parabola",    "paraboloid", "dark",
                                          "udp",    "megvii",  "second_peak", "gaussfit",   "integral"};
    for (size_t i = 0; i < std::size(names); ++i) {
        if (name == names[i]) return static_cast<detforge::Method>(i);
    }
    throw std::invalid_argument("no such method");
}

// Checks that a kernel's size is odd and in the range of a Card.
ptrdiff_t odd(ptrdiff_t size) {
    const bool fits = size >= 1 && size <= 255 && size % 2 == 1;
    if (!fits) throw std::invalid_argument("a kernel's size is no odd number of 1..255");
    return size;
}

// Points xy and values of many maps, computed by `find(map index)`.
template <typename Find>
nb::object each(size_t count, Find find) {
    std::vector<float> points(2 * count), values(count);
    {
        nb::gil_scoped_release release;
        for (size_t i = 0; i < count; ++i) {
            const detforge::Peak peak = find(i);
            points[2 * i] = static_cast<float>(peak.x);
            points[2 * i + 1] = static_cast<float>(peak.y);
            values[i] = peak.value;
        }
    }
    return nb::make_tuple(array(std::move(points)), array(std::move(values)));
}

size_t area(const Maps& maps) {
    if (maps.shape(2) == 0 || maps.shape(3) == 0) throw std::invalid_argument("maps without pixels");
    return maps.shape(2) * maps.shape(3);
}

detforge::Map nth(const float* values, const Maps& maps, size_t i) {
    return {values + i * area(maps), static_cast<ptrdiff_t>(maps.shape(2)), static_cast<ptrdiff_t>(maps.shape(3))};
}

void check(const Maps& maps, const Fields& offsets) {
    area(maps);
    if (offsets.shape(0) != maps.shape(0) || offsets.shape(1) != maps.shape(1) || offsets.shape(3) != maps.shape(2) ||
        offsets.shape(4) != maps.shape(3)) {
        throw std::invalid_argument("maps and offsets differ in shape");
    }
}

nb::object heatmap_peaks(Maps maps, std::string_view method, ptrdiff_t blur, double sigma, double beta, bool debias,
                         double scale, bool older) {
    area(maps);
    const bool fits = sigma > 0 && sigma <= 64 && beta > 0 && scale > 0;
    if (!fits) throw std::invalid_argument("sigma, beta or scale is out of range");
    detforge::HeatmapDecoder decode({method_of(method), odd(blur), sigma, beta, debias, scale, older});
    return each(maps.shape(0) * maps.shape(1), [&](size_t i) { return decode(nth(maps.data(), maps, i)); });
}

nb::object offset_peaks(Maps maps, Fields offsets, double radius, ptrdiff_t blur, ptrdiff_t offset_blur) {
    check(maps, offsets);
    detforge::Smoother smoother(odd(blur), detforge::Beyond::mirror);
    const std::vector<double> kernel = detforge::gaussian(odd(offset_blur));
    const size_t keypoints = maps.shape(1);
    const auto field = [&](size_t i) {
        return detforge::Field{nth(offsets.data(), maps, 2 * i), nth(offsets.data(), maps, 2 * i + 1)};
    };
    return each(maps.shape(0) * keypoints, [&](size_t i) {
        const size_t previous = i % keypoints ? i - 1 : i + keypoints - 1;
        return detforge::offset_peak(nth(maps.data(), maps, i), field(i), field(previous), radius, smoother, kernel);
    });
}

nb::object vote_peaks(Maps maps, Fields offsets, double radius) {
    check(maps, offsets);
    std::vector<float> votes;
    return each(maps.shape(0) * maps.shape(1), [&](size_t i) {
        return detforge::vote_peak(nth(maps.data(), maps, i), nth(offsets.data(), maps, 2 * i),
                                   nth(offsets.data(), maps, 2 * i + 1), radius, votes);
    });
}

// The peaks of maps that are enlarged to the (height, width) px of each region.
nb::object region_peaks(Maps maps, Array<const int64_t, nb::shape<-1, 2>> sizes) {
    area(maps);
    const size_t keypoints = maps.shape(1);
    const auto fits = [](int64_t side) { return side >= 1 && side <= detforge::most_region_px; };
    if (sizes.shape(0) != maps.shape(0) || !std::all_of(sizes.data(), sizes.data() + sizes.size(), fits)) {
        throw std::invalid_argument("there is not one size of 1..32768 px for each region");
    }
    std::optional<detforge::RegionPeaks> peak;
    return each(maps.shape(0) * keypoints, [&](size_t i) {
        const int64_t* size = sizes.data() + 2 * (i / keypoints);
        if (i % keypoints == 0) peak.emplace(maps.shape(2), maps.shape(3), size[0], size[1]);
        return (*peak)(nth(maps.data(), maps, i));
    });
}

// The best bin of each row and its value. With a kernel size, the bin is refined by a step of DARK.
nb::object bin_peaks(Rows rows, std::optional<ptrdiff_t> blur) {
    const ptrdiff_t count = rows.shape(1);
    if (count == 0) throw std::invalid_argument("rows without bins");
    std::vector<double> kernel, smooth;
    if (blur) kernel = detforge::gaussian(odd(*blur));
    std::vector<float> places(rows.shape(0)), values(rows.shape(0));
    {
        nb::gil_scoped_release release;
        for (size_t i = 0; i < rows.shape(0); ++i) {
            const float* bins = rows.data() + i * count;
            detforge::Peak peak = detforge::top({bins, 1, count});
            if (blur && peak.value > 0) peak.x += detforge::step_bins(bins, count, std::lround(peak.x), kernel, smooth);
            places[i] = static_cast<float>(peak.x);
            values[i] = peak.value;
        }
    }
    return nb::make_tuple(array(std::move(places)), array(std::move(values)));
}

void average_views(Maps plain, Maps mirrored, Order order, float shift, Array<float, nb::ndim<4>> out) {
    const size_t n = plain.shape(0), k = plain.shape(1), h = plain.shape(2), w = plain.shape(3);
    for (size_t axis = 0; axis < 4; ++axis) {
        if (mirrored.shape(axis) != plain.shape(axis) || out.shape(axis) != plain.shape(axis)) {
            throw std::invalid_argument("the views differ in shape");
        }
    }
    const auto is_map = [&](int64_t i) { return i >= 0 && i < static_cast<int64_t>(k); };
    if (order.shape(0) != k || !std::all_of(order.data(), order.data() + k, is_map)) {
        throw std::invalid_argument("the order does not name the maps");
    }
    nb::gil_scoped_release release;
    for (size_t i = 0; i < n * k; ++i) {
        const size_t other = i / k * k + order.data()[i % k];
        detforge::average_views(plain.data() + i * h * w, mirrored.data() + other * h * w, h, w, shift,
                                out.data() + i * h * w);
    }
}

}  // namespace

void bind_heatmaps(nb::module_& m) {
    m.def("heatmap_peaks", &heatmap_peaks, "maps"_a, "method"_a, "blur"_a, "sigma"_a, "beta"_a, "debias"_a, "scale"_a,
          "older"_a);
    m.def("offset_peaks", &offset_peaks, "maps"_a, "offsets"_a, "radius"_a, "blur"_a, "offset_blur"_a);
    m.def("vote_peaks", &vote_peaks, "maps"_a, "offsets"_a, "radius"_a);
    m.def("region_peaks", &region_peaks, "maps"_a, "sizes"_a);
    m.def("bin_peaks", &bin_peaks, "rows"_a, "blur"_a.none());
    m.def("average_views", &average_views, "plain"_a, "mirrored"_a, "order"_a, "shift"_a, "out"_a.noconvert());
}
