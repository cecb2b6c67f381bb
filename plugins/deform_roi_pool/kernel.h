// Deformable RoI pooling of regions of a pyramid. The formula is in op.py; README.md has the plans.
#pragma once

#include "../core/regions.h"
#include "../core/samples.h"

namespace detforge {

// The samples of a region along one axis. Each is two taps. Every bin has its own, as it has its own shift.
struct DeformRoiAxis {
    static constexpr bool kOwnTaps = true;
    float start, length;  // in cells
    const float* shifts;  // of the bins, in lengths
    int bins, columns;    // of this axis, and of a row
    bool is_row;
    int samples;  // of a bin
    int size;     // of the map

    DETFORGE_HD int64_t taps() const { return 2 * samples; }
    DETFORGE_HD bool tap(int bin, int64_t t, Tap& tap) const {
        const float position = at(bin, static_cast<int>(t / 2));
        if (!is_near(position)) return false;
        int near = 0;
        for (int i = 0; i < samples; ++i) near += is_near(at(bin, i)) ? 1 : 0;
        const Neighbours cells = neighbours(position, size);
        const float share = t % 2 == 0 ? 1.0f - cells.fraction : cells.fraction;
        tap = {t % 2 == 0 ? cells.low : cells.high, share / static_cast<float>(near)};
        return true;
    }

  private:
    DETFORGE_HD bool is_near(float position) const {
        return position >= -0.5f && position <= static_cast<float>(size) - 0.5f;
    }
    // Rounded after every operation, as a sample on the limit of the map is in or out.
    DETFORGE_HD float at(int bin, int sample) const {
        const float i = static_cast<float>(is_row ? bin / columns : bin % columns);
        const float step = length / static_cast<float>(bins);
        const float part = step / static_cast<float>(samples), number = static_cast<float>(sample);
#if defined(__CUDA_ARCH__)
        const float first = __fadd_rn(__fadd_rn(__fmul_rn(i, step), start), __fmul_rn(shifts[bin], length));
        return __fadd_rn(first, __fmul_rn(number, part));
#else
        const float first = i * step + start + shifts[bin] * length;
        return first + number * part;
#endif
    }
};

struct DeformRoiRule {
    DeformRoiRule(const Call& call, int levels)
        : placing(call, levels, call.attributes[2], call.attributes[4]),
          shifts(call.inputs[levels + 2].as<const float>()), output_height(static_cast<int>(call.attributes[0])),
          output_width(static_cast<int>(call.attributes[1])), samples(static_cast<int>(call.attributes[3])) {}

    DETFORGE_HD Region<DeformRoiAxis> region(int64_t i) const {
        float cells[4];
        const int level = placing.place(i, cells);
        const float* own = shifts + i * 2 * output_height * output_width;
        const float* of_rows = own + output_height * output_width;
        return {level, axis(cells[1], cells[3], of_rows, true, placing.pyramid.height[level]),
                axis(cells[0], cells[2], own, false, placing.pyramid.width[level])};
    }
    DETFORGE_HD DeformRoiAxis axis(float start, float end, const float* own, bool is_row, int size) const {
        const float first = start - 0.5f, length = (end - 0.5f) - first;
        const int bins = is_row ? output_height : output_width;
        return {first, length > 0.1f ? length : 0.1f, own, bins, output_width, is_row, samples, size};
    }

    Placing placing;
    const float* shifts;  // x, then y
    int output_height, output_width, samples;
};

void deform_roi_pool_cpu(const Call& call, int levels, Context& context);
int deform_roi_pool_cuda(const Call& call, int levels, DType dtype, void* workspace, void* stream);

constexpr const char* kDeformRoiPoolNames[] = {"DeformRoiPool1", "DeformRoiPool2", "DeformRoiPool3", "DeformRoiPool4",
                                               "DeformRoiPool5"};

template <int kLevels>
struct DeformRoiPool : OnPyramid<kLevels, 3> {  // the levels, boxes, regions, shifts
    static constexpr const char* name = kDeformRoiPoolNames[kLevels - 1];
    static constexpr std::array<Field, 5> fields{
        {{"output_height", 1}, {"output_width", 1}, {"stride", 1}, {"samples", 1}, {"finest_scale", 1}}};

    static const char* problem(const Call& call, DType) {
        const int64_t* given = call.attributes;
        const char* found = regions_problem(call.inputs, kLevels, given[0], given[1], given[2], given[4]);
        if (found != nullptr) return found;
        if (given[3] < 1 || given[3] > 16) return "samples is not in 1..16";
        const Tensor &boxes = call.inputs[kLevels], &shifts = call.inputs[kLevels + 2];
        const bool fits = shifts.shape.rank == 4 && shifts[0] == boxes[0] && shifts[1] == boxes[1] && shifts[2] == 2 &&
                          shifts[3] == given[0] * given[1];
        return fits ? nullptr : "shifts is not (n, k, 2, output_height * output_width)";
    }
    static void cpu(const Call& call, Context& context) { deform_roi_pool_cpu(call, kLevels, context); }
    static int cuda(const Call& call, DType dtype, void* workspace, void* stream) {
        return deform_roi_pool_cuda(call, kLevels, dtype, workspace, stream);
    }
};

using deform_roi_pool_ops =
    Ops<DeformRoiPool<1>, DeformRoiPool<2>, DeformRoiPool<3>, DeformRoiPool<4>, DeformRoiPool<5>>;

}  // namespace detforge
