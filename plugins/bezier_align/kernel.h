// BezierAlign of regions of a pyramid. The formula is in op.py; README.md has the plans.
#pragma once

#include <cmath>

#include "../core/regions.h"
#include "../core/samples.h"

namespace detforge {

// The sample of every bin along one axis: two taps.
struct BezierAxis {
    static constexpr bool kOwnTaps = true;
    float top[4], bottom[4];  // the control points from left to right, in cells
    int rows, columns;        // of bins
    int size;                 // of the map

    DETFORGE_HD int64_t taps() const { return 2; }
    DETFORGE_HD bool tap(int bin, int64_t t, Tap& tap) const {
        const float u = static_cast<float>(bin % columns) / static_cast<float>(columns);
        const float v = static_cast<float>(bin / columns) / static_cast<float>(rows);
        const float position = (1.0f - v) * at(top, u) + v * at(bottom, u) - 0.5f;
        if (!is_inside(position, size)) return false;
        const Neighbours cells = neighbours(position, size);
        tap = t == 0 ? Tap{cells.low, 1.0f - cells.fraction} : Tap{cells.high, cells.fraction};
        return true;
    }

  private:
    static DETFORGE_HD float at(const float (&points)[4], float u) {
        const float rest = 1.0f - u;
        return rest * rest * rest * points[0] + 3.0f * u * rest * rest * points[1] + 3.0f * u * u * rest * points[2] +
               u * u * u * points[3];
    }
};

struct BezierRule {
    BezierRule(const Call& call, int levels)
        : pyramid(call.inputs, levels), curves(call.inputs[levels].as<const float>()),
          rows(static_cast<int>(call.attributes[0])), columns(static_cast<int>(call.attributes[1])),
          stride(static_cast<float>(call.attributes[2])), finest_scale(static_cast<float>(call.attributes[3])) {}

    DETFORGE_HD Region<BezierAxis> region(int64_t i) const {
        const float* points = curves + i * 16;
        bool is_near = true;
        for (int k = 0; k < 16; ++k) is_near = is_near && fabsf(points[k]) <= static_cast<float>(kLargestSide);
        const float x = points[0] - points[14], y = points[1] - points[15], side = sqrtf(x * x + y * y);
        const float square[4] = {0.0f, 0.0f, side, side};
        const int level = level_of(square, pyramid.levels, finest_scale);
        const float cell = is_near ? stride * static_cast<float>(1 << level) : NAN;
        return {level, axis(points + 1, cell, pyramid.height[level]), axis(points, cell, pyramid.width[level])};
    }
    DETFORGE_HD BezierAxis axis(const float* points, float cell, int size) const {
        BezierAxis made{{}, {}, rows, columns, size};
        for (int k = 0; k < 4; ++k) {
            made.top[k] = points[2 * k] / cell;
            made.bottom[k] = points[2 * (7 - k)] / cell;
        }
        return made;
    }

    Pyramid pyramid;
    const float* curves;
    int rows, columns;
    float stride, finest_scale;
};

void bezier_align_cpu(const Call& call, int levels, Context& context);
int bezier_align_cuda(const Call& call, int levels, DType dtype, void* workspace, void* stream);

constexpr const char* kBezierAlignNames[] = {"BezierAlign1", "BezierAlign2", "BezierAlign3", "BezierAlign4",
                                             "BezierAlign5"};

template <int kLevels>
struct BezierAlign : OnPyramid<kLevels, 1> {  // the levels, curves
    static constexpr const char* name = kBezierAlignNames[kLevels - 1];
    static constexpr std::array<Field, 4> fields{
        {{"output_height", 1}, {"output_width", 1}, {"stride", 1}, {"finest_scale", 1}}};

    static const char* problem(const Call& call, DType) {
        const int64_t* given = call.attributes;
        const char* found = pyramid_problem(call.inputs, kLevels, given[0], given[1], given[2], given[3]);
        if (found != nullptr) return found;
        const Tensor& curves = call.inputs[kLevels];
        const bool fits = curves.shape.rank == 3 && curves[0] == call.inputs[0][0] && curves[2] == 16;
        return fits ? nullptr : "curves is not (n, k, 16)";
    }
    static void cpu(const Call& call, Context& context) { bezier_align_cpu(call, kLevels, context); }
    static int cuda(const Call& call, DType dtype, void* workspace, void* stream) {
        return bezier_align_cuda(call, kLevels, dtype, workspace, stream);
    }
};

using bezier_align_ops = Ops<BezierAlign<1>, BezierAlign<2>, BezierAlign<3>, BezierAlign<4>, BezierAlign<5>>;

}  // namespace detforge
