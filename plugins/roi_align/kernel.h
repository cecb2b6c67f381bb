// RoIAlign of regions of a pyramid. The formula is in op.py; README.md has the plans.
#pragma once

#include <cmath>

#include "../core/regions.h"
#include "../core/samples.h"

namespace detforge {

// The samples of a region along one axis. Each is two taps.
struct RoiAxis {
    static constexpr bool kOwnTaps = false;
    float start, bin;  // in cells
    int64_t samples;   // of a bin
    int size;          // of the map

    DETFORGE_HD int64_t taps() const { return 2 * samples; }
    DETFORGE_HD bool tap(int i, int64_t t, Tap& tap) const {
        const float position = at(static_cast<float>(i), static_cast<float>(t / 2) + 0.5f);
        if (!is_inside(position, size)) return false;
        const Neighbours cells = neighbours(position, size);
        const float share = t % 2 == 0 ? 1.0f - cells.fraction : cells.fraction;
        tap = {t % 2 == 0 ? cells.low : cells.high, share / static_cast<float>(samples)};
        return true;
    }

  private:
    // Rounded after every operation: a sample that falls on the limit of the map must fall there in every form.
    // (The CPU kernel calls this from code that is compiled without fused multiply-add.)
    DETFORGE_HD float at(float i, float sample) const {
        const float count = static_cast<float>(samples);
#if defined(__CUDA_ARCH__)
        return __fadd_rn(__fadd_rn(start, __fmul_rn(i, bin)), __fdiv_rn(__fmul_rn(sample, bin), count));
#else
        return start + i * bin + sample * bin / count;
#endif
    }
};

struct RoiRule {
    RoiRule(const Call& call, int levels)
        : placing(call, levels, call.attributes[2], call.attributes[6]),
          output_height(static_cast<int>(call.attributes[0])), output_width(static_cast<int>(call.attributes[1])),
          ratio(call.attributes[3]), shift(call.attributes[4] != 0 ? 0.5f : 0.0f),
          minimum(static_cast<float>(call.attributes[5])) {}

    DETFORGE_HD Region<RoiAxis> region(int64_t i) const {
        float cells[4];
        const int level = placing.place(i, cells);
        return {level, axis(cells[1], cells[3], output_height, placing.pyramid.height[level]),
                axis(cells[0], cells[2], output_width, placing.pyramid.width[level])};
    }
    DETFORGE_HD RoiAxis axis(float start, float end, int bins, int size) const {
        const float first = start - shift, last = end - shift;
        const float length = last - first > minimum ? last - first : minimum, bin = length / static_cast<float>(bins);
        return {first, bin, ratio > 0 ? ratio : static_cast<int64_t>(ceilf(bin)), size};
    }

    Placing placing;
    int output_height, output_width;
    int64_t ratio;
    float shift, minimum;
};

int roi_align_cuda(const Call& call, int levels, DType dtype, void* workspace, void* stream);
void roi_align_cpu(const Call& call, int levels, Context& context);

constexpr const char* kRoiAlignNames[] = {"RoiAlign1", "RoiAlign2", "RoiAlign3", "RoiAlign4", "RoiAlign5"};

template <int kLevels>
struct RoiAlign : OnPyramid<kLevels, 2> {  // the levels, boxes, regions
    static constexpr const char* name = kRoiAlignNames[kLevels - 1];
    static constexpr std::array<Field, 7> fields{{{"output_height", 1},
                                                  {"output_width", 1},
                                                  {"stride", 1},
                                                  {"sampling_ratio", 1},
                                                  {"aligned", 1},
                                                  {"minimum", 1},
                                                  {"finest_scale", 1}}};

    static const char* problem(const Call& call, DType) {
        const int64_t* given = call.attributes;
        if (given[3] < 0 || given[3] > 256) return "sampling_ratio is not in 0..256";
        if (given[4] != 0 && given[4] != 1) return "aligned is not 0 or 1";
        if (given[5] < 0 || given[5] > 256) return "minimum is not in 0..256";
        return regions_problem(call.inputs, kLevels, given[0], given[1], given[2], given[6]);
    }
    static void cpu(const Call& call, Context& context) { roi_align_cpu(call, kLevels, context); }
    static int cuda(const Call& call, DType dtype, void* workspace, void* stream) {
        return roi_align_cuda(call, kLevels, dtype, workspace, stream);
    }
};

using roi_align_ops = Ops<RoiAlign<1>, RoiAlign<2>, RoiAlign<3>, RoiAlign<4>, RoiAlign<5>>;

}  // namespace detforge
