// What the operators that pool regions of a pyramid share. A bin's value is a sum over cells, whose weights are products
// of a row's and a column's:
//
//     y(c, bin) = sum over rows, columns of row_weight(bin, row) * column_weight(bin, column) * x_level(c, row, column)
//
// A rule gives these weights. It is a struct, copied to the device, with
//
//     Region<Axis> region(int64_t i) const;     // of all images' regions
//
// whose Axis has `int64_t taps() const`, the most taps of a bin, and `bool tap(int bin, int64_t i, Tap& tap) const`,
// which gives false where the i-th tap adds nothing. A bin's taps are in the order of their places, but for neighbours.
// `bin` counts the rows or the columns of bins, or with `kOwnTaps` all bins, if each has its own.
//
// The inputs of the call are the levels (n, c, h_l, w_l), finest first, then boxes (n, k, 4) and regions (n, k, 4), or
// curves (n, k, 16), which are float, and what else the operator takes. The output is (n, k, c, bins), its bins row by
// row.
#pragma once

#include <cmath>

#include "op.h"

namespace detforge {

struct Tap {
    int place;  // a row or a column
    float weight;
};

template <class Axis>
struct Region {
    int level;
    Axis rows, columns;
};

constexpr int kMostLevels = 5;
constexpr int64_t kLargestSide = 1 << 24;  // of a map: a float tells its cells apart
constexpr int64_t kMostBins = 256;         // of an axis

// The sizes of the levels.
struct Pyramid {
    Pyramid(const Tensor* levels, int count) : levels(count) {
        for (int i = 0; i < count; ++i) {
            height[i] = static_cast<int>(levels[i][2]);
            width[i] = static_cast<int>(levels[i][3]);
        }
    }
    int levels;
    int height[kMostLevels], width[kMostLevels];
};

// The largest level l with 2^l <= sqrt(area) / finest_scale + 1e-6, else 0.
DETFORGE_HD int level_of(const float* box, int levels, float finest_scale) {
    const float w = box[2] - box[0], h = box[3] - box[1];
    const float size = sqrtf((w > 0.0f ? w : 0.0f) * (h > 0.0f ? h : 0.0f)) / finest_scale + 1e-6f;
    int level = 0;
    while (level + 1 < levels && size >= static_cast<float>(2 << level)) ++level;
    return level;
}

// A corner in cells of a map, at most one size of the map away from it.
DETFORGE_HD float near_map(float cell, int size) {
    const float reach = static_cast<float>(size) + 2.0f;
    return cell > -reach ? (cell < 2.0f * reach ? cell : 2.0f * reach) : -reach;
}

// The bytes of the levels, which a GPU copies.
inline size_t regions_workspace(const Call& call, int levels, DType dtype) {
    int64_t values = 0;
    for (int l = 0; l < levels; ++l) values += call.inputs[l].size();
    return static_cast<size_t>(values) * (dtype == DType::kFloat ? 4 : 2);
}

// Where the regions of a call are: its first inputs are the levels, then boxes and regions.
struct Placing {
    Placing(const Call& call, int levels, int64_t stride, int64_t finest_scale)
        : pyramid(call.inputs, levels), boxes(call.inputs[levels].as<const float>()),
          regions(call.inputs[levels + 1].as<const float>()), stride(static_cast<float>(stride)),
          finest_scale(static_cast<float>(finest_scale)) {}

    // The level of a region, and its corners (x1, y1, x2, y2) in cells of it. One with a NaN is before the map.
    DETFORGE_HD int place(int64_t i, float (&cells)[4]) const {
        const float* corners = regions + i * 4;
        const int level = level_of(boxes + i * 4, pyramid.levels, finest_scale);
        const float cell = stride * static_cast<float>(1 << level);
        bool has_nan = false;
        for (int k = 0; k < 4; ++k) has_nan = has_nan || corners[k] != corners[k];
        for (int k = 0; k < 4; ++k) {
            const int size = k % 2 == 0 ? pyramid.width[level] : pyramid.height[level];
            cells[k] = near_map(has_nan ? -INFINITY : corners[k] / cell, size);
        }
        return level;
    }

    Pyramid pyramid;
    const float *boxes, *regions;
    float stride, finest_scale;
};

// Why the levels, the output's size, `stride` or `finest_scale` do not fit, or nullptr.
inline const char* pyramid_problem(const Tensor* inputs, int levels, int64_t output_height, int64_t output_width,
                                   int64_t stride, int64_t finest_scale) {
    for (int i = 0; i < levels; ++i) {
        const Tensor& x = inputs[i];
        const bool alike = x.shape.rank == 4 && x[0] == inputs[0][0] && x[1] == inputs[0][1];
        if (!alike) return "the levels are not all (n, c, h, w)";
        const bool fits = x[2] >= 1 && x[3] >= 1 && x[2] <= kLargestSide && x[3] <= kLargestSide;
        if (!fits) return "a level has no cells, or more than 2^24 to a side";
        if (x[1] * x[3] > int64_t{1} << 31) return "a row of a level has more than 2^31 values";
    }
    if (stride < 1 || stride > kLargestSide >> levels) return "stride is not positive, or too large";
    if (finest_scale < 1 || finest_scale > kLargestSide) return "finest_scale is not in 1..2^24";
    const bool fits =
        output_height >= 1 && output_height <= kMostBins && output_width >= 1 && output_width <= kMostBins;
    return fits ? nullptr : "the output's height or width is not in 1..256";
}

// The same of a call with boxes and regions behind the levels.
inline const char* regions_problem(const Tensor* inputs, int levels, int64_t output_height, int64_t output_width,
                                   int64_t stride, int64_t finest_scale) {
    const char* found = pyramid_problem(inputs, levels, output_height, output_width, stride, finest_scale);
    if (found != nullptr) return found;
    const Tensor &boxes = inputs[levels], &regions = inputs[levels + 1];
    if (boxes.shape.rank != 3 || boxes[0] != inputs[0][0] || boxes[2] != 4) return "boxes is not (n, k, 4)";
    const bool fits = regions.shape.rank == 3 && regions[0] == boxes[0] && regions[1] == boxes[1] && regions[2] == 4;
    return fits ? nullptr : "regions is not (n, k, 4) as boxes is";
}

// What the traits of these operators share: the inputs are the levels, then `kOthers` (n, k, ...), the regions and more.
// The first attributes are the numbers of rows and columns of bins.
template <int kLevels, int kOthers>
struct OnPyramid {
    static constexpr int inputs = kLevels + kOthers;
    static constexpr unsigned float_inputs = ((1u << kOthers) - 1) << kLevels;

    template <class Dim>
    static Shape<Dim> shape(const Shape<Dim>* inputs, const int64_t* attributes) {
        return {{inputs[kLevels][0], inputs[kLevels][1], inputs[0][1], attributes[0] * attributes[1]}, 4};
    }
    static size_t workspace(const Call& call, DType dtype) { return regions_workspace(call, kLevels, dtype); }
};

}  // namespace detforge
