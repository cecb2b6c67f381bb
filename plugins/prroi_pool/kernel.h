// Precise RoI pooling of regions of a pyramid. The formula is in op.py; README.md has the plans.
#pragma once

#include "../core/regions.h"

namespace detforge {

// The bins of a region along one axis. A tap is a cell that a bin overlaps, or that lies beside it.
struct PrRoiAxis {
    static constexpr bool kOwnTaps = false;
    float start, bin;  // in cells
    int size;          // of the map

    DETFORGE_HD int64_t taps() const { return bin > 0.0f ? static_cast<int64_t>(ceilf(bin)) + 2 : 0; }
    // The mean over the bin of the cell's share, which falls from 1 at the cell to 0 at its neighbours.
    DETFORGE_HD bool tap(int i, int64_t t, Tap& tap) const {
        const float from = start + static_cast<float>(i) * bin, to = start + static_cast<float>(i + 1) * bin;
        const float place = floorf(from) + static_cast<float>(t);
        if (!(to > from) || place < 0.0f || place > static_cast<float>(size - 1)) return false;
        const float rising = share(from > place - 1.0f ? from : place - 1.0f, to < place ? to : place, place);
        const float falling = share(from > place ? from : place, to < place + 1.0f ? to : place + 1.0f, place);
        tap = {static_cast<int>(place), (rising + falling) / (to - from)};
        return tap.weight > 0.0f;
    }

  private:
    // The integral of the share from `low` to `high`, both on one side of the cell.
    static DETFORGE_HD float share(float low, float high, float place) {
        return high > low ? (high - low) * (1.0f - fabsf(place - 0.5f * (low + high))) : 0.0f;
    }
};

struct PrRoiRule {
    PrRoiRule(const Call& call, int levels)
        : placing(call, levels, call.attributes[2], call.attributes[3]),
          output_height(static_cast<int>(call.attributes[0])), output_width(static_cast<int>(call.attributes[1])) {}

    DETFORGE_HD Region<PrRoiAxis> region(int64_t i) const {
        float cells[4];
        const int level = placing.place(i, cells);
        const Pyramid& sizes = placing.pyramid;
        return {level,
                {cells[1], (cells[3] - cells[1]) / static_cast<float>(output_height), sizes.height[level]},
                {cells[0], (cells[2] - cells[0]) / static_cast<float>(output_width), sizes.width[level]}};
    }

    Placing placing;
    int output_height, output_width;
};

void prroi_pool_cpu(const Call& call, int levels, Context& context);
int prroi_pool_cuda(const Call& call, int levels, DType dtype, void* workspace, void* stream);

constexpr const char* kPrRoiPoolNames[] = {"PrRoiPool1", "PrRoiPool2", "PrRoiPool3", "PrRoiPool4", "PrRoiPool5"};

template <int kLevels>
struct PrRoiPool : OnPyramid<kLevels, 2> {  // the levels, boxes, regions
    static constexpr const char* name = kPrRoiPoolNames[kLevels - 1];
    static constexpr std::array<Field, 4> fields{
        {{"output_height", 1}, {"output_width", 1}, {"stride", 1}, {"finest_scale", 1}}};

    static const char* problem(const Call& call, DType) {
        const int64_t* given = call.attributes;
        return regions_problem(call.inputs, kLevels, given[0], given[1], given[2], given[3]);
    }
    static void cpu(const Call& call, Context& context) { prroi_pool_cpu(call, kLevels, context); }
    static int cuda(const Call& call, DType dtype, void* workspace, void* stream) {
        return prroi_pool_cuda(call, kLevels, dtype, workspace, stream);
    }
};

using prroi_pool_ops = Ops<PrRoiPool<1>, PrRoiPool<2>, PrRoiPool<3>, PrRoiPool<4>, PrRoiPool<5>>;

}  // namespace detforge
